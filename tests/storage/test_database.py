"""Opening the database: concurrently, older, newer, damaged, by URL."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from conftest import MODEL, database_file, mode
from postgresql import Cluster
from sqlalchemy import Table, create_engine, inspect, make_url, text
from sqlalchemy.exc import SQLAlchemyError

from daguerre.config import Settings
from daguerre.errors import SettingsError
from daguerre.storage import (
    data_dir,
    database,
    idempotency_keys,
    migrations,
    rate_limits,
    resources,
    server_leases,
)
from daguerre.storage.resources import ResourceStore


def test_wal(settings: Settings, store: ResourceStore) -> None:
    """The database is in WAL mode, so a reader does not wait for a writer."""
    _, key = store.create(MODEL, "DIFFUSION")
    with closing(sqlite3.connect(database_file(settings), isolation_level=None)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("DELETE FROM daguerre_resources")
        assert store.authenticate(key) is not None
        connection.execute("ROLLBACK")


def test_commits_survive_a_power_failure(settings: Settings) -> None:
    """A commit waits for the disk, so no rotated key comes back, unless it need not be durable."""
    engine = database.open_database(settings.database_url, settings.data_dir())
    full, normal = 2, 1
    for is_durable, level in ((True, full), (False, normal), (True, full)):
        with database.write_transaction(engine, is_durable=is_durable) as connection:
            assert connection.execute(text("PRAGMA synchronous")).scalar() == level
    engine.dispose()


def test_durable_commits_of_postgresql(postgresql: Cluster) -> None:
    """Only a transaction that need not be durable does not wait for the disk."""
    engine = database.open_database(postgresql.new_database(), Path())
    for is_durable, level in ((True, "on"), (False, "off"), (True, "on")):
        with database.write_transaction(engine, is_durable=is_durable) as connection:
            assert connection.execute(text("SHOW synchronous_commit")).scalar() == level
    engine.dispose()


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2"])
def test_postgresql_timeouts(scheme: str) -> None:
    """Connections to PostgreSQL have timeouts; those in the URL take precedence."""
    url = f"{scheme}://user@host/name"
    options = database._engine_options(database._parse_url(url))
    assert options["connect_args"] == {"connect_timeout": 5, "tcp_user_timeout": 8000}
    options = database._engine_options(database._parse_url(f"{url}?connect_timeout=3"))
    assert options["connect_args"] == {"tcp_user_timeout": 8000}


def test_two_processes_open_at_once(on_each_database: Settings) -> None:
    """Processes that open an empty database at once all get a working store, migrated once."""
    code = (
        "import sys; from pathlib import Path;"
        "from daguerre.storage.resources import ResourceStore;"
        "print('ready', flush=True); sys.stdin.readline();"
        "store = ResourceStore.open(sys.argv[2], Path(sys.argv[1]));"
        "print(store.create('m', sys.argv[3])[0].alias); store.close()"
    )
    home, url = on_each_database.data_dir(), on_each_database.database_url
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, home, url, f"A{index}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in range(4)
    ]
    for process in processes:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    outputs = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, outputs
    store = ResourceStore.open(on_each_database.database_url, on_each_database.data_dir())
    assert {resource.alias for resource in store.list()} == {"A0", "A1", "A2", "A3"}
    store.close()


TABLES = [
    *(module._TABLE for module in (resources, idempotency_keys, rate_limits)),
    *(server_leases._SERVERS, server_leases._FINGERPRINTS),
]


@pytest.mark.parametrize("table", TABLES, ids=str)
def test_tables_match_the_migrations(on_each_database: Settings, table: Table) -> None:
    """The migrations create the columns that the code uses."""
    engine = database.open_database(on_each_database.database_url, on_each_database.data_dir())
    made = {
        (column["name"], str(column["type"])) for column in inspect(engine).get_columns(table.name)
    }
    engine.dispose()
    assert made == {(column.name, str(column.type)) for column in table.columns}


def test_only_missing_migrations_run() -> None:
    """A migration runs once; a new one runs on a database that has the older ones."""
    one, two = ("CREATE TABLE one (id TEXT)",), ("CREATE TABLE two (id TEXT)",)
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        migrations.migrate(connection, (one,))
        migrations.migrate(connection, (one,))
        migrations.migrate(connection, (one, two))
        assert {"one", "two"} <= set(inspect(connection).get_table_names())
    engine.dispose()


def test_failed_migration_leaves_nothing(on_each_database: Settings) -> None:
    """If a migration fails, the earlier ones of the same transaction are undone, too."""
    later = (*migrations.MIGRATIONS, ("CREATE TABLE half_way (id TEXT)",), ("NO SQL",))
    engine = database.open_database(on_each_database.database_url, on_each_database.data_dir())
    with pytest.raises(SQLAlchemyError), database.write_transaction(engine) as connection:
        migrations.migrate(connection, later)
    with engine.connect() as connection:
        tables = inspect(connection).get_table_names()
        version = connection.execute(text("SELECT max(version) FROM daguerre_migrations")).scalar()
    engine.dispose()
    assert "daguerre_idempotency_keys" in tables and "half_way" not in tables
    assert version == len(migrations.MIGRATIONS)


def test_newer_database_is_refused(on_each_database: Settings) -> None:
    """A database with unknown migrations is not touched."""
    engine = database.open_database(on_each_database.database_url, on_each_database.data_dir())
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO daguerre_migrations VALUES (999)"))
    engine.dispose()
    with pytest.raises(SettingsError, match="version 999, written by a newer daguerre"):
        ResourceStore.open(on_each_database.database_url, on_each_database.data_dir())


def test_damaged_database(settings: Settings) -> None:
    """A file that is not a database is an error of one line that names it."""
    data_dir.prepare(settings.data_dir())
    database_file(settings).write_bytes(b"this is not a database" * 100)
    with pytest.raises(SettingsError, match="not a database") as caught:
        ResourceStore.open(settings.database_url, settings.data_dir())
    assert str(database_file(settings)) in caught.value.message
    assert "\n" not in caught.value.message


def test_keys_are_not_in_the_files(settings: Settings, store: ResourceStore) -> None:
    """No file in the data directory contains more of a key than its prefix."""
    _, key = store.create(MODEL, "DIFFUSION")
    rotated = store.rotate("DIFFUSION")
    store.close()
    files = list(settings.data_dir().iterdir())
    assert database_file(settings) in files
    for path in files:
        content = path.read_bytes()
        assert key[:12].encode() not in content and rotated[:12].encode() not in content


@pytest.mark.parametrize(
    ("name", "message"),
    [("nobody", 'role "nobody" does not exist'), ("stranger", "permission denied for schema")],
)
def test_postgresql_denies_access(postgresql: Cluster, name: str, message: str) -> None:
    """A role without access or permissions is an error of one line, without the password."""
    url = make_url(postgresql.new_database()).set(username=name, password="hunter2")
    if name == "stranger":
        postgresql.run("DROP ROLE IF EXISTS stranger")
        postgresql.run("CREATE ROLE stranger LOGIN")
    with pytest.raises(SettingsError, match=message) as caught:
        ResourceStore.open(url.render_as_string(hide_password=False), Path())
    assert "hunter2" not in caught.value.message and "\n" not in caught.value.message


def test_broken_connections_are_replaced(postgresql: Cluster) -> None:
    """Pooled connections that PostgreSQL has closed are replaced without an error."""
    store = ResourceStore.open(postgresql.new_database(), Path())
    _, key = store.create(MODEL, "DIFFUSION")
    records = idempotency_keys.IdempotencyStore(store.database)
    records.claim("r", "k", "f", 7, "one")
    for _ in range(2):
        postgresql.cut(store.database)
        assert store.authenticate(key) is not None
        postgresql.cut(store.database)
        assert records.claim("r", "k", "f", 8, "one")[0].seed == 7
    store.close()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("nonsense", "must look like"),
        ("nosuch://user:hunter2@host/name", "no driver for the database nosuch"),
        ("postgresql://user:hunter2@host:port/name", "must look like"),
        ("postgresql://user:x@hunter2@host/name", "write it as %40"),
        ("sqlite:////dev/null/folder/file.db", "file /dev/null/folder/file.db"),
    ],
)
def test_bad_database_url(tmp_path: Path, url: str, message: str) -> None:
    """A bad database URL is an error of one line, without the password."""
    with pytest.raises(SettingsError, match=message) as caught:
        ResourceStore.open(url, tmp_path)
    assert "hunter2" not in caught.value.message and "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("end", "message"),
    [
        ("127.0.0.1:99999/name", "invalid port"),
        ("127.0.0.1:1/name?password=hunter2", "port 1 failed"),
        ("127.0.0.1:1/name?nosuch=hunter2", 'invalid connection option "nosuch"'),
        ("127.0.0.1:1/name?connect_timeout=soon", "'soon'"),
        ("a..b/name", "rejects a host or a parameter"),
    ],
)
def test_url_that_psycopg_rejects(end: str, message: str) -> None:
    """A bad host or parameter is an error of one line, without values that may be secrets."""
    pytest.importorskip("psycopg")
    with pytest.raises(SettingsError, match=message) as caught:
        ResourceStore.open(f"postgresql://user:hunter2@{end}", Path())
    assert "hunter2" not in caught.value.message and "\n" not in caught.value.message


def test_driver_without_its_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver that cannot be loaded is an error of one line that says what to install."""
    failure = "no pq wrapper available.\\nAttempts made:\\n- couldn't import psycopg 'c'"
    (tmp_path / "psycopg.py").write_text(f'raise ImportError("{failure}")')
    for name in [name for name in sys.modules if name.split(".")[0] == "psycopg"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SettingsError, match=r"available\.\); .*'daguerre\[postgresql\]'") as caught:
        ResourceStore.open("postgresql://user:hunter2@host/name", Path())
    assert "hunter2" not in caught.value.message and "\n" not in caught.value.message


def test_database_url_moves_the_database(tmp_path: Path) -> None:
    """With a URL, the database is private there, and the data directory has none."""
    file = tmp_path / "elsewhere.db"
    settings = Settings(home=tmp_path / "home", database_url=f"sqlite:///{file}")
    store = ResourceStore.open(settings.database_url, settings.data_dir())
    store.create(MODEL, "DIFFUSION")
    store.close()
    assert mode(file) == 0o600
    assert not (tmp_path / "home").exists()


def test_files_beside_the_database_stay(tmp_path: Path) -> None:
    """A database by URL in a shared directory does not change the files of others."""
    other = tmp_path / "lock"
    other.write_text("mine")
    other.chmod(0o644)
    ResourceStore.open(f"sqlite:///{tmp_path}/x.db", Path()).close()
    assert (mode(other), other.read_text()) == (0o644, "mine")
    assert {path.name for path in tmp_path.iterdir()} == {"lock", "x.db", "x.db.lock"}
    (tmp_path / "x.db.lock").chmod(0o640)
    ResourceStore.open(f"sqlite:///{tmp_path}/x.db", Path()).close()
    assert mode(tmp_path / "x.db.lock") == 0o640
