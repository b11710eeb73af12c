"""Database calls of a server: limits on their time and number, and threads that do not get lost."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from conftest import PATIENCE_S, wait_until
from postgresql import Cluster
from sqlalchemy.exc import OperationalError

from daguerre.errors import UnavailableError
from daguerre.storage import database_threads as module
from daguerre.storage.database import open_database
from daguerre.storage.database_threads import NUM_THREADS, DatabaseThreads


def run(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(main)


def opened(url: str = "") -> tuple[sa.Engine, DatabaseThreads]:
    database = open_database(url, Path()) if url else sa.create_engine("sqlite://")
    return database, DatabaseThreads(database)


def query(database: sa.Engine, statement: str) -> Callable[[], Any]:
    def execute() -> Any:
        with database.connect() as connection:
            return connection.execute(sa.text(statement)).scalar()

    return execute


async def wait_for_idle(threads: DatabaseThreads) -> None:
    await asyncio.to_thread(wait_until, lambda: not threads._running)


def test_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that takes too long is a 503 with a Retry-After."""
    monkeypatch.setattr(module, "CALL_TIMEOUT_S", 0.05)
    is_over = threading.Event()

    async def main() -> None:
        _, threads = opened()
        with pytest.raises(UnavailableError, match="did not respond within 0.05 s") as caught:
            await threads.call(is_over.wait, PATIENCE_S)
        assert caught.value.retry_after_s == 5
        is_over.set()

    run(main())


def test_limit_on_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Above the limit a call is rejected at once; a call that its caller has left does not run."""
    monkeypatch.setattr(module, "MAX_CALLS", NUM_THREADS + 1)
    is_over = threading.Event()
    ran: list[int] = []

    async def main() -> None:
        _, threads = opened()
        running = [
            asyncio.create_task(threads.call(is_over.wait, PATIENCE_S)) for _ in range(NUM_THREADS)
        ]
        queued = asyncio.create_task(threads.call(ran.append, 1))
        await asyncio.sleep(0)
        with pytest.raises(UnavailableError, match="5 requests wait for the database") as caught:
            await threads.call(ran.append, 2)
        assert caught.value.retry_after_s == 5
        queued.cancel()
        await asyncio.wait([queued])
        is_over.set()
        await asyncio.gather(*running)
        await threads.call(ran.append, 3)

    run(main())
    assert ran == [3]


def test_hung_connection_is_given_up(postgresql: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections whose PostgreSQL process hangs are replaced, and their threads work again."""
    monkeypatch.setattr(module, "CALL_TIMEOUT_S", PATIENCE_S)  # of the calls that do not hang
    together = threading.Barrier(NUM_THREADS)

    async def main() -> None:
        database, threads = opened(postgresql.new_database())

        def identify(*, waits: bool) -> Any:
            with database.connect() as connection:
                if waits:  # so that each call has its own connection
                    together.wait(PATIENCE_S)
                return connection.execute(sa.text("SELECT pg_backend_pid()")).scalar()

        calls = [threads.call(partial(identify, waits=True)) for _ in range(NUM_THREADS)]
        hung = set(await asyncio.gather(*calls))
        assert len(hung) == NUM_THREADS
        for process in hung:
            os.kill(process, signal.SIGSTOP)
        try:
            with monkeypatch.context() as patch:
                patch.setattr(module, "CALL_TIMEOUT_S", 2.0)
                calls = [threads.call(partial(identify, waits=False)) for _ in range(NUM_THREADS)]
                ends = await asyncio.gather(*calls, return_exceptions=True)
            assert [type(end) for end in ends] == [UnavailableError] * NUM_THREADS
            await wait_for_idle(threads)
            assert await threads.call(partial(identify, waits=False)) not in hung
        finally:
            for process in hung:
                os.kill(process, signal.SIGCONT)
        database.dispose()

    run(main())


def test_close_ends_calls(postgresql: Cluster) -> None:
    """A server that stops does not wait for PostgreSQL."""

    async def main() -> None:
        database, threads = opened(postgresql.new_database())
        await threads.call(query(database, "SELECT 1"))
        call = asyncio.create_task(threads.call(query(database, "SELECT pg_sleep(600)")))
        await asyncio.to_thread(
            wait_until, lambda: any(call.connection for call in tuple(threads._running))
        )
        threads.close()
        with pytest.raises(OperationalError):
            await call
        database.dispose()

    run(main())


def test_limits_of_postgresql(postgresql: Cluster) -> None:
    """A call has limits on locks and statements until its transaction ends; others have none."""

    async def main() -> None:
        database, threads = opened(postgresql.new_database())
        show = [query(database, f"SHOW {name}_timeout") for name in ("lock", "statement")]
        assert [await threads.call(limit) for limit in show] == ["5s", "8s"]
        assert [limit() for limit in show] == ["0", "0"]
        database.dispose()

    run(main())
