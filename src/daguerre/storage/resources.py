"""Model resources and their API keys: a model ID under an alias, with a key of its own.

The database stores the SHA-256 of a key and its first characters, never the key. Every call reads
the database, so a change by another process takes effect with the next request.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
import uuid
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from daguerre.errors import InvalidRequestError, NotFoundError, SettingsError, UnavailableError
from daguerre.storage.database import driver_message, open_database, write_transaction
from daguerre.storage.errors import translate_errors

KEY_START = "inf-"
MAX_ALIAS_LENGTH = 64
MAX_REQUESTS_PER_MINUTE = 1_000_000
_KEY_BYTES = 32
_PREFIX_LENGTH = 8
_KEY = re.compile(rf"{KEY_START}[A-Za-z0-9_-]{{43}}")  # 32 bytes in URL-safe base64
# DAGUERRE_DATABASE_URL, for example, would be a setting of the server.
_ALIAS = re.compile(rf"(?!DAGUERRE_)[A-Z][A-Z0-9_]{{0,{MAX_ALIAS_LENGTH - 1}}}")


@dataclass(frozen=True, slots=True)
class Resource:
    """A model ID with one key; `created` is in unix seconds."""

    id: str
    alias: str
    model: str
    requests_per_minute: int | None
    created: int
    key_prefix: str


_TABLE = sa.Table(
    "daguerre_resources",
    sa.MetaData(),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("alias", sa.Text, nullable=False, unique=True),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("requests_per_minute", sa.Integer),
    sa.Column("created", sa.BigInteger, nullable=False),
    sa.Column("key_prefix", sa.Text, nullable=False),
    sa.Column("key_sha256", sa.Text, nullable=False, unique=True),
)
# Built once, because building a statement takes longer than executing it.
_BY_KEY = sa.select(_TABLE).where(_TABLE.c.key_sha256 == sa.bindparam("digest"))


def normalize_alias(text: str) -> str:
    """The alias in upper case, as it appears in the names of environment variables."""
    alias = text.upper()
    if not (text.isascii() and _ALIAS.fullmatch(alias)):  # upper() turns some others into letters
        raise InvalidRequestError(
            f"the alias is {text!r}; it must be a letter followed by letters, digits and"
            f" underscores, at most {MAX_ALIAS_LENGTH} characters, and not begin with DAGUERRE_",
            param="alias",
        )
    return alias


class ResourceStore:
    """The resources of one database; safe for concurrent use by threads and processes."""

    def __init__(self, engine: sa.Engine) -> None:
        self.database = engine

    @classmethod
    def open(cls, database_url: str, home: Path) -> ResourceStore:
        """Opens the database, or a file in `home` without a URL, and creates or migrates it."""
        return cls(open_database(database_url, home))

    def close(self) -> None:
        self.database.dispose()

    def authenticate(self, key: str) -> Resource | None:
        """The resource of this key; None for an unknown, rotated or revoked key."""
        if not _KEY.fullmatch(key):  # never issued, so the database need not be asked
            return None
        digest = _sha256(key)
        outage = UnavailableError("cannot read the API keys; try again", retry_after_s=5)
        with translate_errors(SQLAlchemyError, lambda error: outage):
            with self.database.connect() as connection:
                row = connection.execute(_BY_KEY, {"digest": digest}).one_or_none()
        if row is None or not hmac.compare_digest(row.key_sha256, digest):
            return None
        return _resource(row)

    def list(self) -> tuple[Resource, ...]:
        """All resources, the oldest first."""
        query = sa.select(_TABLE).order_by(_TABLE.c.created, _TABLE.c.alias)
        with _translate_database_errors(), self.database.connect() as connection:
            return tuple(_resource(row) for row in connection.execute(query))

    def get(self, alias: str) -> Resource:
        alias = normalize_alias(alias)
        query = sa.select(_TABLE).where(_TABLE.c.alias == alias)
        with _translate_database_errors(), self.database.connect() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            raise self._not_found(alias)
        return _resource(row)

    def create(
        self, model: str, alias: str, requests_per_minute: int | None = None
    ) -> tuple[Resource, str]:
        """The new resource and its key, which cannot be read again."""
        key = _new_key()
        resource = Resource(
            id=str(uuid.uuid4()),
            alias=normalize_alias(alias),
            model=model,
            requests_per_minute=_check_limit(requests_per_minute),
            created=int(time.time()),
            key_prefix=key[:_PREFIX_LENGTH],
        )
        row = {**asdict(resource), "key_sha256": _sha256(key)}
        with _translate_database_errors(), write_transaction(self.database) as connection:
            try:
                connection.execute(sa.insert(_TABLE).values(row))
            except IntegrityError:
                raise InvalidRequestError(
                    f"the alias {resource.alias} is taken; choose another with --as, or destroy it"
                    f" with 'daguerre models destroy {resource.alias}'",
                    param="alias",
                ) from None
        return resource, key

    def rotate(self, alias: str, before_commit: Callable[[str], None] | None = None) -> str:
        """The new key; the old one is invalid from the next request on.

        `before_commit` receives the new key; if it raises, the old key stays valid.
        """
        alias, key = normalize_alias(alias), _new_key()
        values = {"key_sha256": _sha256(key), "key_prefix": key[:_PREFIX_LENGTH]}
        with _translate_database_errors(), write_transaction(self.database) as connection:
            changed = connection.execute(
                sa.update(_TABLE).where(_TABLE.c.alias == alias).values(**values)
            )
            if before_commit and changed.rowcount:
                before_commit(key)
        if not changed.rowcount:
            raise self._not_found(alias)
        return key

    def destroy(self, alias: str) -> None:
        """Deletes the resource; its key is invalid from the next request on."""
        alias = normalize_alias(alias)
        with _translate_database_errors(), write_transaction(self.database) as connection:
            removed = connection.execute(sa.delete(_TABLE).where(_TABLE.c.alias == alias))
        if not removed.rowcount:
            raise self._not_found(alias)

    def _not_found(self, alias: str) -> NotFoundError:
        known = ", ".join(resource.alias for resource in self.list()) or "none"
        return NotFoundError(f"no resource {alias}; existing resources: {known}", param="alias")


def _translate_database_errors() -> AbstractContextManager[None]:
    return translate_errors(
        SQLAlchemyError,
        lambda error: SettingsError(f"the database failed: {driver_message(error)}"),
    )


def _new_key() -> str:
    return KEY_START + secrets.token_urlsafe(_KEY_BYTES)


def _sha256(key: str) -> str:
    return hashlib.sha256(key.encode("ascii")).hexdigest()


def _check_limit(requests_per_minute: int | None) -> int | None:
    if requests_per_minute is not None and not 1 <= requests_per_minute <= MAX_REQUESTS_PER_MINUTE:
        raise InvalidRequestError(
            f"requests_per_minute is {requests_per_minute}; it must be an integer from 1 to"
            f" {MAX_REQUESTS_PER_MINUTE}; omit it for no limit",
            param="requests_per_minute",
        )
    return requests_per_minute


def _resource(row: Iterable[Any]) -> Resource:
    *fields, _key_sha256 = row
    return Resource(*fields)
