"""GET /images/files/{name}: a file behind a signed link, whole or in part.

A file never changes, so that its name could be its ETag; the store's own is sent. Knows nothing of
how images are made, and looks at no key: the link is the permission.
"""

from __future__ import annotations

import re
import secrets

from starlette.requests import Request
from starlette.responses import Response

from daguerre.errors import RangeNotSatisfiableError
from daguerre.imagefile.encoding import FORMATS
from daguerre.server.http.errors import error_response
from daguerre.server.routes.signed_urls import UrlSigner
from daguerre.storage.file_store import FileInfo, FileStore

_RANGE = re.compile(r"bytes=(\d{0,19})-(\d{0,19})")


class FileEndpoints:
    def __init__(self, store: FileStore, links: UrlSigner) -> None:
        self.store, self._links = store, links

    async def add(self, data: bytes, output_format: str) -> str:
        """The link to a new file."""
        name = f"{secrets.token_hex(16)}.{output_format}"
        await self.store.put(name, data)
        return self._links.make(name)

    async def show(self, request: Request) -> Response:
        name = request.path_params["name"]
        seconds_left = self._links.seconds_left(name, request.query_params)
        facts = await self.store.facts(name)
        headers = _headers(name, facts, seconds_left)
        if request.headers.get("if-none-match") in (facts.e_tag, "*"):
            return Response(None, 304, headers)
        try:
            asked = _asked_range(request, facts)
        except RangeNotSatisfiableError as error:
            return error_response(error, {"content-range": f"bytes */{facts.num_bytes}"})
        start, end = asked or (0, facts.num_bytes)
        if asked:
            headers["content-range"] = f"bytes {start}-{end - 1}/{facts.num_bytes}"
        headers["content-length"] = str(end - start)
        is_head = request.method == "HEAD"
        content = b"" if is_head else await self.store.read(name, start, end)
        return Response(content, 206 if asked else 200, headers)


def _headers(name: str, facts: FileInfo, seconds_left: int) -> dict[str, str]:
    return {
        "content-type": FORMATS[name.rpartition(".")[2]].media_type,
        "accept-ranges": "bytes",
        # The link is a secret of whoever was given it: no shared cache keeps what is behind it.
        "cache-control": f"private, max-age={seconds_left}, immutable",
        "etag": facts.e_tag,
        "x-content-type-options": "nosniff",
    }


def _asked_range(request: Request, facts: FileInfo) -> tuple[int, int] | None:
    """From, and to before; None for the whole. Several ranges, and what is no range of bytes, are
    answered with the whole, as RFC 9110 (14.2) allows."""
    found = _RANGE.fullmatch(request.headers.get("range", ""))
    if not found or not any(found.groups()):
        return None
    if request.headers.get("if-range", facts.e_tag) != facts.e_tag:
        return None
    first, last = found.groups()
    num_bytes = facts.num_bytes
    if first and last and int(last) < int(first):
        return None
    start = int(first) if first else max(0, num_bytes - int(last))
    end = min(int(last) + 1, num_bytes) if first and last else num_bytes
    if start >= num_bytes:
        raise RangeNotSatisfiableError(
            f"the range {found[0]} lies outside of the file, which has {num_bytes} bytes"
        )
    return start, end
