"""The rows of all tables as JSON lines, which fit every kind of database.

A dump sees one state of the database, while servers write to it. It has every table of daguerre but
`EPHEMERAL_TABLES`, so a new table needs no change here.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from typing import IO

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from daguerre.errors import SettingsError
from daguerre.storage.database import driver_message, read_transaction
from daguerre.storage.errors import translate_errors
from daguerre.storage.migrations import EPHEMERAL_TABLES, VERSION_TABLE

_PREFIX = "daguerre_"
_LEFT_OUT = (VERSION_TABLE, *EPHEMERAL_TABLES)
_NUM_ROWS = 1000  # in one statement


def dump(engine: sa.Engine) -> Iterator[tuple[str, Iterator[bytes]]]:
    """The name of each table and its rows, one line each; all from the same moment."""
    with _readable_errors(), read_transaction(engine) as connection:
        for table in _tables(connection):
            rows = connection.execution_options(yield_per=_NUM_ROWS).execute(sa.select(table))
            yield table.name, (json.dumps(dict(row)).encode() + b"\n" for row in rows.mappings())


def is_empty(connection: sa.Connection) -> bool:
    """Whether no table has a row."""
    return all(
        connection.execute(sa.select(table).limit(1)).first() is None
        for table in _tables(connection)
    )


def load(connection: sa.Connection, tables: Mapping[str, IO[bytes]]) -> dict[str, int]:
    """Replaces the rows of all tables with those of a dump. Returns the number of each table.

    A table that the dump does not have becomes empty.
    """
    with _readable_errors():
        known = _tables(connection)
        for table in reversed(known):
            connection.execute(sa.delete(table))
        return {
            table.name: _insert(connection, table, tables[table.name])
            for table in known
            if table.name in tables
        }


def _insert(connection: sa.Connection, table: sa.Table, file: IO[bytes]) -> int:
    num_rows, lines = 0, iter(file)
    while rows := [json.loads(line) for line in itertools.islice(lines, _NUM_ROWS)]:
        connection.execute(sa.insert(table), rows)
        num_rows += len(rows)
    return num_rows


def _tables(connection: sa.Connection) -> list[sa.Table]:
    """The tables of daguerre with state; a table follows those that it refers to."""
    metadata = sa.MetaData()
    metadata.reflect(
        connection, only=lambda name, _: name.startswith(_PREFIX) and name not in _LEFT_OUT
    )
    return metadata.sorted_tables


def _readable_errors() -> AbstractContextManager[None]:
    def to_error(error: Exception) -> SettingsError:
        return SettingsError(f"the database failed: {driver_message(error)}")

    return translate_errors(SQLAlchemyError, to_error)
