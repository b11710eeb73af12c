"""Connection limiter: a total and a per-IP limit, with eviction of idle connections.

Every connection uses a file descriptor, and the server needs some for itself. At a limit the
connection that has been inactive longest and is idle is closed. If none is idle, the new connection
is rejected.
"""

from __future__ import annotations

import ipaddress
import logging
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Protocol

from daguerre.errors import DaguerreError, RateLimitError, SettingsError, UnavailableError
from daguerre.server.http.logs import ThrottledLogger

# Standard streams, event loop, worker pipes, database, rejected connections that are held, and 32
# evicted ones that are not yet closed.
RESERVED_FILES = 64
_FILES_PER_WORKER = 2  # pipes of each worker after the first
_MIN_CONNECTIONS = 8
# Rejected connections that stay open for a moment to receive the error: in total, and those of one
# IP network.
MAX_HELD_REJECTED, MAX_HELD_PER_IP = 16, 4
# One IPv6 customer usually has a whole network of this size.
_IPV6_PREFIX_BITS = 64

logger = logging.getLogger(__name__)


class Connection(Protocol):
    """A connection that the limiter may close."""

    def is_idle(self) -> bool:
        """Whether no request is in progress, or the client does not read its response."""

    def abort(self) -> None:
        """Closes the connection at once and discards unsent data."""


class ConnectionLimiter:
    """Open connections of a server; `max_per_ip` 0 disables the per-IP limit.

    All methods must be called from the event loop.
    """

    def __init__(
        self,
        max_connections: int,
        max_per_ip: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_connections, self._max_per_ip = max_connections, max_per_ip
        self._ip_networks: dict[Connection, str] = {}  # least recently active first
        self._num_per_ip_network: Counter[str] = Counter()
        self._held_rejected: dict[Connection, str] = {}  # oldest first
        # Name of the setting that is the limit -> number
        self.num_rejected = Counter({"max_connections": 0, "max_connections_per_ip": 0})
        self._log = ThrottledLogger(logger, "%d connections rejected: %s", clock=clock)

    def admit(self, connection: Connection, ip_network: str = "") -> DaguerreError | None:
        """Counts the connection, or returns the error for its client."""
        count, limit, origin = self.num_open, self._max_connections, ""
        setting = "max_connections"
        error: type[DaguerreError] = UnavailableError
        rivals: Iterable[Connection] = self._ip_networks
        if self._max_per_ip and self._num_per_ip_network[ip_network] >= self._max_per_ip:
            count, limit = self._num_per_ip_network[ip_network], self._max_per_ip
            setting, origin = "max_connections_per_ip", " from this IP address"
            error = RateLimitError
            rivals = (other for other, used in self._ip_networks.items() if used == ip_network)
        if count >= limit and not self._evict_one_idle(rivals):
            message = f"{count} connections{origin} are open (limit: {limit})"
            self._log.log(message)
            self.num_rejected[setting] += 1
            return error(message, retry_after_s=1)
        self._ip_networks[connection] = ip_network
        self._num_per_ip_network[ip_network] += 1
        return None

    @property
    def num_open(self) -> int:
        """Admitted connections that are not released."""
        return len(self._ip_networks)

    def touch(self, connection: Connection) -> None:
        """Marks the connection as the most recently active."""
        if connection in self._ip_networks:
            self._ip_networks[connection] = self._ip_networks.pop(connection)

    def release(self, connection: Connection) -> None:
        """Forgets a closed connection, admitted or rejected."""
        self._untrack(connection)
        self._held_rejected.pop(connection, None)

    def try_hold_rejected(self, connection: Connection, ip_network: str = "") -> bool:
        """Whether a rejected connection may stay open to receive its error.

        Closes the oldest one that is held if there are too many.
        """
        held = self._held_rejected
        if list(held.values()).count(ip_network) >= MAX_HELD_PER_IP:
            return False
        if len(held) >= MAX_HELD_REJECTED:
            oldest = next(iter(held))
            del held[oldest]
            oldest.abort()
        held[connection] = ip_network
        return True

    def is_held(self, connection: Connection) -> bool:
        return connection in self._held_rejected

    def _evict_one_idle(self, connections: Iterable[Connection]) -> bool:
        idle = next((connection for connection in connections if connection.is_idle()), None)
        if idle is None:
            return False
        self._untrack(idle)
        idle.abort()
        return True

    def _untrack(self, connection: Connection) -> None:
        ip_network = self._ip_networks.pop(connection, None)
        if ip_network is not None:
            self._num_per_ip_network[ip_network] -= 1
            if not self._num_per_ip_network[ip_network]:
                del self._num_per_ip_network[ip_network]


def client_ip_network(address: str) -> str:
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
    """`max_connections`, or fewer if the process may not open enough files.

    Raises `SettingsError` if fewer than 8 connections would be left.
    """
    max_files = _max_open_files()
    if max_files is None:
        return max_connections
    reserved = RESERVED_FILES + _FILES_PER_WORKER * (num_workers - 1)
    available = max_files - reserved
    if available < _MIN_CONNECTIONS:
        raise SettingsError(
            f"the limit of open files is {max_files}, and the server needs at least"
            f" {reserved + _MIN_CONNECTIONS}; raise the limit (ulimit -n)"
        )
    if available < max_connections:
        logger.warning(
            "max_connections is reduced to %d, because the limit of open files is %d",
            available,
            max_files,
        )
    return min(max_connections, available)


def _max_open_files() -> int | None:
    if sys.platform == "win32":
        return None
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if limit == resource.RLIM_INFINITY else limit
