"""Addresses that send keys which nobody has, and how many of those each may send.

Past the limit an address's keys are not looked up any more, but those that were good of late are:
so a stranger who shares an address with clients, as behind a proxy, shuts none of them out. Memory
is bounded, whatever comes from wherever. Keeps digests, never keys; knows no HTTP.
"""

from __future__ import annotations

import hashlib
import ipaddress
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import TypeVar

from daguerre.errors import RateLimitError
from daguerre.server.access.rate_limiter import WINDOW_S, whole_seconds

K = TypeVar("K")
V = TypeVar("V")
MAX_REMEMBERED = 10_000
# Who has one address of such a network has them all.
_IPV6_PREFIX = 64


class Strangers:
    def __init__(self, max_failures: int, clock: Callable[[], float] = time.monotonic) -> None:
        """No limit where `max_failures` is 0."""
        self._max_failures, self._clock = max_failures, clock
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()  # the latest comes last
        self._good: OrderedDict[bytes, None] = OrderedDict()

    def check(self, address: str, key: str) -> None:
        """Raises `RateLimitError` where the key is not to be looked up."""
        failures = self._failures.get(network(address), deque())
        oldest_s = self._clock() - WINDOW_S
        while failures and failures[0] <= oldest_s:
            failures.popleft()
        if len(failures) < self._max_failures or not self._max_failures:
            return
        if _digest(key) not in self._good:
            wait_s = whole_seconds(failures[0] - oldest_s)
            raise RateLimitError(
                f"{self._max_failures} unknown keys came from this address within a minute;"
                f" try again in {wait_s} s",
                retry_after_s=wait_s,
            )

    def note_good(self, key: str) -> None:
        if self._max_failures:
            _remember(self._good, _digest(key), None)

    def note_unknown(self, address: str, key: str) -> None:
        if self._max_failures:
            self._good.pop(_digest(key), None)
            name = network(address)
            failures = self._failures.get(name, deque(maxlen=self._max_failures))
            failures.append(self._clock())
            _remember(self._failures, name, failures)


def network(address: str) -> str:
    """What counts as one address."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:  # a socket without addresses
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((int(parsed), _IPV6_PREFIX), strict=False))


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def _remember(kept: OrderedDict[K, V], name: K, value: V) -> None:
    kept[name] = value
    kept.move_to_end(name)
    if len(kept) > MAX_REMEMBERED:
        kept.popitem(last=False)
