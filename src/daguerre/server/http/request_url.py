"""The URL of a request, normalized before routing.

Clients and proxies build URLs differently: with a doubled or trailing slash, a doubled version
prefix, or scheme and host in the request target. All reach the endpoint that they mean, without a
redirect, because many clients repeat a redirected POST as a GET.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

from starlette.types import ASGIApp, Receive, Scope, Send

API_PREFIX = "/v1"
_ABSOLUTE_FORM = re.compile(rb"https?://([^/]*)", re.IGNORECASE)
_REPEATED_PREFIX = re.compile(f"^({API_PREFIX})+(?={API_PREFIX}(/|$))")


class RequestUrlMiddleware:
    """Normalizes `path`; `raw_path` stays as it was sent, without scheme and host."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope = _to_origin_form(scope)
            scope = {**scope, "path": normalize_path(scope["path"])}
        await self._app(scope, receive, send)


def normalize_path(path: str) -> str:
    """`path` with single slashes, no trailing slash, and at most one version prefix."""
    single = re.sub("/+", "/", path)
    return _REPEATED_PREFIX.sub("", single).rstrip("/") or "/"


def _to_origin_form(scope: Scope) -> Scope:
    """Moves the host of a target in absolute form to the Host header (RFC 9112, 3.2.2)."""
    sent: bytes = scope.get("raw_path") or b""
    match = _ABSOLUTE_FORM.match(sent)
    if not match:
        return scope
    raw = sent[match.end() :] or b"/"
    headers = [(name, value) for name, value in scope["headers"] if name != b"host"]
    return {
        **scope,
        "raw_path": raw,
        "path": unquote(raw.decode("ascii")),
        "headers": [*headers, (b"host", match[1])],
    }
