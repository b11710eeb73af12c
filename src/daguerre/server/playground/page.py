"""GET / and the files of the page: read once, served as they lie in `static`.

There is no build step and nothing is fetched from elsewhere; the policy that goes with every file
lets a browser run and load these files alone. Knows nothing of keys, fields or images.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from daguerre.errors import NotFoundError
from daguerre.protocol.messages import quote_for_message, suggestion

FOLDER = Path(__file__).parent / "static"
INDEX = "index.html"
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "font-src 'self'",
        "img-src 'self' blob:",  # images come in the events, and become blobs here
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
    # Asked for each time, so that a page never runs with the files of another version.
    "cache-control": "no-cache",
}
_MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}


@dataclass(frozen=True, slots=True)
class _File:
    content: bytes
    headers: dict[str, str]

    def response(self, request: Request) -> Response:
        if request.headers.get("if-none-match") == self.headers["etag"]:
            return Response(status_code=304, headers=self.headers)
        return Response(self.content, headers=self.headers)


class Playground:
    def __init__(self) -> None:
        self._files = {
            path.name: _read(path)
            for path in sorted(FOLDER.iterdir())
            if path.suffix in _MEDIA_TYPES
        }

    async def page(self, request: Request) -> Response:
        return self._files[INDEX].response(request)

    async def file(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in self._files:
            near = suggestion(name, self._files)
            raise NotFoundError(f"the playground has no file {quote_for_message(name)}{near}")
        return self._files[name].response(request)


def _read(path: Path) -> _File:
    content = path.read_bytes()
    etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    return _File(content, {**_HEADERS, "content-type": _MEDIA_TYPES[path.suffix], "etag": etag})
