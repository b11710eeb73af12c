"""GET /images/files/{name}: an image behind a signed URL, whole or in part; needs no API key."""

from __future__ import annotations

import re

from starlette.requests import Request
from starlette.responses import Response

from daguerre.errors import NotFoundError, RangeNotSatisfiableError
from daguerre.imagefile.encoding import FORMATS
from daguerre.server.http.conditional import is_not_modified
from daguerre.server.http.errors import error_response
from daguerre.server.routes.signed_urls import UrlSigner
from daguerre.storage.image_store import ImageStore

# Parsing thousands of parameters takes milliseconds, before the signature is checked.
_MAX_QUERY_BYTES = 1024
# The unit is case-insensitive, and a list may have empty elements.
_RANGE = re.compile(r"bytes=[ \t,]*(\d{0,19})-(\d{0,19})[ \t,]*", re.IGNORECASE)


class FileEndpoints:
    def __init__(self, images: ImageStore, signer: UrlSigner) -> None:
        self._images, self._signer = images, signer

    async def show(self, request: Request) -> Response:
        name = request.path_params["name"]
        if len(request.scope["query_string"]) > _MAX_QUERY_BYTES:
            raise NotFoundError(f"no such file: the query has over {_MAX_QUERY_BYTES} bytes")
        remaining_s = self._signer.verify(name, request.query_params)
        digest, _, extension = name.rpartition(".")
        etag = f'"{digest}"'  # the digest determines the bytes
        headers = {
            "content-type": FORMATS[extension].media_type,
            "accept-ranges": "bytes",
            # The URL is a secret, so no shared cache may keep the image.
            "cache-control": f"private, max-age={remaining_s}, immutable",
            "etag": etag,
            "x-content-type-options": "nosniff",
        }
        image = await self._images.get(name)
        if image is None:
            raise NotFoundError(f"the image {name} is no longer stored; generate it again")
        if is_not_modified(request.headers, etag):
            return Response(None, 304, headers)
        return _response(request, image.data, headers)


def _response(request: Request, file: bytes, headers: dict[str, str]) -> Response:
    status, size, body = 200, len(file), file
    is_get = request.method == "GET"  # other methods ignore Range
    if is_get and request.headers.get("if-range", headers["etag"]) == headers["etag"]:
        try:
            selected = _parse_range(request.headers.get("range", ""), size)
        except RangeNotSatisfiableError as error:
            return error_response(error, {"content-range": f"bytes */{size}"})
        if selected:
            status, body = 206, file[selected.start : selected.stop]
            headers["content-range"] = f"bytes {selected.start}-{selected.stop - 1}/{size}"
    headers["content-length"] = str(len(body))
    return Response(body if is_get else b"", status, headers)


def _parse_range(header: str, size: int) -> range | None:
    """The bytes of a Range header; None selects the whole file.

    Several ranges and malformed ones select the whole file, as RFC 9110, 14.2 allows.
    """
    match = _RANGE.fullmatch(header)
    if not match or not any(match.groups()):
        return None
    first, last = match.groups()
    if first and last and int(last) < int(first):
        return None
    start = int(first) if first else max(0, size - int(last))
    if start >= size:
        raise RangeNotSatisfiableError(f"the range {header} is outside the file of {size} bytes")
    return range(start, min(int(last) + 1, size) if first and last else size)
