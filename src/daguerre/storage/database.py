"""Opens the database: SQLite in the data directory, or another one by its URL.

SQLite runs in WAL mode, so readers never wait for a writer. Its file is private.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from sqlite3 import Connection as SQLiteConnection
from typing import Any

from sqlalchemy import URL, Connection, Dialect, Engine, create_engine, event, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    InvalidatePoolError,
    NoSuchModuleError,
    SQLAlchemyError,
)
from sqlalchemy.pool import SingletonThreadPool

from daguerre.errors import SettingsError
from daguerre.storage import data_dir
from daguerre.storage.migrations import migrate

FILE_NAME = "daguerre.db"
NUM_CONNECTIONS = 8  # that a process keeps open
_BUSY_TIMEOUT_MS = 8000
_REPEATABLE_READ = {"isolation_level": "REPEATABLE READ"}
_UNIX_TIME = "SELECT extract(epoch FROM clock_timestamp())"
_CONNECT_TIMEOUT_S, _TCP_USER_TIMEOUT_MS = 5, 8000
# psycopg 3 for every scheme, including the short one that hosting services use.
_DRIVERS = {"postgres": "postgresql+psycopg", "postgresql": "postgresql+psycopg"}


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
def write_transaction(engine: Engine, *, is_durable: bool = True) -> Iterator[Connection]:
    """A transaction that takes SQLite's write lock at its start, so it cannot fail halfway.

    One that is not durable does not wait for the disk; a power failure may undo it.
    """
    with engine.connect() as connection:
        with connection.execution_options(is_writing=True, is_durable=is_durable).begin():
            if connection.dialect.name == "postgresql" and not is_durable:
                connection.exec_driver_sql("SET LOCAL synchronous_commit = off")
            yield connection


@contextmanager
def read_transaction(engine: Engine) -> Iterator[Connection]:
    """A transaction that only reads, and sees the state of its first read throughout."""
    is_sqlite = engine.dialect.name == "sqlite"
    option: dict[str, Any] = {"is_snapshot": True} if is_sqlite else _REPEATABLE_READ
    with engine.connect() as connection:
        with connection.execution_options(**option).begin():
            yield connection


def database_time(connection: Connection) -> float:
    """Unix time in seconds, by a clock that all users of the database share."""
    if connection.dialect.name != "postgresql":
        return time.time()
    return float(connection.exec_driver_sql(_UNIX_TIME).scalar_one())


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
    if isinstance(engine.pool, SingletonThreadPool):
        raise SettingsError(
            "the database URL names an SQLite database in memory, which threads cannot share; it"
            " must name a file, such as sqlite:////folder/file.db"
        )
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _configure)
        event.listen(engine, "begin", _begin)
    else:
        event.listen(engine, "checkout", partial(_ping, engine.dialect))
    return engine


def _engine_options(url: URL) -> dict[str, Any]:
    """Timeouts for connections to a database server; parameters of the URL take precedence."""
    if url.get_backend_name() == "sqlite":
        return {"pool_size": NUM_CONNECTIONS}
    timeouts: dict[str, int] = {}
    if url.get_driver_name() in ("psycopg", "psycopg2"):
        # tcp_user_timeout ends a connection whose peer has vanished.
        timeouts["connect_timeout"] = _CONNECT_TIMEOUT_S
        timeouts["tcp_user_timeout"] = _TCP_USER_TIMEOUT_MS
    return {
        "pool_size": NUM_CONNECTIONS,
        "pool_timeout": _CONNECT_TIMEOUT_S,
        "connect_args": {name: timeouts[name] for name in timeouts if name not in url.query},
    }


def _ping(dialect: Dialect, connection: Any, record: Any, proxy: Any) -> None:
    """Replaces connections that the server has closed, like `pool_pre_ping`, but in a listener."""
    try:
        dialect.do_ping(connection)
    except dialect.loaded_dbapi.Error as error:
        raise InvalidatePoolError from error


def _prepare(engine: Engine, url: URL) -> None:
    """Migrates the schema, under a lock that excludes other processes from a new file."""
    has_file = engine.dialect.name == "sqlite"
    file = Path(str(url.database))
    option = "--database-url, or with --home"
    with data_dir.locked(file, option=option) if has_file else nullcontext():
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


def _begin(connection: Connection) -> None:
    options = connection.get_execution_options()
    if options.get("is_writing"):
        # With less than FULL, a power failure could restore a key that was rotated.
        level = "FULL" if options["is_durable"] else "NORMAL"
        connection.exec_driver_sql(f"PRAGMA synchronous = {level}")
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    elif options.get("is_snapshot"):
        connection.exec_driver_sql("BEGIN")
