"""One-time login links: each opens the playground signed in, once, in a browser on this machine.

The token is in the fragment of the URL, which browsers do not send. The page posts the token and
receives the API key. `daguerre serve` issues the link.
"""

from __future__ import annotations

import hashlib
import ipaddress
import secrets
from contextlib import suppress

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from daguerre.errors import AuthenticationError, InvalidRequestError
from daguerre.protocol.messages import quote_for_message
from daguerre.server.http.body import parse_object, read_body

FRAGMENT = "sign-in="
_TOKEN_BYTES = 32
_MAX_BODY_BYTES = 1024
_BODY_TIMEOUT_S = 10.0


def is_loopback(host: str) -> bool:
    with suppress(ValueError):  # a name
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    return host == "localhost"


class OneTimeLogin:
    """API keys of the unused links, by the SHA-256 of their tokens."""

    def __init__(self) -> None:
        self._keys: dict[str, str] = {}

    def issue(self, key: str) -> str:
        """Path and fragment of a new link that gives `key` to one browser."""
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        self._keys[_sha256(token)] = key
        return f"/#{FRAGMENT}{token}"

    async def redeem(self, request: Request) -> Response:
        """`POST /playground/sign-in`: exchanges a token for its key and invalidates the token."""
        body = parse_object(await read_body(request, _MAX_BODY_BYTES, _BODY_TIMEOUT_S))
        token = _token(body)
        is_local = request.client is not None and is_loopback(request.client.host)
        key = self._keys.pop(_sha256(token), None) if is_local else None
        if key is None:
            raise AuthenticationError(
                "this link has been used, is from an earlier start of the server, or was opened on"
                " another machine; enter the key that 'daguerre config' shows",
                param="token",
            )
        return JSONResponse({"key": key}, headers={"cache-control": "no-store"})


def _token(body: dict[str, object]) -> str:
    token = body.get("token")
    if not isinstance(token, str) or set(body) != {"token"}:
        names = ", ".join(quote_for_message(name) for name in body) or "no fields"
        raise InvalidRequestError(
            f"the body has {names}; it must have only 'token', the text after '#{FRAGMENT}' in the"
            " link",
            param="token",
        )
    return token


def _sha256(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
