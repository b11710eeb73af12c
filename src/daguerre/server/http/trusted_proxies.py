"""Headers that trusted proxies add: address, scheme and host of the client's request.

`X-Forwarded-For`, `-Proto` and `-Host` are ignored in requests of other peers, which could forge
them. Of several values, the first of scheme and host is the client's.
"""

from __future__ import annotations

import ipaddress
import logging
import re
from collections.abc import Collection
from contextlib import suppress

from starlette.datastructures import Headers
from starlette.types import Scope

logger = logging.getLogger(__name__)
_WITH_PORT = re.compile(r"\[(?P<v6>[^\]]*)\](:\d+)?|(?P<v4>[^:]*):\d+")
_IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


class TrustedProxies:
    """The proxies in `networks`, which are addresses or networks in CIDR notation."""

    def __init__(self, networks: Collection[str]) -> None:
        self._networks = [ipaddress.ip_network(network) for network in networks]
        self._has_warned = False

    def to_client_scope(self, scope: Scope) -> Scope:
        """The scope of the request that the client sent to the first trusted proxy."""
        headers, peer = Headers(scope=scope), _parse_ip((scope.get("client") or [""])[0])
        scheme = _first(headers, "x-forwarded-proto").lower()
        host = _first(headers, "x-forwarded-host")
        if not peer or not self._trusts(peer):
            if scheme or host:
                self._warn_once(peer)
            return scope
        client = self._client(peer, ", ".join(headers.getlist("x-forwarded-for")))
        changed = {**scope, "client": (str(client), 0)}
        if scheme in ("http", "https"):
            changed["scheme"] = scheme
        return with_host(changed, host.encode("latin-1")) if host else changed

    def _trusts(self, address: _IpAddress) -> bool:
        return any(address in network for network in self._networks)

    def _client(self, peer: _IpAddress, forwarded_for: str) -> _IpAddress:
        """The last address that is not a trusted proxy's; each proxy appends its peer."""
        client = peer
        for text in reversed(forwarded_for.split(",")):
            address = _parse_ip(text)
            if address is None or not self._trusts(client):
                break
            client = address
        return client

    def _warn_once(self, peer: _IpAddress | None) -> None:
        if not self._has_warned:
            self._has_warned = True
            logger.warning(
                "the X-Forwarded headers of %s are ignored; if it is your proxy, add it to"
                " trusted_proxies",
                peer,
            )


def with_host(scope: Scope, host: bytes) -> Scope:
    """`scope` with another Host header."""
    others = [(name, value) for name, value in scope["headers"] if name != b"host"]
    return {**scope, "headers": [*others, (b"host", host)]}


def _first(headers: Headers, name: str) -> str:
    return headers.get(name, "").partition(",")[0].strip()


def _parse_ip(text: str) -> _IpAddress | None:
    """An address, also with a port; IPv4 in IPv6 is IPv4."""
    text = text.strip()
    if match := _WITH_PORT.fullmatch(text):
        text = match["v6"] or match["v4"] or ""
    with suppress(ValueError):
        address = ipaddress.ip_address(text)
        return getattr(address, "ipv4_mapped", None) or address
    return None
