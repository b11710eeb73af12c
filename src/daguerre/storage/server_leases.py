"""Leases of the servers that share a database, and the fingerprints of the models they serve.

A server renews its lease while it runs. At any time, all registered fingerprints of a model are
equal: the first server registers it, and another one is not registered beside it. When the last
lease with the fingerprint has ended, the next server registers its own.
"""

from __future__ import annotations

import hashlib
import os
import platform
import secrets
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from daguerre.errors import UnavailableError
from daguerre.storage.database import database_time, write_transaction
from daguerre.storage.errors import translate_errors

TTL_S = 30.0
# A key that no other user of a shared PostgreSQL is likely to lock: "leases" in ASCII.
_LOCK = f"SELECT pg_advisory_xact_lock({int.from_bytes(b'leases')})"
# Differs from that of an earlier process with the same process ID.
_PROCESS = secrets.token_hex(4)


@dataclass(frozen=True, slots=True)
class Registration:
    """The fingerprint of a model, and the server that registered it, such as "web1:4242"."""

    fingerprint: str
    server: str


@dataclass(frozen=True, slots=True)
class Renewal:
    """The number of servers with a lease, and the models that others draw differently."""

    num_servers: int = 1
    conflicts: Mapping[str, Registration] = field(default_factory=dict)


_SERVERS = sa.Table(
    "daguerre_servers",
    sa.MetaData(),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("renewed", sa.BigInteger, nullable=False),  # unix seconds
)
_FINGERPRINTS = sa.Table(
    "daguerre_fingerprints",
    sa.MetaData(),
    sa.Column("model", sa.Text, primary_key=True),
    sa.Column("server_id", sa.Text, primary_key=True),
    sa.Column("fingerprint", sa.Text, nullable=False),
)


class ServerLeases:
    """The lease of one server. Safe for threads. Raises `UnavailableError` in an outage."""

    def __init__(
        self,
        database: sa.Engine,
        clock: Callable[[sa.Connection], float] = database_time,
    ) -> None:
        self._database, self._clock = database, clock
        name = f"{platform.node() or 'localhost'}:{os.getpid()}"
        self._id = f"{name}:{_pid_namespace()}:{_PROCESS}:{secrets.token_hex(4)}"

    def renew(self, fingerprints: Mapping[str, str], *, replace: bool = False) -> Renewal:
        """Renews the lease, and registers these fingerprints in place of this server's others.

        One that differs from another server's is not registered. With `replace` it is, and the
        other is deleted.
        """
        with self._transaction() as connection:
            now_s = int(self._clock(connection))
            _delete(connection, [self._id, *_ended(connection, now_s)])
            connection.execute(sa.insert(_SERVERS), {"id": self._id, "renewed": now_s})
            conflicts = _conflicts(connection, fingerprints)
            if replace:
                is_replaced = _FINGERPRINTS.c.model.in_(conflicts)
                connection.execute(sa.delete(_FINGERPRINTS).where(is_replaced))
                conflicts = {}
            rows = [
                {"model": model, "server_id": self._id, "fingerprint": fingerprint}
                for model, fingerprint in fingerprints.items()
                if model not in conflicts
            ]
            if rows:
                connection.execute(sa.insert(_FINGERPRINTS), rows)
            count = sa.select(sa.func.count()).select_from(_SERVERS)
            return Renewal(connection.execute(count).scalar_one(), conflicts)

    def release(self) -> None:
        """Ends the lease, so that no server waits until it expires."""
        with self._transaction() as connection:
            _delete(connection, [self._id])

    @contextmanager
    def _transaction(self) -> Iterator[sa.Connection]:
        outage = UnavailableError("cannot renew the lease of the server", retry_after_s=5)
        with (
            translate_errors(SQLAlchemyError, lambda error: outage),
            write_transaction(self._database, is_durable=False) as connection,
        ):
            if connection.dialect.name == "postgresql":  # SQLite locks the whole database
                connection.exec_driver_sql(_LOCK)
            yield connection


def _delete(connection: sa.Connection, ids: Collection[str]) -> None:
    connection.execute(sa.delete(_FINGERPRINTS).where(_FINGERPRINTS.c.server_id.in_(ids)))
    connection.execute(sa.delete(_SERVERS).where(_SERVERS.c.id.in_(ids)))


def _ended(connection: sa.Connection, now_s: int) -> list[str]:
    """The leases that have expired, and those of processes that are seen to have ended."""
    return [
        server.id
        for server in connection.execute(sa.select(_SERVERS))
        # A lease in the future: the clock has been set back.
        if abs(now_s - server.renewed) >= TTL_S or _has_ended(server.id)
    ]


def _conflicts(
    connection: sa.Connection, fingerprints: Mapping[str, str]
) -> dict[str, Registration]:
    """Model -> what another server has registered in place of its fingerprint."""
    query = sa.select(_FINGERPRINTS).where(_FINGERPRINTS.c.model.in_(fingerprints))
    return {
        row.model: Registration(row.fingerprint, row.server_id.rsplit(":", 3)[0])
        for row in connection.execute(query)
        if row.fingerprint != fingerprints[row.model]
    }


def _has_ended(server_id: str) -> bool:
    """Whether the process of a server ran here and does not exist any more."""
    name, namespace, process, _ = server_id.rsplit(":", 3)
    pid = int(name.rpartition(":")[2])
    is_here = namespace == _pid_namespace() and process != _PROCESS
    return is_here and (pid == os.getpid() or not _exists(pid))


@cache
def _pid_namespace() -> str:
    """What process IDs belong to: this boot of this machine, and on Linux the container."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
        namespace = os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return secrets.token_hex(4)  # then no other process is seen
    return hashlib.sha256(f"{boot} {namespace}".encode()).hexdigest()[:8]


def _exists(pid: int) -> bool:
    try:
        with suppress(PermissionError):  # another user's
            os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
