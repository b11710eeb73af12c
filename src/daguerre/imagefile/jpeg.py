"""JPEG: baseline with full chroma, and XMP metadata in APP1 segments."""

from __future__ import annotations

import hashlib
import io
import struct

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from daguerre.imagefile import xmp

_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_EXTENDED_XMP = b"http://ns.adobe.com/xmp/extension/\0"
# Limits of XMP Specification Part 3, 1.1.3: a JPEG segment holds 65,535 bytes with its header.
_MAX_PACKET_BYTES = 65_502
_MAX_EXTENSION_BYTES = 65_400


def encode(pixels: NDArray[np.uint8], quality: int, metadata: str, prompt_metadata: str) -> bytes:
    """The JPEG file. See `daguerre.imagefile.encoding.ImageFormat`."""
    file = io.BytesIO()
    # Subsampled chroma would save a quarter of the file and smear the edges of flat colours.
    Image.fromarray(pixels).save(file, "JPEG", quality=quality, subsampling="4:4:4")
    jpeg = file.getvalue()
    assert jpeg[:4] == b"\xff\xd8\xff\xe0", f"JPEG begins {jpeg[:4].hex()}. This is a bug."
    # The JFIF segment must be the first; the XMP segments follow it.
    end_of_jfif = 4 + int.from_bytes(jpeg[4:6], "big")
    segments = _xmp_segments(metadata, prompt_metadata)
    return jpeg[:end_of_jfif] + segments + jpeg[end_of_jfif:]


def _xmp_segments(metadata: str, prompt_metadata: str) -> bytes:
    """One segment if everything fits, else extended XMP for the whole prompt metadata."""
    packet = xmp.packet(metadata + prompt_metadata)
    if len(packet) <= _MAX_PACKET_BYTES:
        return _app1(_XMP + packet)
    extension = xmp.document(prompt_metadata)
    digest = hashlib.md5(extension, usedforsecurity=False).hexdigest().upper()
    segments = [_app1(_XMP + xmp.packet(metadata + xmp.has_extended(digest)))]
    for offset in range(0, len(extension), _MAX_EXTENSION_BYTES):
        position = digest.encode() + struct.pack(">II", len(extension), offset)
        part = extension[offset : offset + _MAX_EXTENSION_BYTES]
        segments.append(_app1(_EXTENDED_XMP + position + part))
    return b"".join(segments)


def _app1(data: bytes) -> bytes:
    return b"\xff\xe1" + struct.pack(">H", 2 + len(data)) + data
