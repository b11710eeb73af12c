"""Threads for the database calls of a server, with limits on their time and their number.

A database that hangs, or a lock that another process holds, occupies only these threads. After
`CALL_TIMEOUT_S` the connection of a call is shut down, so its thread does not wait for a dead peer.
"""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import sqlalchemy as sa

from daguerre.errors import UnavailableError
from daguerre.storage.database import NUM_CONNECTIONS

# Longer than the other timeouts, so that most calls have ended and their outcome is known.
CALL_TIMEOUT_S = 10.0
RETRY_AFTER_S = 5
MAX_CALLS = 1000
NUM_THREADS = NUM_CONNECTIONS // 2  # for reads, and as many for writes
_LOCK_TIMEOUT_MS, _STATEMENT_TIMEOUT_MS = 5000, 8000
# Until the end of the transaction, because PgBouncer shares connections.
_LIMITS = (
    f"SELECT set_config('lock_timeout', '{_LOCK_TIMEOUT_MS}', true),"
    f" set_config('statement_timeout', '{_STATEMENT_TIMEOUT_MS}', true)"
)

T = TypeVar("T")


@dataclass(eq=False, slots=True)
class _Call:
    connection: Any = None  # the driver's, while the call uses it


@asynccontextmanager
async def time_limit() -> AsyncIterator[None]:
    """Raises `UnavailableError` after `CALL_TIMEOUT_S`."""
    try:
        async with asyncio.timeout(CALL_TIMEOUT_S):
            yield
    except TimeoutError as error:
        message = f"the database did not respond within {CALL_TIMEOUT_S:g} s; try again"
        raise UnavailableError(message, retry_after_s=RETRY_AFTER_S) from error


class DatabaseThreads:
    """Runs blocking calls that use `database`; its methods are used from one event loop."""

    def __init__(self, database: sa.Engine, num_threads: int = NUM_THREADS) -> None:
        self._executor = ThreadPoolExecutor(num_threads, "database")
        self._local, self._lock = threading.local(), threading.Lock()
        self._running: set[_Call] = set()
        self._num_calls = 0
        # Before the listener that pings the connection, which may hang.
        sa.event.listen(database, "checkout", self._set_connection, insert=True)
        sa.event.listen(database, "checkin", self._unset_connection)
        sa.event.listen(database, "close", self._unset_connection)
        if database.dialect.name == "postgresql":
            sa.event.listen(database, "begin", self._limit_statements)

    async def call(self, function: Callable[..., T], *arguments: object) -> T:
        """Calls `function` in a thread.

        Raises `UnavailableError` after `CALL_TIMEOUT_S`, or if `MAX_CALLS` are in progress.
        """
        if self._num_calls >= MAX_CALLS:
            raise UnavailableError(
                f"{MAX_CALLS} requests wait for the database, which is the limit; try again",
                retry_after_s=RETRY_AFTER_S,
            )
        call, loop = _Call(), asyncio.get_running_loop()
        aborting = loop.call_later(CALL_TIMEOUT_S, self._abort, call)
        self._num_calls += 1
        try:
            async with time_limit():
                result = await loop.run_in_executor(
                    self._executor, self._run, call, function, *arguments
                )
            aborting.cancel()  # but not if the request has left before its call ended
            return result
        finally:
            self._num_calls -= 1

    def close(self) -> None:
        """Aborts all calls."""
        self._executor.shutdown(wait=False, cancel_futures=True)
        for call in tuple(self._running):
            self._abort(call)

    def _run(self, call: _Call, function: Callable[..., T], *arguments: object) -> T:
        self._local.call = call
        self._running.add(call)
        try:
            return function(*arguments)
        finally:
            self._running.discard(call)
            self._local.call = None

    def _abort(self, call: _Call) -> None:
        """Ends the connection of a call, whose thread then gets an error. SQLite has none."""
        with self._lock:
            if not getattr(call.connection, "closed", True):
                copy = socket.socket(fileno=os.dup(call.connection.fileno()))
                with copy, suppress(OSError):  # the peer has closed it
                    copy.shutdown(socket.SHUT_RDWR)

    def _set_connection(self, connection: Any, record: Any, proxy: Any) -> None:
        if call := self._current():
            call.connection = connection

    def _unset_connection(self, connection: Any, record: Any) -> None:
        if call := self._current():
            with self._lock:
                call.connection = None

    def _limit_statements(self, connection: sa.Connection) -> None:
        if self._current():
            connection.exec_driver_sql(_LIMITS)

    def _current(self) -> _Call | None:
        """The call of this thread; None in a thread of another user of the database."""
        return getattr(self._local, "call", None)
