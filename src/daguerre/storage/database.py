"""Opening the database: SQLite in the data folder, or another one by its URL.

SQLite runs in WAL, so that readers never wait for a writer; a transaction that will write takes the
write lock when it begins (`is_writing`), so that it never fails half way. The file is private.
A connection to another database is not waited for without end.
Knows nothing of what the tables hold.
"""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from sqlite3 import Connection as SQLiteConnection
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from daguerre.config import Settings
from daguerre.errors import SettingsError
from daguerre.storage import data_dir
from daguerre.storage.migrations import migrate

FILE_NAME = "daguerre.db"
_BUSY_TIMEOUT_MS = 10_000
_CONNECT_TIMEOUT_S = 10
# psycopg 3 whatever the scheme, also the short one that hosting services hand out.
_DRIVERS = {"postgres": "postgresql+psycopg", "postgresql": "postgresql+psycopg"}


def open_database(settings: Settings) -> Engine:
    """An engine on a database whose tables are up to date."""
    url = _url(settings)
    engine = _engine(url)
    try:
        file = _sqlite_file(url)
        with data_dir.locked(file) if file else nullcontext():
            _prepare(engine, file)
    except SettingsError:
        engine.dispose()
        raise
    except (TypeError, ValueError) as error:  # from a driver's own reading of the URL
        engine.dispose()
        raise _bad_parameter(error) from None
    except SQLAlchemyError as error:
        engine.dispose()
        raise SettingsError(
            f"cannot open the database {_shown(url)}: {reason(error)};"
            " check --home and DAGUERRE_DATABASE_URL"
        ) from error
    return engine


def _bad_parameter(error: Exception) -> SettingsError:
    return SettingsError(
        f"the database URL has a host or a parameter that its driver refuses: {error}; check"
        " DAGUERRE_DATABASE_URL"
    )


def _shown(url: URL) -> str:
    """Parameters may be secrets, too, as PostgreSQL's password and sslpassword are."""
    return url.set(query={}).render_as_string(hide_password=True)


def reason(error: SQLAlchemyError) -> str:
    """The driver's own words in one line, without the statement and its values."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
    return str(cause).strip().split("\n", 1)[0]


def _url(settings: Settings) -> URL:
    if not settings.database_url:
        folder = data_dir.prepare(settings.data_dir())
        return URL.create("sqlite", database=str(folder / FILE_NAME))
    try:
        url = make_url(settings.database_url)
    except (ArgumentError, ValueError):  # the latter for a port that is no number
        # The value may hold a password, so it is not repeated.
        raise SettingsError(
            "the database URL cannot be read; it must look like"
            " postgresql://user:password@host/name or sqlite:////folder/file.db"
        ) from None
    if "@" in (url.host or ""):  # the rest of a password, which a driver would repeat
        raise SettingsError(
            "the database URL has a bare @ in its user or password; write it as %40"
        )
    return url.set(drivername=_DRIVERS.get(url.drivername, url.drivername))


def _engine(url: URL) -> Engine:
    try:
        engine = create_engine(url, hide_parameters=True, **_patience(url))
    except (NoSuchModuleError, ImportError) as error:  # the latter also without a library of C
        told = str(error).split("\n", 1)[0]
        raise SettingsError(
            f"no driver for the database {url.drivername} is installed ({told});"
            " for PostgreSQL: pip install 'daguerre[postgresql]'"
        ) from None
    except (ArgumentError, TypeError, ValueError) as error:
        raise _bad_parameter(error) from None
    if _is_sqlite(url):
        event.listen(engine, "connect", _configure)
        event.listen(engine, "begin", _begin)
    return engine


def _patience(url: URL) -> dict[str, Any]:
    """Bounds how long a connection is waited for; what the URL itself says goes first."""
    if _is_sqlite(url):
        return {}
    own: dict[str, int] = {}
    if url.get_driver_name() in ("psycopg", "psycopg2"):
        # The second one ends a connection whose other side has vanished, where TCP would wait on.
        own = {
            "connect_timeout": _CONNECT_TIMEOUT_S,
            "tcp_user_timeout": _CONNECT_TIMEOUT_S * 1000,
        }
    return {
        "pool_pre_ping": True,
        "pool_timeout": _CONNECT_TIMEOUT_S,
        "connect_args": {name: own[name] for name in own if name not in url.query},
    }


def _is_sqlite(url: URL) -> bool:
    return url.get_backend_name() == "sqlite"


def _sqlite_file(url: URL) -> Path | None:
    in_memory = url.database in (None, "", ":memory:")
    return Path(str(url.database)) if _is_sqlite(url) and not in_memory else None


def _prepare(engine: Engine, file: Path | None) -> None:
    if file:
        data_dir.make_private(file)
        for companion in (Path(f"{file}-wal"), Path(f"{file}-shm")):
            if companion.exists():
                data_dir.make_private(companion)
    with engine.connect() as connection:
        if file:
            connection.exec_driver_sql("PRAGMA journal_mode = WAL")
            connection.rollback()
        with connection.execution_options(is_writing=True).begin():
            migrate(connection)


def _configure(connection: SQLiteConnection, record: Any) -> None:
    # No transactions behind our back: `_begin` starts those that write, and reads need none.
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}").close()
    # With less, a power cut could bring back a key that was given up.
    connection.execute("PRAGMA synchronous = FULL").close()


def _begin(connection: Connection) -> None:
    if connection.get_execution_options().get("is_writing"):
        connection.exec_driver_sql("BEGIN IMMEDIATE")
