"""Conditional requests for files with a strong entity tag (RFC 9110, section 13)."""

from __future__ import annotations

import re

from starlette.datastructures import Headers

from daguerre.errors import PreconditionFailedError

_TAG = re.compile(r'(W/)?("[^"]*")')


def is_not_modified(headers: Headers, etag: str) -> bool:
    """Whether the client has the file, so the response is a 304.

    `etag` is the file's tag with its quotes. Raises `PreconditionFailedError` if `If-Match` does
    not name it.
    """
    if (wanted := _value(headers, "if-match")) and not _names(wanted, "", etag):
        raise PreconditionFailedError(
            f"If-Match does not name the file's entity tag {etag}; request the file without it"
        )
    known = _value(headers, "if-none-match")
    # A proxy that compresses a response makes its tag weak; the comparison ignores that.
    return _names(known, "", etag) or _names(known, "W/", etag)


def _value(headers: Headers, name: str) -> str:
    return ", ".join(headers.getlist(name)).strip()


def _names(value: str, prefix: str, etag: str) -> bool:
    return value == "*" or (prefix, etag) in _TAG.findall(value)
