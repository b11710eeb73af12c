"""Security headers of every response, and CORS for the configured origins.

Pages may not be framed and load only what their own policy allows.
"""

from __future__ import annotations

from collections.abc import Collection

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp

from daguerre.errors import InvalidRequestError
from daguerre.protocol.messages import quote_for_message
from daguerre.server.http.errors import error_response
from daguerre.server.http.response_headers import RESPONSE_HEADERS

# The policy of pages that set none.
_STRICT_POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_PAGE_HEADERS = {
    "cross-origin-opener-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
}
_METHODS = ("GET", "HEAD", "POST")
# Headers of errors and files that scripts may read, next to those of images.
_EXPOSED_HEADERS = (
    *("allow", "retry-after", "www-authenticate", "x-should-retry"),
    *("accept-ranges", "content-range", "etag"),
)


def add_security_headers(headers: MutableHeaders) -> None:
    headers["x-content-type-options"] = "nosniff"
    if headers.get("content-type", "").startswith("text/html"):
        headers.update(_PAGE_HEADERS)
        headers.setdefault("content-security-policy", _STRICT_POLICY)


class JsonCORSMiddleware(CORSMiddleware):
    """Starlette's CORS middleware with the error object for rejected preflight requests."""

    def __init__(self, app: ASGIApp, origins: Collection[str]) -> None:
        # Clients send headers of their own; only the key has an effect.
        super().__init__(
            app,
            allow_origins=origins,
            allow_methods=_METHODS,
            allow_headers=("*",),
            # A site that is named may also call a server in a private network.
            allow_private_network="*" not in origins,
            expose_headers=(*RESPONSE_HEADERS, *_EXPOSED_HEADERS),
        )

    def preflight_response(self, request_headers: Headers) -> Response:
        response = super().preflight_response(request_headers)
        headers = response.headers
        del headers["content-length"], headers["content-type"]
        if response.status_code == 200:
            return Response(status_code=204, headers=headers)
        return error_response(InvalidRequestError(self._refusal(request_headers)), headers)

    def _refusal(self, headers: Headers) -> str:
        origin = quote_for_message(headers["origin"])
        method = headers["access-control-request-method"]
        if not self.is_allowed_origin(headers["origin"]):
            return f"the origin {origin} is not allowed; add it to the setting cors_origins"
        if method not in _METHODS:
            allowed = ", ".join(_METHODS)
            return f"scripts may not send {quote_for_message(method)}; they may send {allowed}"
        return (
            f"the origin {origin} may not call a private network, because cors_origins is *; name"
            " the origin there"
        )
