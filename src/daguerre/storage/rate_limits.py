"""Rate limits: the requests of each key in the last minute, counted in the database.

Servers that share the database count together. A row has the requests of one slot of 0.1 s, so a
key has at most 601 rows, and a request counts for 60.0 to 60.1 s. Rows of an idle key stay until
its next request.

The counts need not survive a power failure, so no transaction waits for the disk.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from daguerre.errors import UnavailableError
from daguerre.storage.database import database_time, write_transaction
from daguerre.storage.errors import translate_errors

WINDOW_S = 60
_SLOTS_PER_S = 10
_NUM_SLOTS = WINDOW_S * _SLOTS_PER_S


@dataclass(frozen=True, slots=True)
class Window:
    """The requests of the last minute; the oldest leaves it after `reset_s`, 0 without any."""

    num_requests: int
    reset_s: float


_TABLE = sa.Table(
    "daguerre_rate_limits",
    sa.MetaData(),
    sa.Column("resource_id", sa.Text, primary_key=True),
    sa.Column("slot", sa.BigInteger, primary_key=True),  # in 0.1 s since 1970, rounded up
    sa.Column("num_requests", sa.Integer, nullable=False),
)
_LOCK = sa.text("SELECT id FROM daguerre_resources WHERE id = :resource FOR UPDATE")
_ADD = sa.text(
    f"INSERT INTO {_TABLE.name} VALUES (:resource, :slot, 1) ON CONFLICT (resource_id, slot)"
    f" DO UPDATE SET num_requests = {_TABLE.name}.num_requests + 1"
)
_IS_OF_KEY = _TABLE.c.resource_id == sa.bindparam("resource")
_IN_WINDOW = sa.and_(
    _IS_OF_KEY,
    _TABLE.c.slot > sa.bindparam("oldest"),
    _TABLE.c.slot <= sa.bindparam("newest"),  # the clock may have been set back
)
_READ = sa.select(sa.func.sum(_TABLE.c.num_requests), sa.func.min(_TABLE.c.slot)).where(
    _IN_WINDOW, _TABLE.c.num_requests > 0
)
_EXPIRE = sa.delete(_TABLE).where(_IS_OF_KEY, sa.not_(_IN_WINDOW))
_SUBTRACT = (
    sa.update(_TABLE)
    .where(_IS_OF_KEY, _TABLE.c.slot == sa.bindparam("at"), _TABLE.c.num_requests > 0)
    .values(num_requests=_TABLE.c.num_requests - 1)
)


class RateLimits:
    """Safe for concurrent use by threads and processes. Raises `UnavailableError` in an outage."""

    def __init__(
        self, database: sa.Engine, clock: Callable[[sa.Connection], float] = database_time
    ) -> None:
        self._database, self._clock = database, clock

    def window(self, resource_id: str) -> Window:
        with _translate_errors(), self._database.connect() as connection:
            return _read(connection, resource_id, self._clock(connection))

    def charge(self, resource_id: str, limit: int) -> tuple[Window, int | None]:
        """Counts a request unless `limit` are in the window.

        Returns the window, and the slot of the request, or None if it is over the limit.
        """
        with _translate_errors(), self._transaction() as connection:
            if connection.dialect.name == "postgresql":  # SQLite locks the whole database
                connection.execute(_LOCK, {"resource": resource_id})
            now_s = self._clock(connection)
            connection.execute(_EXPIRE, _bounds(resource_id, now_s))
            window = _read(connection, resource_id, now_s)
            if window.num_requests >= limit:
                return window, None
            slot = _slot(now_s)
            connection.execute(_ADD, {"resource": resource_id, "slot": slot})
            return Window(window.num_requests + 1, window.reset_s or float(WINDOW_S)), slot

    def refund(self, resource_id: str, slot: int) -> Window:
        """Uncounts a request unless it has left the window."""
        with _translate_errors(), self._transaction() as connection:
            connection.execute(_SUBTRACT, {"resource": resource_id, "at": slot})
            return _read(connection, resource_id, self._clock(connection))

    def _transaction(self) -> AbstractContextManager[sa.Connection]:
        return write_transaction(self._database, is_durable=False)


def _read(connection: sa.Connection, resource_id: str, now_s: float) -> Window:
    num_requests, oldest = connection.execute(_READ, _bounds(resource_id, now_s)).one()
    if not num_requests:
        return Window(0, 0.0)
    return Window(num_requests, min((oldest + _NUM_SLOTS) / _SLOTS_PER_S - now_s, WINDOW_S))


def _bounds(resource_id: str, now_s: float) -> dict[str, str | int]:
    now = _slot(now_s)
    oldest = math.floor(now_s * _SLOTS_PER_S) - _NUM_SLOTS
    return {"resource": resource_id, "oldest": oldest, "newest": now + _SLOTS_PER_S}


def _slot(now_s: float) -> int:
    return math.ceil(now_s * _SLOTS_PER_S)


def _translate_errors() -> AbstractContextManager[None]:
    outage = UnavailableError(
        "cannot count the request for the rate limit; try again", retry_after_s=5
    )
    return translate_errors(SQLAlchemyError, lambda error: outage)
