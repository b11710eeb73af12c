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
_METHODS = ("GET", "POST")


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
            expose_headers=("retry-after", *RESPONSE_HEADERS),
        )

    def preflight_response(self, request_headers: Headers) -> Response:
        response = super().preflight_response(request_headers)
        headers = response.headers
        del headers["content-length"], headers["content-type"]
        if response.status_code == 200:
            return Response(status_code=204, headers=headers)
        origin = quote_for_message(request_headers["origin"])
        method = quote_for_message(request_headers["access-control-request-method"])
        message = (
            f"the origin {origin} may not send {method}; cors_origins lists the allowed origins,"
            f" the allowed methods are {' and '.join(_METHODS)}"
        )
        return error_response(InvalidRequestError(message), headers)
