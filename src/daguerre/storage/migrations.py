"""The numbered changes of the database's tables, applied in order and once.

The names of those that were applied stand in the database itself; all that are missing are applied
in one transaction, under a lock, so two processes may open an empty database at the same time. A
migration that has been released is never edited: a change is a new one. Knows nothing of keys.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeAlias

from sqlalchemy import Connection, text

from daguerre.errors import SettingsError

Migration: TypeAlias = Callable[[Connection], None]

# Any number that no other user of a shared PostgreSQL is likely to lock on: "daguerre" in ASCII.
_ADVISORY_LOCK = int.from_bytes(b"daguerre") >> 1


def m001_resources(connection: Connection) -> None:
    connection.execute(
        text(
            """
            CREATE TABLE daguerre_resources (
                id TEXT PRIMARY KEY,
                alias TEXT NOT NULL UNIQUE,
                model TEXT NOT NULL,
                requests_per_minute INTEGER,
                created BIGINT NOT NULL,
                key_prefix TEXT NOT NULL,
                key_sha256 TEXT NOT NULL UNIQUE
            )
            """
        )
    )


def m002_claims(connection: Connection) -> None:
    connection.execute(
        text(
            """
            CREATE TABLE daguerre_claims (
                resource_id TEXT NOT NULL,
                key_sha256 TEXT NOT NULL,
                fingerprint TEXT NOT NULL,
                seed BIGINT NOT NULL,
                created BIGINT NOT NULL,
                PRIMARY KEY (resource_id, key_sha256)
            )
            """
        )
    )
    connection.execute(text("CREATE INDEX daguerre_claims_age ON daguerre_claims (created)"))


MIGRATIONS: tuple[Migration, ...] = (m001_resources, m002_claims)


def migrate(connection: Connection, migrations: tuple[Migration, ...] = MIGRATIONS) -> None:
    """Brings the tables up to date. The caller has begun a transaction that excludes writers."""
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})"))
    connection.execute(
        text(
            "CREATE TABLE IF NOT EXISTS daguerre_migrations"
            " (name TEXT PRIMARY KEY, applied BIGINT NOT NULL)"
        )
    )
    applied = set(connection.execute(text("SELECT name FROM daguerre_migrations")).scalars())
    _refuse_newer(applied - {migration.__name__ for migration in migrations})
    for migration in migrations:
        if migration.__name__ not in applied:
            migration(connection)
            connection.execute(
                text("INSERT INTO daguerre_migrations (name, applied) VALUES (:name, :applied)"),
                {"name": migration.__name__, "applied": int(time.time())},
            )


def _refuse_newer(unknown: set[str]) -> None:
    if unknown:
        raise SettingsError(
            f"the database was written by a newer daguerre (it has {', '.join(sorted(unknown))});"
            " update daguerre, or name another data folder with --home"
        )
