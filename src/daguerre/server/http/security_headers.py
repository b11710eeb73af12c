"""What answers tell browsers: how to treat what they got, and which other sites may read it.

Every answer is what its Content-Type says; a page is shown in no frame, and runs and loads nothing
but what its own policy allows. Other sites' scripts read nothing, unless the operator names them.
Knows no path.
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

# A page that needs more brings a policy of its own.
_STRICT_POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_PAGE_HEADERS = {
    "cross-origin-opener-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
}
# What scripts of an allowed site may read beside the body.
_READ = (
    "retry-after",
    "server-timing",
    "x-cache",
    "x-ratelimit-limit-requests",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-reset-requests",
    "x-request-id",
    "x-seed",
)
_METHODS = ("GET", "POST")
_OF_THE_BODY = ("content-length", "content-type")


def add_security_headers(headers: MutableHeaders) -> None:
    """Of an answer that is about to be sent."""
    headers["x-content-type-options"] = "nosniff"
    if headers.get("content-type", "").startswith("text/html"):
        headers.update(_PAGE_HEADERS)
        headers.setdefault("content-security-policy", _STRICT_POLICY)


class JsonCORSMiddleware(CORSMiddleware):
    """Starlette's, whose refusals have the error object and say what is allowed."""

    def __init__(self, app: ASGIApp, origins: Collection[str]) -> None:
        # Any header may be sent: clients have their own, and none opens anything but the key.
        super().__init__(
            app,
            allow_origins=origins,
            allow_methods=_METHODS,
            allow_headers=("*",),
            expose_headers=_READ,
        )

    def preflight_response(self, request_headers: Headers) -> Response:
        response = super().preflight_response(request_headers)
        told = {name: value for name, value in response.headers.items() if name not in _OF_THE_BODY}
        if response.status_code == 200:
            return Response(status_code=204, headers=told)
        return error_response(self._refusal(request_headers), told)

    def _refusal(self, asked: Headers) -> InvalidRequestError:
        if not self.is_allowed_origin(asked["origin"]):
            return InvalidRequestError(
                f"pages of {quote_for_message(asked['origin'])} may not call this server"
            )
        method = asked["access-control-request-method"]
        if method not in _METHODS:
            return InvalidRequestError(
                f"pages may send {' and '.join(_METHODS)}, not {quote_for_message(method)}"
            )
        return InvalidRequestError("pages of public addresses may not call into a private network")
