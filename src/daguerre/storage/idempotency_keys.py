"""Idempotency keys: the first request with each key, as a digest and a seed.

The seed suffices to repeat the response, so neither prompts nor images are stored here, and keys
only as hashes. Servers that share the database give a key one seed, for 24 hours.

A record has an owner until another one claims the key, too. Only the owner can release it, so no
server deletes a record with which another one may answer.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from functools import partial

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from daguerre.errors import MAX_RETRY_AFTER_S, RateLimitError, UnavailableError
from daguerre.storage.database import write_transaction
from daguerre.storage.errors import translate_errors

TTL_S = 24 * 60 * 60
# Limits the disk that a client can fill with a new key in every request.
MAX_KEYS_PER_RESOURCE = 100_000


@dataclass(frozen=True, slots=True)
class IdempotencyRecord:
    """The first request with a key; `created` is in unix seconds."""

    request_digest: str
    seed: int
    created: int


_TABLE = sa.Table(
    "daguerre_idempotency_keys",
    sa.MetaData(),
    sa.Column("resource_id", sa.Text, primary_key=True),
    sa.Column("key_sha256", sa.Text, primary_key=True),
    sa.Column("request_digest", sa.Text, nullable=False),
    sa.Column("seed", sa.BigInteger, nullable=False),
    sa.Column("created", sa.BigInteger, nullable=False),
    sa.Column("owner", sa.Text, nullable=False),
)
_NO_OWNER = ""
_FIELDS = (_TABLE.c.request_digest, _TABLE.c.seed, _TABLE.c.created)


class IdempotencyStore:
    """Safe for concurrent use by threads and processes. Raises `UnavailableError` in an outage."""

    def __init__(self, database: sa.Engine, clock: Callable[[], float] = time.time) -> None:
        self._database, self._clock = database, clock

    def claim(
        self, resource_id: str, key: str, request_digest: str, seed: int, owner: str
    ) -> tuple[IdempotencyRecord, bool]:
        """The record of the key, and whether this call created it for `owner`.

        A known key is found even if the database cannot be written, for example on a full disk.
        Raises `RateLimitError` if the resource has too many keys.
        """
        record = IdempotencyRecord(request_digest, seed, int(self._clock()))
        claim = partial(_get_or_insert, self._database, resource_id, _sha256(key), record, owner)
        with _translate_errors():
            try:
                return claim()
            except IntegrityError:  # another server inserted the key in between; not with SQLite
                return claim()
            except SQLAlchemyError:
                if found := self._find(resource_id, key, record.created - TTL_S):
                    return found, False
                raise

    def release(self, resource_id: str, key: str, owner: str) -> None:
        """Deletes the record if it still belongs to `owner`, whose requests were refused."""
        is_owned = sa.and_(_is(resource_id, _sha256(key)), _TABLE.c.owner == owner)
        with _translate_errors(), write_transaction(self._database) as connection:
            connection.execute(sa.delete(_TABLE).where(is_owned))

    def _find(self, resource_id: str, key: str, oldest: int) -> IdempotencyRecord | None:
        query = sa.select(*_FIELDS).where(_is(resource_id, _sha256(key)))
        with self._database.connect() as connection:
            row = connection.execute(query.where(_TABLE.c.created > oldest)).one_or_none()
        return IdempotencyRecord(*row) if row else None


def _get_or_insert(
    database: sa.Engine, resource_id: str, key_sha256: str, record: IdempotencyRecord, owner: str
) -> tuple[IdempotencyRecord, bool]:
    with write_transaction(database) as connection:
        connection.execute(sa.delete(_TABLE).where(_TABLE.c.created <= record.created - TTL_S))
        if found := _get(connection, _is(resource_id, key_sha256), record.request_digest, owner):
            return found, False
        count = sa.select(sa.func.count()).where(_TABLE.c.resource_id == resource_id)
        if connection.execute(count).scalar_one() >= MAX_KEYS_PER_RESOURCE:
            raise RateLimitError(
                f"this resource has {MAX_KEYS_PER_RESOURCE} idempotency keys from the last 24"
                " hours, which is the limit; send requests without a key until some expire",
                retry_after_s=MAX_RETRY_AFTER_S,
            )
        values = {"resource_id": resource_id, "key_sha256": key_sha256, "owner": owner}
        connection.execute(sa.insert(_TABLE).values({**values, **asdict(record)}))
    return record, True


def _get(
    connection: sa.Connection, is_it: sa.ColumnElement[bool], request_digest: str, owner: str
) -> IdempotencyRecord | None:
    """The record, which loses its owner if another one has the same request."""
    # Locked, so that its owner does not release it in between; SQLite locks the whole database.
    query = sa.select(*_FIELDS, _TABLE.c.owner).where(is_it).with_for_update()
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    if row.request_digest == request_digest and row.owner not in (owner, _NO_OWNER):
        connection.execute(sa.update(_TABLE).where(is_it).values(owner=_NO_OWNER))
    return IdempotencyRecord(*row[:-1])


def _is(resource_id: str, key_sha256: str) -> sa.ColumnElement[bool]:
    return sa.and_(_TABLE.c.resource_id == resource_id, _TABLE.c.key_sha256 == key_sha256)


def _sha256(key: str) -> str:
    return hashlib.sha256(key.encode("ascii")).hexdigest()


def _translate_errors() -> AbstractContextManager[None]:
    outage = UnavailableError(
        "cannot store the Idempotency-Key; try again, or send the request without one",
        retry_after_s=5,
    )
    return translate_errors(SQLAlchemyError, lambda error: outage)
