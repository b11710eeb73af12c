"""The URL of a request, normalized before routing, and the base of links in its response.

Clients and proxies build URLs differently: with a doubled or trailing slash, a doubled version
prefix, a path prefix, or scheme and host in the request target. All reach the endpoint that they
mean, without a redirect, because many clients repeat a redirected POST as a GET.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from daguerre.errors import InvalidRequestError
from daguerre.protocol.messages import quote_for_message
from daguerre.server.http.trusted_proxies import TrustedProxies, with_host
from daguerre.validation import parse_origin

API_PREFIX = "/v1"
_ABSOLUTE_FORM = re.compile(rb"https?://([^/]*)", re.IGNORECASE)
_REPEATED_PREFIX = re.compile(f"^({API_PREFIX})+(?={API_PREFIX}(/|$))")


class RequestUrlMiddleware:
    """Normalizes `path`, and applies the headers of trusted proxies.

    `raw_path` stays as it was sent, without scheme and host.
    """

    def __init__(self, app: ASGIApp, root_path: str, proxies: TrustedProxies) -> None:
        self._app, self._root_path, self._proxies = app, root_path, proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope = self._proxies.to_client_scope(_to_origin_form(scope))
            scope = {**scope, "path": normalize_path(scope["path"], self._root_path)}
        await self._app(scope, receive, send)


@dataclass(frozen=True, slots=True)
class BaseUrl:
    """Base of links, without a trailing slash: `public_url`, or the URL that the request names.

    `default` is for requests without a Host header, which HTTP/1.0 allows.
    """

    public_url: str
    root_path: str
    default: str

    def of(self, request: Request) -> str:
        """Raises `InvalidRequestError` for a Host header that is not a host with a port."""
        host = request.headers.get("host")
        if self.public_url or not host:
            return self.public_url or self.default
        try:
            # RFC 3986, 3.2.3 allows an empty port.
            origin = parse_origin(f"{request.scope['scheme']}://{host.removesuffix(':')}")
            return origin + self.root_path
        except ValueError:
            raise InvalidRequestError(
                f"the Host header is {quote_for_message(host)}; it must be a host name or an IP"
                " address, with or without a port",
                param="host",
            ) from None


def normalize_path(path: str, root_path: str = "") -> str:
    """`path` with single slashes, without a trailing slash and without `root_path`, and with at
    most one version prefix."""
    single = re.sub("/+", "/", path + "/")
    inner = re.sub(f"^{re.escape(root_path)}(?=/)", "", single)
    return _REPEATED_PREFIX.sub("", inner).rstrip("/") or "/"


def _to_origin_form(scope: Scope) -> Scope:
    """Moves the host of a target in absolute form to the Host header (RFC 9112, 3.2.2)."""
    sent: bytes = scope.get("raw_path") or b""
    match = _ABSOLUTE_FORM.match(sent)
    if not match:
        return scope
    raw = sent[match.end() :] or b"/"
    scope = {**scope, "raw_path": raw, "path": unquote(raw.decode("ascii"))}
    return with_host(scope, match[1])
