"""Migrations of the database schema, each applied once and in order.

The database stores its version, which is the number of migrations that it has. The missing ones are
applied in one transaction under a lock, so several processes may open an empty database at once.
A released migration never changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from sqlalchemy import Connection, text

from daguerre.errors import SettingsError

Migration: TypeAlias = tuple[str, ...]  # SQL statements

# A key that no other user of a shared PostgreSQL is likely to lock: "daguerre" in ASCII.
_ADVISORY_LOCK = int.from_bytes(b"daguerre") >> 1

INITIAL: Migration = (
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
    """,
    """
    CREATE TABLE daguerre_idempotency_keys (
        resource_id TEXT NOT NULL,
        key_sha256 TEXT NOT NULL,
        request_digest TEXT NOT NULL,
        seed BIGINT NOT NULL,
        created BIGINT NOT NULL,
        owner TEXT NOT NULL,
        PRIMARY KEY (resource_id, key_sha256)
    )
    """,
    "CREATE INDEX daguerre_idempotency_keys_created ON daguerre_idempotency_keys (created)",
    """
    CREATE TABLE daguerre_rate_limits (
        resource_id TEXT NOT NULL,
        slot BIGINT NOT NULL,
        num_requests INTEGER NOT NULL,
        PRIMARY KEY (resource_id, slot)
    )
    """,
    "CREATE TABLE daguerre_servers (id TEXT PRIMARY KEY, renewed BIGINT NOT NULL)",
    """
    CREATE TABLE daguerre_fingerprints (
        model TEXT NOT NULL,
        server_id TEXT NOT NULL,
        fingerprint TEXT NOT NULL,
        PRIMARY KEY (model, server_id)
    )
    """,
)
MIGRATIONS = (INITIAL,)
VERSION_TABLE = "daguerre_migrations"
# Their rows are outdated after a minute, so a backup does not have them.
EPHEMERAL_TABLES = ("daguerre_rate_limits", "daguerre_servers", "daguerre_fingerprints")


def migrate(connection: Connection, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Applies the missing migrations, in a transaction that excludes other writers."""
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})"))
    connection.execute(
        text(f"CREATE TABLE IF NOT EXISTS {VERSION_TABLE} (version INTEGER PRIMARY KEY)")
    )
    version = connection.execute(text(f"SELECT max(version) FROM {VERSION_TABLE}")).scalar() or 0
    if version > len(migrations):
        raise SettingsError(
            f"the database has version {version}, written by a newer daguerre; this one knows"
            f" {len(migrations)}. Update daguerre, or set another data directory with --home"
        )
    for number, statements in enumerate(migrations[version:], version + 1):
        for statement in statements:
            connection.execute(text(statement))
        connection.execute(text(f"INSERT INTO {VERSION_TABLE} VALUES ({number})"))
