"""A PostgreSQL server for tests, in a directory of its own with a Unix socket.

PostgreSQL refuses to run as root, so root runs it as the package's user. fsync is off.
"""

from __future__ import annotations

import importlib.util
import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Engine, create_engine, text
from sqlalchemy.exc import OperationalError

# Debian installs the programs here, by version.
_DIRECTORY = Path("/usr/lib/postgresql")
_USER = "postgres"
_SETTINGS = {"listen_addresses": "", "fsync": "off", "max_connections": "100"}


def _program(name: str) -> str:
    """Path of a program; empty if it is missing."""
    found = sorted(_DIRECTORY.glob(f"*/bin/{name}"), key=lambda file: int(file.parts[-3]))
    return str(found[-1]) if found else shutil.which(name) or ""


def why_none() -> str | None:
    """Why PostgreSQL cannot run here, or None."""
    if sys.platform == "win32":
        return "the tests reach PostgreSQL by a Unix socket"
    if not (_program("initdb") and _program("postgres")):
        return "PostgreSQL is not installed; run `make test-deps` as root"
    if os.geteuid() == 0 and not _has_user():
        return f"PostgreSQL does not run as root, and there is no user {_USER}"
    if importlib.util.find_spec("psycopg") is None:
        return "psycopg is not installed"
    return None


def _has_user() -> bool:
    import pwd

    return any(entry.pw_name == _USER for entry in pwd.getpwall())


class Cluster:
    def __init__(self, directory: Path, server: _Server) -> None:
        self._folder, self._server = directory, server
        self._numbers = itertools.count(1)
        # Connects to the default database, in order to create others.
        self._engine = create_engine(self._url("postgres"), isolation_level="AUTOCOMMIT")

    def _url(self, name: str) -> URL:
        return URL.create(
            "postgresql+psycopg", "postgres", database=name, query={"host": str(self._folder)}
        )

    def new_database(self) -> str:
        """URL of a new empty database."""
        name = f"test_{next(self._numbers)}"
        self.run(f"CREATE DATABASE {name}")
        return str(self._url(name).set(drivername="postgresql"))

    def run(self, statement: str) -> None:
        with self._engine.connect() as connection:
            connection.execute(text(statement))

    @contextmanager
    def outage(self, database: Engine) -> Iterator[None]:
        """Closes all connections to this database and refuses new ones."""
        name = database.url.database
        self.run(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        try:
            self.cut(database)
            yield
        finally:
            self.run(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")

    def cut(self, database: Engine) -> None:
        """Closes all connections to this database, as a restart of the server does."""
        name = database.url.database
        self.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")

    def wait(self) -> None:
        """Waits until the server answers."""
        deadline = time.monotonic() + 60
        while True:
            try:
                return self.run("SELECT 1")
            except OperationalError:
                assert time.monotonic() < deadline, "PostgreSQL does not answer"
                time.sleep(0.02)

    def stop(self) -> None:
        """Ends the server at once, with all connections."""
        self._engine.dispose()
        self._server.stop()

    def start(self) -> None:
        """Starts the server, again after `stop`, and waits until it answers."""
        self._server.start()
        self.wait()


@contextmanager
def started() -> Iterator[Cluster]:
    # pytest's directories are closed to other users, and their paths are too long for a socket.
    directory = Path(tempfile.mkdtemp(prefix="daguerre-pg-"))
    other: dict[str, Any] = {}
    if os.geteuid() == 0:
        shutil.chown(directory, _USER)
        other = {"user": _USER, "group": _USER, "extra_groups": []}
    try:
        _initialise(directory, other)
        cluster = Cluster(directory, _Server(directory, other))
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.stop()
    finally:
        shutil.rmtree(directory)


def _initialise(directory: Path, other: dict[str, Any]) -> None:
    command = [_program("initdb"), "-D", str(directory / "data"), "-U", "postgres", "--auth=trust"]
    command += ["--encoding=UTF8", "--locale=C", "--no-sync"]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, **other)
    assert done.returncode == 0, done.stderr


class _Server:
    """The process of a server, which may be started again."""

    def __init__(self, directory: Path, other: dict[str, Any]) -> None:
        self._directory, self._other = directory, other
        settings = {**_SETTINGS, "unix_socket_directories": directory}
        self._command = [_program("postgres"), "-D", str(directory / "data")]
        for name, value in settings.items():
            self._command += ["-c", f"{name}={value}"]

    def start(self) -> None:
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command, cwd=self._directory, stdout=log, stderr=log, **self._other
            )

    def stop(self) -> None:
        self._process.send_signal(signal.SIGQUIT)  # immediate shutdown
        self._process.wait(60)
