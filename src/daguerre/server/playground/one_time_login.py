"""Links that open the playground signed in: each works once, and on this machine alone.

The token stands behind the `#` of the address, which browsers send to nobody; the page posts it
and gets the key. Who may issue one, and where it is shown, is the command's to know.
"""

from __future__ import annotations

import hashlib
import ipaddress
import secrets

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from daguerre.errors import AuthenticationError, InvalidRequestError
from daguerre.protocol.messages import quote_for_message
from daguerre.server.http.body import parse_object, read_body

FRAGMENT = "sign-in="
_TOKEN_BYTES = 32
_MAX_BODY_BYTES = 1024
_BODY_TIMEOUT_S = 10.0
_HOW = "type the key, which 'daguerre config' shows"


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class SignIn:
    """The keys that links still stand for, under the hashes of their tokens."""

    def __init__(self) -> None:
        self._keys: dict[str, str] = {}

    def issue(self, key: str) -> str:
        """What follows the address of the server in a link that gives `key` to one browser."""
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        self._keys[_sha256(token)] = key
        return f"/#{FRAGMENT}{token}"

    async def redeem(self, request: Request) -> Response:
        body = parse_object(await read_body(request, _MAX_BODY_BYTES, _BODY_TIMEOUT_S))
        key = self._key(_token(body)) if _is_near(request) else None
        if key is None:
            raise AuthenticationError(
                "this link has been used, or belongs to another start of the server, or was opened"
                f" on another machine; {_HOW}",
                param="token",
            )
        return JSONResponse({"key": key}, headers={"cache-control": "no-store"})

    def _key(self, token: str) -> str | None:
        return self._keys.pop(_sha256(token), None)


def _token(body: dict[str, object]) -> str:
    token = body.get("token")
    if not isinstance(token, str) or set(body) != {"token"}:
        names = ", ".join(quote_for_message(name) for name in body) or "nothing"
        raise InvalidRequestError(
            f"the body has {names}; it must have 'token' alone, the text behind"
            f" '#{FRAGMENT}' of the link",
            param="token",
        )
    return token


def _is_near(request: Request) -> bool:
    return request.client is not None and is_loopback(request.client.host)


def _sha256(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
