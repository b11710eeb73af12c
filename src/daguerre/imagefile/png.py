"""PNG: 8-bit RGB, lossless, with XMP metadata in an iTXt chunk."""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray
from zlib_ng import zlib_ng

from daguerre.imagefile import xmp

_DEFLATE_LEVEL = 2
_FILTER_UP = 2  # each row is stored as its difference from the row above
_XMP_KEYWORD = b"XML:com.adobe.xmp\0" + b"\0\0" + b"\0\0"  # not compressed, no language


def encode(pixels: NDArray[np.uint8], quality: int, metadata: str, prompt_metadata: str) -> bytes:
    """The PNG file; `quality` has no effect. See `daguerre.imagefile.encoding.ImageFormat`."""
    height, width, _ = pixels.shape
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)  # 8 bits, RGB, not interlaced
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            _chunk(b"IHDR", header),
            _chunk(b"sRGB", b"\0"),  # perceptual intent
            _chunk(b"iTXt", _XMP_KEYWORD + xmp.packet(metadata + prompt_metadata)),
            _chunk(b"IDAT", zlib_ng.compress(_filter_rows(pixels), _DEFLATE_LEVEL)),
            _chunk(b"IEND", b""),
        )
    )


def _filter_rows(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Filtered rows, (height, 1 + 3 * width): the filter type, then the differences."""
    height, width, _ = pixels.shape
    rows = pixels.reshape(height, 3 * width)
    filtered = np.empty((height, 1 + 3 * width), np.uint8)
    filtered[:, 0] = _FILTER_UP
    filtered[0, 1:] = rows[0]  # the row above the first counts as zero
    np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])  # modulo 256, as PNG requires
    return filtered


def _chunk(kind: bytes, data: bytes) -> bytes:
    checksum = zlib_ng.crc32(data, zlib_ng.crc32(kind))
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)
