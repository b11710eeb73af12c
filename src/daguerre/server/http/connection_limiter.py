"""How many connections may be open at a time, of all and of each address, and which goes when one
more comes.

Every connection takes one of the files that a process may have open, and the server needs some for
itself. Where all places are taken, the connection that has been quiet the longest makes room, be it
idle or not reading its answer; where none is quiet, the newcomer is refused. Knows no HTTP.
"""

from __future__ import annotations

import ipaddress
import logging
import sys
import time
from collections import Counter
from collections.abc import Callable, Collection
from typing import Protocol

from daguerre.errors import DaguerreError, RateLimitError, SettingsError, UnavailableError
from daguerre.server.http.logs import ThrottledLogger

# Standard streams, the event loop, the engine's pipes, the database, and connections that are
# accepted and not yet counted, or refused and not yet closed.
RESERVED_FILES = 40
_FILES_OF_WORKER = 2  # pipes, of each beside the first
_MIN_CONNECTIONS = 8
# Refused connections that may stay for a moment, to be told why.
MAX_REFUSED = 8
# One IPv6 customer usually has a whole network of this size.
_IPV6_PREFIX_BITS = 64

logger = logging.getLogger(__name__)


class Connection(Protocol):
    """A connection."""

    def is_quiet(self) -> bool:
        """Idle for a while, or its answer is not taken."""

    def drop(self) -> None:
        """Closes it at once, whatever is still to be sent."""


class ConnectionLimiter:
    """Used from the event loop only."""

    def __init__(
        self,
        max_connections: int,
        max_per_address: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """No limit for an address where `max_per_address` is 0."""
        self._max_connections, self._max_per_address = max_connections, max_per_address
        self._guests: dict[
            Connection, str
        ] = {}  # with their addresses; who was heard last comes last
        self._num_of: Counter[str] = Counter()
        self._refused: set[Connection] = set()
        self._log = ThrottledLogger(logger, "%d connections refused: %s", clock)

    def enter(self, guest: Connection, address: str = "") -> DaguerreError | None:
        """What the newcomer is to be told where there is no room."""
        if self._max_per_address and self._num_of[address] >= self._max_per_address:
            own = [other for other, of in self._guests.items() if of == address]
            if not self._dismiss_one(own):
                return self._refusal(f"{len(own)} connections from this address", RateLimitError)
        elif len(self._guests) >= self._max_connections and not self._dismiss_one(self._guests):
            return self._refusal(f"{len(self._guests)} connections", UnavailableError)
        self._guests[guest] = address
        self._num_of[address] += 1
        return None

    def _dismiss_one(self, guests: Collection[Connection]) -> bool:
        """Whether one of them was quiet."""
        quiet = next((guest for guest in guests if guest.is_quiet()), None)
        if quiet is None:
            return False
        self._forget(quiet)
        quiet.drop()
        return True

    def _forget(self, guest: Connection) -> None:
        address = self._guests.pop(guest, None)
        if address is not None:
            self._num_of[address] -= 1
            if not self._num_of[address]:
                del self._num_of[address]

    def may_stay(self, guest: Connection) -> bool:
        """Whether a connection that was refused can be told so."""
        if len(self._refused) >= MAX_REFUSED:
            return False
        self._refused.add(guest)
        return True

    def note(self, guest: Connection) -> None:
        """It has sent something."""
        if guest in self._guests:
            self._guests[guest] = self._guests.pop(guest)

    def leave(self, guest: Connection) -> None:
        self._forget(guest)
        self._refused.discard(guest)

    def _refusal(self, open_now: str, kind: type[DaguerreError]) -> DaguerreError:
        told = f"{open_now} are open, the most that are taken"
        self._log.warn(told)
        return kind(told, retry_after_s=1)


def client_network(address: str) -> str:
    """The unit of per-IP limits: the IPv4 address, or the /64 network of an IPv6 address."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:  # a Unix socket has no address
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((int(parsed), _IPV6_PREFIX_BITS), strict=False))


def clamp_to_open_file_limit(max_connections: int, num_workers: int = 1) -> int:
    """So many, or as many as the limit of open files leaves. Raises `SettingsError` for too few."""
    reserved = RESERVED_FILES + _FILES_OF_WORKER * (num_workers - 1)
    limit = _max_files()
    if limit is None:
        return max_connections
    room = limit - reserved
    if room < _MIN_CONNECTIONS:
        raise SettingsError(
            f"at most {limit} files may be open, and the server needs"
            f" {reserved + _MIN_CONNECTIONS}; raise the limit (ulimit -n)"
        )
    if room < max_connections:
        logger.warning("at most %d connections: only %d files may be open", room, limit)
    return min(max_connections, room)


def _max_files() -> int | None:
    if sys.platform == "win32":
        return None
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if limit == resource.RLIM_INFINITY else limit
