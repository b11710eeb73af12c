"""Model resources and their keys: a model id under an alias, with a key of its own.

The database holds the SHA-256 of a key and its first characters, never the key. Every call reads
the database, so what another process rotated or destroyed holds from the next request on. Knows
nothing of HTTP, of which models exist, or of the client's file.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Engine,
    Integer,
    MetaData,
    Row,
    Table,
    Text,
    bindparam,
    delete,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from daguerre.config import Settings
from daguerre.errors import InvalidRequestError, NotFoundError, SettingsError, UnavailableError
from daguerre.storage.database import open_database, reason

KEY_START = "inf-"
MAX_ALIAS_LENGTH = 64
MAX_REQUESTS_PER_MINUTE = 1_000_000
_KEY_BYTES = 32
_PREFIX_LENGTH = 8
_ALIAS = re.compile(rf"[A-Z][A-Z0-9_]{{0,{MAX_ALIAS_LENGTH - 1}}}")


@dataclass(frozen=True, slots=True)
class Resource:
    """A model id that can be called with one key. `created` is in unix seconds."""

    id: str
    alias: str
    model: str
    requests_per_minute: int | None
    created: int
    key_prefix: str


_TABLE = Table(
    "daguerre_resources",
    MetaData(),
    Column("id", Text, primary_key=True),
    Column("alias", Text, nullable=False, unique=True),
    Column("model", Text, nullable=False),
    Column("requests_per_minute", Integer),
    Column("created", BigInteger, nullable=False),
    Column("key_prefix", Text, nullable=False),
    Column("key_sha256", Text, nullable=False, unique=True),
)
# Built once: making a statement costs more than running it.
_BY_KEY = select(_TABLE).where(_TABLE.c.key_sha256 == bindparam("digest"))
_BY_ALIAS = select(_TABLE).where(_TABLE.c.alias == bindparam("name"))


def parse_alias(text: str) -> str:
    """The alias in upper case, as it stands in the names of environment variables."""
    alias = text.upper()
    if not (text.isascii() and _ALIAS.fullmatch(alias)):  # upper() makes letters of some others
        raise InvalidRequestError(
            f"the alias {text!r} cannot be used; it must be a letter followed by letters, digits"
            f" and underscores, {MAX_ALIAS_LENGTH} at most",
            param="alias",
        )
    if alias.startswith("DAGUERRE_"):  # DAGUERRE_DATABASE_URL would be a setting of the server
        raise InvalidRequestError(
            f"the alias {text!r} cannot be used; names that begin with DAGUERRE_ are the server's"
            " own settings",
            param="alias",
        )
    return alias


class ResourceStore:
    """The resources of one database; safe to share between threads and with other processes.

    `is_local` is False where a call may wait for another machine, and so belongs in a thread.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.is_local: bool = engine.dialect.name == "sqlite"

    @classmethod
    def open(cls, settings: Settings) -> ResourceStore:
        """Makes the database where there is none, and brings an older one up to date."""
        return cls(open_database(settings))

    @property
    def database(self) -> Engine:
        """For what else the server keeps in it."""
        return self._engine

    def close(self) -> None:
        self._engine.dispose()

    def authenticate(self, key: str) -> Resource | None:
        """The resource that this key opens; None for an unknown, rotated or revoked key."""
        digest = _sha256(key)
        try:
            with self._engine.connect() as connection:
                row = connection.execute(_BY_KEY, {"digest": digest}).one_or_none()
        except SQLAlchemyError as error:
            raise UnavailableError(
                "the keys cannot be read at the moment; try again", retry_after_s=5
            ) from error
        if row is None or not hmac.compare_digest(row.key_sha256, digest):
            return None
        return _resource(row)

    def list(self) -> tuple[Resource, ...]:
        """All resources, the oldest first."""
        with self._reading() as connection:
            rows = connection.execute(select(_TABLE).order_by(_TABLE.c.created, _TABLE.c.alias))
            return tuple(_resource(row) for row in rows)

    def get(self, alias: str) -> Resource:
        alias = parse_alias(alias)
        with self._reading() as connection:
            row = connection.execute(_BY_ALIAS, {"name": alias}).one_or_none()
        if row is None:
            raise self._unknown(alias)
        return _resource(row)

    def create(
        self, model: str, alias: str, requests_per_minute: int | None = None
    ) -> tuple[Resource, str]:
        """The new resource and its key, which cannot be had again."""
        key = _new_key()
        resource = Resource(
            id=str(uuid.uuid4()),
            alias=parse_alias(alias),
            model=model,
            requests_per_minute=_parse_limit(requests_per_minute),
            created=int(time.time()),
            key_prefix=key[:_PREFIX_LENGTH],
        )
        values = {name: getattr(resource, name) for name in Resource.__slots__}
        try:
            with self._writing() as connection:
                connection.execute(insert(_TABLE).values(**values, key_sha256=_sha256(key)))
        except IntegrityError:
            raise InvalidRequestError(
                f"the alias {resource.alias} is taken; choose another with --as, or give it up"
                f" with 'daguerre models destroy {resource.alias}'",
                param="alias",
            ) from None
        return resource, key

    def rotate(self, alias: str, keep: Callable[[str], None] | None = None) -> str:
        """A new key; the old one is refused from the next request on.

        `keep` gets the new key first; when it raises, the old key stays.
        """
        alias, key = parse_alias(alias), _new_key()
        values = {"key_sha256": _sha256(key), "key_prefix": key[:_PREFIX_LENGTH]}
        with self._writing() as connection:
            changed = connection.execute(
                update(_TABLE).where(_TABLE.c.alias == alias).values(**values)
            )
            if keep and changed.rowcount:
                keep(key)
        if not changed.rowcount:
            raise self._unknown(alias)
        return key

    def destroy(self, alias: str) -> None:
        """Removes the resource; its key is refused from the next request on."""
        alias = parse_alias(alias)
        with self._writing() as connection:
            removed = connection.execute(delete(_TABLE).where(_TABLE.c.alias == alias))
        if not removed.rowcount:
            raise self._unknown(alias)

    def _unknown(self, alias: str) -> NotFoundError:
        known = ", ".join(resource.alias for resource in self.list()) or "none yet"
        return NotFoundError(f"there is no resource {alias}; there is: {known}", param="alias")

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with _explained(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with _explained(), self._engine.connect() as connection:
            with connection.execution_options(is_writing=True).begin():
                yield connection


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except IntegrityError:
        raise
    except SQLAlchemyError as error:
        raise SettingsError(f"the database cannot be used: {reason(error)}") from error


def _new_key() -> str:
    return KEY_START + secrets.token_urlsafe(_KEY_BYTES)


def _sha256(key: str) -> str:
    # A header can hold bytes that are no text: they are a wrong key, not an error.
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def _parse_limit(requests_per_minute: int | None) -> int | None:
    if requests_per_minute is not None and not 1 <= requests_per_minute <= MAX_REQUESTS_PER_MINUTE:
        raise InvalidRequestError(
            f"requests per minute is {requests_per_minute}; it must be a whole number from 1 to"
            f" {MAX_REQUESTS_PER_MINUTE}, or not given for no limit",
            param="requests_per_minute",
        )
    return requests_per_minute


def _resource(row: Row[tuple[object, ...]]) -> Resource:
    values = row._mapping
    return Resource(**{name: values[name] for name in Resource.__slots__})
