"""A generated image as the bytes of a PNG or JPEG file, with its provenance inside.

The same image gives the same bytes: nothing comes from a clock, a thread, an address or the order
of a dictionary. The compressors (zlib-ng, Pillow) are plain dependencies with no fallback, because
another compressor is another file; which ones always give the same one was tried (bench/LOG.md).
Knows nothing of HTTP, base64 or how the pixels were made.
"""

from __future__ import annotations

import hashlib
import io
import struct

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from zlib_ng import zlib_ng

from daguerre.imagefile import xmp
from daguerre.params import GeneratedImage, ImageParams

_DEFLATE_LEVEL = 2
_PNG_UP = 2  # the filter type: a row is stored as its difference from the row above
_PNG_XMP = b"XML:com.adobe.xmp\0" + b"\0\0" + b"\0\0"  # keyword; not compressed; no language
_JPEG_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_JPEG_EXTENDED_XMP = b"http://ns.adobe.com/xmp/extension/\0"
# Limits of XMP Specification Part 3, 1.1.3: a JPEG segment holds 65,535 bytes with its header.
_MAX_JPEG_PACKET_BYTES = 65_502
_MAX_JPEG_EXTENSION_BYTES = 65_400


def encode(image: GeneratedImage, *, with_prompt: bool) -> bytes:
    """The file in `image.params.output_format`; the prompts are in it only `with_prompt`."""
    pixels = image.pixels
    assert pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3, (
        f"pixels are {pixels.dtype} {pixels.shape}, not uint8 (height, width, 3). This is a bug."
    )
    facts = xmp.facts(image)
    words = xmp.words(image.params) if with_prompt else ""
    if image.params.output_format == "png":
        return _png(pixels, xmp.packet(facts + words))
    return _jpeg(pixels, image.params.jpeg_quality, _jpeg_xmp(facts, words))


def encode_preview(pixels: NDArray[np.uint8], params: ImageParams) -> bytes:
    """A file in the same format, which says of its origin only that a model drew it: nothing that
    could be written into it would make it again."""
    if params.output_format == "png":
        return _png(pixels, xmp.packet(xmp.mark()))
    return _jpeg(pixels, params.jpeg_quality, _jpeg_xmp(xmp.mark(), ""))


def _png(pixels: NDArray[np.uint8], xmp: bytes) -> bytes:
    height, width, _ = pixels.shape
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)  # 8 bits, RGB, not interlaced
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            _chunk(b"IHDR", header),
            _chunk(b"sRGB", b"\0"),  # perceptual intent
            _chunk(b"iTXt", _PNG_XMP + xmp),
            _chunk(b"IDAT", zlib_ng.compress(_filtered(pixels), _DEFLATE_LEVEL)),
            _chunk(b"IEND", b""),
        )
    )


def _filtered(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Rows as PNG stores them: (height, 1 + 3 * width), the filter's number before each."""
    height, width, _ = pixels.shape
    rows = pixels.reshape(height, 3 * width)
    filtered = np.empty((height, 1 + 3 * width), np.uint8)
    filtered[:, 0] = _PNG_UP
    filtered[0, 1:] = rows[0]  # above the first row lies zero
    np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])  # modulo 256, as PNG wants
    return filtered


def _chunk(kind: bytes, data: bytes) -> bytes:
    checksum = zlib_ng.crc32(data, zlib_ng.crc32(kind))
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)


def _jpeg(pixels: NDArray[np.uint8], quality: int, xmp_segments: bytes) -> bytes:
    """Baseline JPEG; quality 0 is the IJG code's lowest, which is also its 1."""
    file = io.BytesIO()
    # Full chroma: halving it saves a quarter of the file and smears the edges of flat colours.
    Image.fromarray(pixels).save(file, "JPEG", quality=quality, subsampling="4:4:4")
    jpeg = file.getvalue()
    assert jpeg[:4] == b"\xff\xd8\xff\xe0", f"JPEG begins {jpeg[:4].hex()}. This is a bug."
    # JFIF wants its own segment first: ours come right behind it.
    end_of_jfif = 4 + int.from_bytes(jpeg[4:6], "big")
    return jpeg[:end_of_jfif] + xmp_segments + jpeg[end_of_jfif:]


def _jpeg_xmp(facts: str, words: str) -> bytes:
    """One segment if all fits; else the words go whole into extended XMP, and nothing is cut."""
    packet = xmp.packet(facts + words)
    if len(packet) <= _MAX_JPEG_PACKET_BYTES:
        return _app1(_JPEG_XMP + packet)
    extension = xmp.document(words)
    digest = hashlib.md5(extension, usedforsecurity=False).hexdigest().upper()
    packet = xmp.packet(facts + xmp.has_extended(digest))
    segments = [_app1(_JPEG_XMP + packet)]
    for offset in range(0, len(extension), _MAX_JPEG_EXTENSION_BYTES):
        place = digest.encode() + struct.pack(">II", len(extension), offset)
        part = extension[offset : offset + _MAX_JPEG_EXTENSION_BYTES]
        segments.append(_app1(_JPEG_EXTENDED_XMP + place + part))
    return b"".join(segments)


def _app1(data: bytes) -> bytes:
    return b"\xff\xe1" + struct.pack(">H", 2 + len(data)) + data
