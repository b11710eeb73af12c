"""Opens the database: SQLite in the data directory, or another one by its URL.

SQLite runs in WAL mode, so readers never wait for a writer. Its file is private.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from sqlite3 import Connection as SQLiteConnection
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from daguerre.errors import SettingsError, UnavailableError
from daguerre.storage import data_dir
from daguerre.storage.migrations import migrate

FILE_NAME = "daguerre.db"
_BUSY_TIMEOUT_MS = 10_000
_CONNECT_TIMEOUT_S = 10
CALL_TIMEOUT_S = 10.0
# psycopg 3 for every scheme, including the short one that hosting services use.
_DRIVERS = {"postgres": "postgresql+psycopg", "postgresql": "postgresql+psycopg"}


T = TypeVar("T")


def open_database(url: str, home: Path) -> Engine:
    """An engine on a database with the current schema; without a `url`, a file in `home`."""
    if url:
        parsed = _parse_url(url)
    else:
        parsed = URL.create("sqlite", database=str(data_dir.prepare(home) / FILE_NAME))
    engine = _create_engine(parsed)
    try:
        with _readable_errors(parsed):
            _prepare(engine, parsed)
    except SettingsError:
        engine.dispose()
        raise
    return engine


@contextmanager
def write_transaction(engine: Engine) -> Iterator[Connection]:
    """A transaction that takes SQLite's write lock at its start, so it cannot fail halfway."""
    with engine.connect() as connection:
        with connection.execution_options(is_writing=True).begin():
            yield connection


async def call_database(function: Callable[..., T], *arguments: object) -> T:
    """Calls a blocking function in a thread; raises `UnavailableError` if it takes too long."""
    try:
        async with asyncio.timeout(CALL_TIMEOUT_S):
            return await asyncio.to_thread(function, *arguments)
    except TimeoutError as error:
        message = f"the database did not respond within {CALL_TIMEOUT_S:g} s"
        raise UnavailableError(message) from error


def driver_message(error: Exception) -> str:
    """The first line of the driver's message, without the statement and its values."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
    return str(cause).strip().split("\n", 1)[0]


@contextmanager
def _readable_errors(url: URL) -> Iterator[None]:
    try:
        yield
    except (TypeError, ValueError) as error:  # from the driver's own parser of the URL
        raise _bad_parameter(error) from None
    except SQLAlchemyError as error:
        safe_url = url.set(query={})  # a parameter may be a secret, for example sslpassword
        raise SettingsError(
            f"cannot open the database {safe_url.render_as_string()}: {driver_message(error)};"
            " check --database-url (DAGUERRE_DATABASE_URL), or --home for SQLite"
        ) from error


def _bad_parameter(error: Exception) -> SettingsError:
    return SettingsError(
        f"the driver rejects a host or a parameter of the database URL: {error}; check"
        " DAGUERRE_DATABASE_URL"
    )


def _parse_url(text: str) -> URL:
    """The messages do not repeat the URL, because it may contain a password."""
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):  # ValueError for a port that is not a number
        raise SettingsError(
            "the database URL is malformed; it must look like"
            " postgresql://user:password@host/name or sqlite:////folder/file.db"
        ) from None
    if "@" in (url.host or ""):  # part of a password, which a driver would repeat
        raise SettingsError(
            "the database URL has an unescaped @ in its user or password; write it as %40"
        )
    return url.set(drivername=_DRIVERS.get(url.drivername, url.drivername))


def _create_engine(url: URL) -> Engine:
    try:
        engine = create_engine(url, hide_parameters=True, **_engine_options(url))
    except (NoSuchModuleError, ImportError) as error:  # ImportError also for a missing C library
        raise SettingsError(
            f"no driver for the database {url.drivername} is installed ({driver_message(error)});"
            " for PostgreSQL: pip install 'daguerre[postgresql]'"
        ) from None
    except (ArgumentError, TypeError, ValueError) as error:
        raise _bad_parameter(error) from None
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _configure)
        event.listen(engine, "begin", _begin)
    return engine


def _engine_options(url: URL) -> dict[str, Any]:
    """Timeouts for connections to a database server; parameters of the URL take precedence."""
    if url.get_backend_name() == "sqlite":
        return {}
    timeouts: dict[str, int] = {}
    if url.get_driver_name() in ("psycopg", "psycopg2"):
        # tcp_user_timeout ends a connection whose peer has vanished.
        in_ms = _CONNECT_TIMEOUT_S * 1000
        timeouts = {"connect_timeout": _CONNECT_TIMEOUT_S, "tcp_user_timeout": in_ms}
    return {
        "pool_pre_ping": True,
        "pool_timeout": _CONNECT_TIMEOUT_S,
        "connect_args": {name: timeouts[name] for name in timeouts if name not in url.query},
    }


def _prepare(engine: Engine, url: URL) -> None:
    """Migrates the schema, under a lock that excludes other processes from a new file."""
    has_file = engine.dialect.name == "sqlite" and url.database not in (None, "", ":memory:")
    file = Path(str(url.database))
    with data_dir.locked(file) if has_file else nullcontext():
        if has_file:
            data_dir.make_private(file)
            for companion in (Path(f"{file}-wal"), Path(f"{file}-shm")):
                if companion.exists():
                    data_dir.make_private(companion)
            with engine.connect() as connection:
                connection.exec_driver_sql("PRAGMA journal_mode = WAL")
        with write_transaction(engine) as connection:
            migrate(connection)


def _configure(connection: SQLiteConnection, record: Any) -> None:
    # No implicit transactions: `_begin` starts those that write, and reads need none.
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}").close()
    # With less, a power failure could restore a key that was rotated.
    connection.execute("PRAGMA synchronous = FULL").close()


def _begin(connection: Connection) -> None:
    if connection.get_execution_options().get("is_writing"):
        connection.exec_driver_sql("BEGIN IMMEDIATE")
