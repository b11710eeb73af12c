"""`GET /` and the files of the playground, read from `static` once at startup.

There is no build step. The content security policy of every file allows only these files. One file
is generated: `schema.js` holds the fields of a request, so that the form repeats no limit.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.staticfiles import NotModifiedResponse

from daguerre.errors import NotFoundError
from daguerre.params import SIZES
from daguerre.protocol.messages import quote_for_message
from daguerre.protocol.parsing import field_schemas
from daguerre.server.http.conditional import is_not_modified
from daguerre.validation import suggestion

FOLDER = Path(__file__).parent / "static"
INDEX = "index.html"
SCHEMA = "schema.js"
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "font-src 'self'",
        "img-src 'self' blob:",  # the page makes blobs of the images in events
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
_HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    # Revalidated each time, so that a page never runs with files of another version.
    "cache-control": "no-cache",
}
_MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}


class Playground:
    """Serves the page and its files, by name."""

    def __init__(self) -> None:
        paths = [path for path in FOLDER.iterdir() if path.suffix in _MEDIA_TYPES]
        contents = {path.name: path.read_bytes() for path in paths} | {SCHEMA: schema_script()}
        self._files = {name: _response(name, content) for name, content in contents.items()}

    async def file(self, request: Request) -> Response:
        """`GET /playground/{name}`, and `GET /` for the page."""
        sent = request.scope["raw_path"].decode("ascii")
        if not (request.path_params or sent.endswith("/")):
            # A path prefix without a slash, from which the page's relative URLs would not resolve.
            return RedirectResponse(f"./{sent.rpartition('/')[2]}/")
        name = request.path_params.get("name", INDEX)
        if name not in self._files:
            near = suggestion(name, self._files)
            raise NotFoundError(f"the playground has no file {quote_for_message(name)}{near}")
        response = self._files[name]
        if is_not_modified(request.headers, response.headers["etag"]):
            return NotModifiedResponse(response.headers)
        return response


def schema_script() -> bytes:
    """JavaScript with `sizes` (ratio -> pixels, widest first) and `requestFields` (schemas)."""
    sizes = dict(sorted(SIZES.items(), key=lambda item: item[1][0] / item[1][1], reverse=True))
    exports = {"sizes": sizes, "requestFields": field_schemas()}
    lines = (f"export const {name} = {json.dumps(value)};\n" for name, value in exports.items())
    return "".join(lines).encode()


def _response(name: str, content: bytes) -> Response:
    etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    media_type = _MEDIA_TYPES[Path(name).suffix]
    return Response(content, headers={**_HEADERS, "content-type": media_type, "etag": etag})
