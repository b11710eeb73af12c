"""C2PA manifest stores: what makes two stores of the same file differ, and how to embed another.

A store is a tree of JUMBF boxes (ISO 19566-5). Each assertion has a random salt in its description
box, which hides assertions that were redacted. Nothing is redacted here, so the salts become zero.
The claim has the SHA-256 of each assertion, and the signature covers the claim.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator

_HEADER_BYTES = 8  # length and type of a box
_SALT_HEADER = b"\x00\x00\x00\x18c2sh"
_SALT_BYTES = 16
_PNG_CHUNK = b"caBX"


def without_salts(store: bytes, signed: bytes) -> tuple[bytes, bytes]:
    """The store and the bytes that are signed, with salts of zero.

    Raises `ValueError` if they are not as expected.
    """
    for begin, end in list(_salted_boxes(store, 0, len(store))):
        content = store[begin:end]
        salt = _salt(content)
        unsalted = content.replace(salt, bytes(_SALT_BYTES))
        before, after = (hashlib.sha256(each).digest() for each in (content, unsalted))
        store = replace_once(store, content, unsalted)
        store = replace_once(store, before, after)
        signed = replace_once(signed, before, after)
    return store, signed


def replace_once(data: bytes, before: bytes, after: bytes) -> bytes:
    """Raises `ValueError` unless `before` occurs once, and `after` has the same length."""
    if data.count(before) != 1 or len(before) != len(after):
        raise ValueError("the manifest store is not as expected")
    return data.replace(before, after)


def embed(file: bytes, before: bytes, after: bytes) -> bytes:
    """The file with the store `after`, of the same length, in place of `before`."""
    changed = replace_once(file, before, after)
    begin = changed.index(after)
    if changed[begin - len(_PNG_CHUNK) : begin] != _PNG_CHUNK:
        return changed  # other formats have no checksum
    end = begin + len(after)
    checksum = zlib.crc32(_PNG_CHUNK + after).to_bytes(4)
    return changed[:end] + checksum + changed[end + len(checksum) :]


def _salted_boxes(store: bytes, begin: int, end: int) -> Iterator[tuple[int, int]]:
    """Where the content of each superbox with a salt is."""
    while begin < end:
        num_bytes = int.from_bytes(store[begin : begin + 4])
        if num_bytes < _HEADER_BYTES:
            raise ValueError("the manifest store has a box of another form")
        content, next_begin = begin + _HEADER_BYTES, begin + num_bytes
        if store[begin + 4 : content] == b"jumb":
            if _salt(store[content:next_begin]):
                yield content, next_begin
            yield from _salted_boxes(store, content, next_begin)
        begin = next_begin


def _salt(content: bytes) -> bytes:
    """The salt at the end of a superbox's description, which is its first box."""
    end = int.from_bytes(content[:4])
    begin = end - _SALT_BYTES
    is_salted = content[begin - len(_SALT_HEADER) : begin] == _SALT_HEADER
    return content[begin:end] if is_salted else b""
