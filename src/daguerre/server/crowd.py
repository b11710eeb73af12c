"""How many connections may be open at a time, and which goes when one more comes.

Every connection takes one of the files that a process may have open, and the server needs some for
itself. Where all places are taken, the connection that has been quiet the longest makes room, be it
idle or not reading its answer; where none is quiet, the newcomer is refused. Knows no HTTP.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from typing import Protocol

from daguerre.errors import SettingsError

# Standard streams, the event loop, the engine's pipes, the database, and connections that are
# accepted and not yet counted, or refused and not yet closed.
RESERVED_FILES = 40
_MIN_CONNECTIONS = 8
# Refused connections that may stay for a moment, to be told why.
MAX_REFUSED = 8
_LOG_S = 10.0

logger = logging.getLogger(__name__)


class Guest(Protocol):
    """A connection."""

    def is_quiet(self) -> bool:
        """Idle for a while, or its answer is not taken."""

    def drop(self) -> None:
        """Closes it at once, whatever is still to be sent."""


class Crowd:
    """Used from the event loop only."""

    def __init__(self, max_connections: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.max_connections = max_connections
        self._guests: dict[Guest, None] = {}  # whoever was heard last comes last
        self._refused: set[Guest] = set()
        self._clock = clock
        self._num_refused = 0  # that the log does not have yet
        self._silent_until_s = float("-inf")

    def enter(self, guest: Guest) -> bool:
        """False where there is no room."""
        if len(self._guests) >= self.max_connections:
            quiet = next((other for other in self._guests if other.is_quiet()), None)
            if quiet is None:
                self._note_refusal()
                return False
            del self._guests[quiet]
            quiet.drop()
        self._guests[guest] = None
        return True

    def may_stay(self, guest: Guest) -> bool:
        """Whether a connection that was refused can be told so."""
        if len(self._refused) >= MAX_REFUSED:
            return False
        self._refused.add(guest)
        return True

    def note(self, guest: Guest) -> None:
        """It has sent something."""
        if guest in self._guests:
            del self._guests[guest]
            self._guests[guest] = None

    def leave(self, guest: Guest) -> None:
        self._guests.pop(guest, None)
        self._refused.discard(guest)

    def _note_refusal(self) -> None:
        self._num_refused += 1
        if self._clock() >= self._silent_until_s:
            logger.warning(
                "%d connections refused: %d are open, the most that are taken",
                self._num_refused,
                len(self._guests),
            )
            self._num_refused, self._silent_until_s = 0, self._clock() + _LOG_S


def affordable(max_connections: int) -> int:
    """So many, or as many as the limit of open files leaves. Raises `SettingsError` for too few."""
    limit = _max_files()
    if limit is None:
        return max_connections
    room = limit - RESERVED_FILES
    if room < _MIN_CONNECTIONS:
        raise SettingsError(
            f"at most {limit} files may be open, and the server needs"
            f" {RESERVED_FILES + _MIN_CONNECTIONS}; raise the limit (ulimit -n)"
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
