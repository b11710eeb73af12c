"""What an Idempotency-Key stands for: which request came with it first, and the seed it got.

The seed is all that is needed to make the first answer again, so no prompt and no image is kept
here, and the key itself only as a hash. Claims stand in the database of the resources: servers that
share it give one key one seed. A claim ends after 24 hours. Knows nothing of HTTP or of images.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Engine,
    MetaData,
    Table,
    Text,
    delete,
    func,
    insert,
    select,
)
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from daguerre.errors import RateLimitError, UnavailableError

CLAIM_S = 24 * 60 * 60
# Of one resource at a time: a key that comes with every request must not fill the disk.
MAX_CLAIMS = 100_000


@dataclass(frozen=True, slots=True)
class IdempotencyRecord:
    """The first request with a key. `created` is in unix seconds."""

    fingerprint: str
    seed: int
    created: int


_TABLE = Table(
    "daguerre_claims",
    MetaData(),
    Column("resource_id", Text, primary_key=True),
    Column("key_sha256", Text, primary_key=True),
    Column("fingerprint", Text, nullable=False),
    Column("seed", BigInteger, nullable=False),
    Column("created", BigInteger, nullable=False),
)


class IdempotencyStore:
    """Safe to share between threads and with other processes."""

    def __init__(self, database: Engine, clock: Callable[[], float] = time.time) -> None:
        self._database, self._clock = database, clock

    def claim(
        self, resource_id: str, key: str, fingerprint: str, seed: int
    ) -> tuple[IdempotencyRecord, bool]:
        """The claim that holds, and whether it is the one just made. Raises `RateLimitError` where
        the resource has too many."""
        made = IdempotencyRecord(fingerprint, seed, int(self._clock()))
        try:
            with self._database.connect() as connection:
                with connection.execution_options(is_writing=True).begin():
                    return _claimed(connection, resource_id, _sha256(key), made)
        except IntegrityError:  # another server's came between; where one file is shared it cannot
            return self._found(resource_id, key), False
        except SQLAlchemyError as error:
            raise _outage() from error

    def release(self, resource_id: str, key: str) -> None:
        """The request was refused: its key is as if it had never come."""
        try:
            with self._database.connect() as connection:
                with connection.execution_options(is_writing=True).begin():
                    connection.execute(delete(_TABLE).where(*_is(resource_id, _sha256(key))))
        except SQLAlchemyError as error:
            raise _outage() from error

    def _found(self, resource_id: str, key: str) -> IdempotencyRecord:
        try:
            with self._database.connect() as connection:
                found = _get(connection, resource_id, _sha256(key))
        except SQLAlchemyError as error:
            raise _outage() from error
        if found is None:
            raise _outage()
        return found


def _claimed(
    connection: Connection, resource_id: str, key_sha256: str, made: IdempotencyRecord
) -> tuple[IdempotencyRecord, bool]:
    connection.execute(delete(_TABLE).where(_TABLE.c.created <= made.created - CLAIM_S))
    if found := _get(connection, resource_id, key_sha256):
        return found, False
    count = select(func.count()).where(_TABLE.c.resource_id == resource_id)
    if connection.execute(count).scalar_one() >= MAX_CLAIMS:
        raise RateLimitError(
            f"{MAX_CLAIMS} idempotency keys came in the last 24 hours, the most that are kept for"
            " one resource; send requests without one until some of them end",
            retry_after_s=59,
        )
    values = {name: getattr(made, name) for name in IdempotencyRecord.__slots__}
    connection.execute(
        insert(_TABLE).values(resource_id=resource_id, key_sha256=key_sha256, **values)
    )
    return made, True


def _get(connection: Connection, resource_id: str, key_sha256: str) -> IdempotencyRecord | None:
    columns = (_TABLE.c.fingerprint, _TABLE.c.seed, _TABLE.c.created)
    row = connection.execute(select(*columns).where(*_is(resource_id, key_sha256))).one_or_none()
    return IdempotencyRecord(*row) if row else None


def _is(resource_id: str, key_sha256: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return _TABLE.c.resource_id == resource_id, _TABLE.c.key_sha256 == key_sha256


def _sha256(key: str) -> str:
    return hashlib.sha256(key.encode("ascii")).hexdigest()


def _outage() -> UnavailableError:
    return UnavailableError(
        "idempotency keys cannot be kept at the moment; try again, or send none", retry_after_s=5
    )
