"""Opening the database: at once from many processes, older, newer, damaged, elsewhere."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from conftest import MODEL, database_file, mode
from postgresql import Cluster
from sqlalchemy import Connection, Table, create_engine, inspect, make_url, text

from daguerre.config import Settings
from daguerre.errors import SettingsError
from daguerre.storage import api_keys, data_dir, database, idempotency_keys, migrations
from daguerre.storage.api_keys import ResourceStore


def test_wal(settings: Settings, store: ResourceStore) -> None:
    """The database is in write-ahead mode, so a reader does not wait for an open writer."""
    _, key = store.create(MODEL, "DIFFUSION")
    with closing(sqlite3.connect(database_file(settings), isolation_level=None)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("DELETE FROM daguerre_resources")
        assert store.authenticate(key) is not None
        connection.execute("ROLLBACK")


def test_commits_outlive_a_power_cut(settings: Settings) -> None:
    """Every connection waits until a commit is on the disk, so no old key comes back."""
    engine = database.open_database(settings)
    with engine.connect() as connection:
        assert connection.execute(text("PRAGMA synchronous")).scalar() == 2  # FULL
    engine.dispose()


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2"])
def test_waiting_for_postgresql_ends(scheme: str) -> None:
    """A connection to PostgreSQL has its timeouts, and those in the URL go first."""
    url = f"{scheme}://user@host/name"
    given = database._patience(database._url(Settings(database_url=url)))
    assert given["connect_args"] == {"connect_timeout": 10, "tcp_user_timeout": 10_000}
    url += "?connect_timeout=3"
    given = database._patience(database._url(Settings(database_url=url)))
    assert given["connect_args"] == {"tcp_user_timeout": 10_000}


def test_two_processes_open_at_once(on_each_database: Settings) -> None:
    """Processes that meet at an empty database all get a working store, migrated once."""
    code = (
        "import sys; from pathlib import Path; from daguerre.config import Settings;"
        "from daguerre.storage.api_keys import ResourceStore;"
        "print('ready', flush=True); sys.stdin.readline();"
        "store = ResourceStore.open(Settings(home=Path(sys.argv[1]), database_url=sys.argv[2]));"
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
    store = ResourceStore.open(on_each_database)
    assert {resource.alias for resource in store.list()} == {"A0", "A1", "A2", "A3"}
    store.close()


def test_migrations_are_numbered() -> None:
    """The names of the migrations count from 001 without a gap."""
    names = [migration.__name__ for migration in migrations.MIGRATIONS]
    assert [name[:5] for name in names] == [f"m{n:03}_" for n in range(1, len(names) + 1)]


@pytest.mark.parametrize("table", [api_keys._TABLE, idempotency_keys._TABLE], ids=str)
def test_tables_match_the_migrations(on_each_database: Settings, table: Table) -> None:
    """The columns that the migrations make are those that are used."""
    engine = database.open_database(on_each_database)
    made = {
        (column["name"], str(column["type"])) for column in inspect(engine).get_columns(table.name)
    }
    engine.dispose()
    assert made == {(column.name, str(column.type)) for column in table.columns}


def test_only_missing_migrations_run() -> None:
    """A migration runs once; a new one runs on a database that has the older ones."""
    ran: list[str] = []

    def m001_one(connection: Connection) -> None:
        ran.append("one")

    def m002_two(connection: Connection) -> None:
        ran.append("two")

    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        migrations.migrate(connection, (m001_one,))
        migrations.migrate(connection, (m001_one,))
        migrations.migrate(connection, (m001_one, m002_two))
    engine.dispose()
    assert ran == ["one", "two"]


def test_failed_migration_leaves_nothing(on_each_database: Settings) -> None:
    """When one migration fails, those before it in the same opening are undone too."""

    def m002_fine(connection: Connection) -> None:
        connection.execute(text("CREATE TABLE half_way (id TEXT)"))

    def m003_fails(connection: Connection) -> None:
        raise RuntimeError("out of luck")

    later = (*migrations.MIGRATIONS, m002_fine, m003_fails)
    engine = database.open_database(on_each_database)
    with pytest.raises(RuntimeError, match="out of luck"):
        with engine.connect() as connection:
            with connection.execution_options(is_writing=True).begin():
                migrations.migrate(connection, later)
    with engine.connect() as connection:
        tables = inspect(connection).get_table_names()
        applied = connection.execute(text("SELECT name FROM daguerre_migrations")).scalars().all()
    engine.dispose()
    assert "daguerre_claims" in tables and "half_way" not in tables
    assert applied == [migration.__name__ for migration in migrations.MIGRATIONS]


def test_newer_database_is_refused(on_each_database: Settings) -> None:
    """A database with a migration that this version does not know is not touched."""
    engine = database.open_database(on_each_database)
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO daguerre_migrations VALUES ('m999_future', 0)"))
    engine.dispose()
    with pytest.raises(SettingsError, match=r"newer daguerre \(it has m999_future\)"):
        ResourceStore.open(on_each_database)


def test_damaged_database_is_one_line(settings: Settings) -> None:
    """A file that is no database is refused in one line that names it."""
    data_dir.prepare(settings.data_dir())
    database_file(settings).write_bytes(b"this is not a database" * 100)
    with pytest.raises(SettingsError, match="not a database") as caught:
        ResourceStore.open(settings)
    assert str(database_file(settings)) in caught.value.message
    assert "\n" not in caught.value.message


def test_keys_are_not_in_the_files(settings: Settings, store: ResourceStore) -> None:
    """No file beside the database holds a key, or more of it than the prefix, either."""
    _, key = store.create(MODEL, "DIFFUSION")
    rotated = store.rotate("DIFFUSION")
    store.close()
    files = list(settings.data_dir().iterdir())
    assert database_file(settings) in files
    for path in files:
        content = path.read_bytes()
        assert key[:12].encode() not in content and rotated[:12].encode() not in content


@pytest.mark.parametrize(
    ("name", "told"),
    [("nobody", 'role "nobody" does not exist'), ("stranger", "permission denied for schema")],
)
def test_postgresql_refuses(postgresql: Cluster, name: str, told: str) -> None:
    """Whom PostgreSQL does not let in, or lets make no tables, reads that in one line, and the
    password is not in it."""
    url = make_url(postgresql.new_database()).set(username=name, password="hunter2")
    if name == "stranger":
        postgresql.run("DROP ROLE IF EXISTS stranger")
        postgresql.run("CREATE ROLE stranger LOGIN")
    with pytest.raises(SettingsError, match=told) as caught:
        ResourceStore.open(Settings(database_url=url.render_as_string(hide_password=False)))
    assert "hunter2" not in caught.value.message and "\n" not in caught.value.message


def test_connections_that_were_cut(postgresql: Cluster) -> None:
    """Connections that are kept and have ended meanwhile are replaced, and nobody is told."""
    store = ResourceStore.open(Settings(database_url=postgresql.new_database()))
    _, key = store.create(MODEL, "DIFFUSION")
    held = idempotency_keys.IdempotencyStore(store.database)
    held.claim("r", "k", "f", 7)
    for _ in range(2):
        postgresql.cut(store.database)
        assert store.authenticate(key) is not None
        postgresql.cut(store.database)
        assert held.claim("r", "k", "f", 8)[0].seed == 7
    store.close()


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("nonsense", "must look like"),
        ("nosuch://user:hunter2@host/name", "no driver for the database nosuch"),
        ("postgresql://user:hunter2@host:port/name", "must look like"),
        ("postgresql://user:x@hunter2@host/name", "write it as %40"),
        ("sqlite:////dev/null/folder/file.db", "data folder /dev/null/folder"),
    ],
)
def test_bad_database_url(tmp_path: Path, url: str, told: str) -> None:
    """A database URL that leads nowhere is refused in one line, without its password."""
    with pytest.raises(SettingsError, match=told) as caught:
        ResourceStore.open(Settings(home=tmp_path, database_url=url))
    assert "hunter2" not in caught.value.message and "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("end", "told"),
    [
        ("127.0.0.1:99999/name", "invalid port"),
        ("127.0.0.1:1/name?password=hunter2", "port 1 failed"),
        ("127.0.0.1:1/name?nosuch=hunter2", 'invalid connection option "nosuch"'),
        ("127.0.0.1:1/name?connect_timeout=soon", "'soon'"),
        ("a..b/name", "a host or a parameter that its driver refuses"),
    ],
)
def test_url_that_psycopg_refuses(end: str, told: str) -> None:
    """So is one with a host or a parameter that is of no use, without those that may be secrets."""
    pytest.importorskip("psycopg")
    with pytest.raises(SettingsError, match=told) as caught:
        ResourceStore.open(Settings(database_url=f"postgresql://user:hunter2@{end}"))
    assert "hunter2" not in caught.value.message and "\n" not in caught.value.message


def test_driver_that_lacks_a_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver that is there and cannot be loaded is one line, too, with what installs it whole."""
    told = "no pq wrapper available.\\nAttempts made:\\n- couldn't import psycopg 'c'"
    (tmp_path / "psycopg.py").write_text(f'raise ImportError("{told}")')
    for name in [name for name in sys.modules if name.split(".")[0] == "psycopg"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SettingsError, match=r"available\.\); .*'daguerre\[postgresql\]'") as caught:
        ResourceStore.open(Settings(database_url="postgresql://user:hunter2@host/name"))
    assert "hunter2" not in caught.value.message and "\n" not in caught.value.message


def test_database_url_moves_the_database(tmp_path: Path) -> None:
    """With a URL the database is there, private too, and the data folder has none."""
    file = tmp_path / "elsewhere.db"
    settings = Settings(home=tmp_path / "home", database_url=f"sqlite:///{file}")
    store = ResourceStore.open(settings)
    store.create(MODEL, "DIFFUSION")
    store.close()
    assert mode(file) == 0o600
    assert not (tmp_path / "home").exists()


def test_files_beside_the_database_stay(tmp_path: Path) -> None:
    """A database by its URL in a shared folder leaves the files of others there as they are."""
    other = tmp_path / "lock"
    other.write_text("mine")
    other.chmod(0o644)
    ResourceStore.open(Settings(database_url=f"sqlite:///{tmp_path}/x.db")).close()
    assert (mode(other), other.read_text()) == (0o644, "mine")
    assert {path.name for path in tmp_path.iterdir()} == {"lock", "x.db", "x.db.lock"}
    (tmp_path / "x.db.lock").chmod(0o640)
    ResourceStore.open(Settings(database_url=f"sqlite:///{tmp_path}/x.db")).close()
    assert mode(tmp_path / "x.db.lock") == 0o640
