"""Backup and restore of the database, of private files and of the image store.

Both are whole or have no effect: a backup appears when it is complete, and a restore is one
transaction, whose files return to their old content if it fails.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa

from daguerre.errors import SettingsError
from daguerre.storage import data_dir, database_dump
from daguerre.storage.backup_file import BackupReader, BackupWriter, writing
from daguerre.storage.database import write_transaction
from daguerre.storage.errors import translate_errors
from daguerre.storage.image_store import ImageStore
from daguerre.storage.migrations import MIGRATIONS
from daguerre.version import __version__

_TABLES, _FILES, _IMAGES = "database", "files", "images"
_SUFFIX = ".jsonl"


@dataclass(frozen=True, slots=True)
class Contents:
    """What was written: rows by table, names of files, and the number of images."""

    rows: Mapping[str, int]
    files: tuple[str, ...]
    num_images: int = 0


@dataclass(frozen=True, slots=True)
class Places:
    """Where the state of one server is; `files` are by their name in a backup.

    Other processes that change both the database and the files hold `lock`, too.
    """

    database: sa.Engine
    files: Mapping[str, Path] = field(default_factory=dict)
    images: ImageStore | None = None
    lock: Callable[[], AbstractContextManager[None]] = nullcontext


def back_up(path: Path, places: Places) -> Contents:
    """Writes the backup, also while servers use the database."""
    with writing(path) as writer:
        with places.lock():  # not for the images, which can take minutes
            rows = dict(_add_tables(writer, places.database, path.parent))
            files = tuple(n for n, f in places.files.items() if _add(writer, f"{_FILES}/{n}", f))
        num_images = 0
        for name, data in places.images.dump() if places.images else ():
            writer.add(f"{_IMAGES}/{name}", io.BytesIO(data))
            num_images += 1
        writer.finish(len(MIGRATIONS))
    return Contents(rows, files, num_images)


def restore(backup: BackupReader, places: Places, *, force: bool = False) -> Contents:
    """Restores the backup. No server may use the database and the files.

    Files that the backup does not have stay. Raises `SettingsError` if the backup has another
    schema, or if there is state already, unless `force` replaces it.
    """
    _check_schema(backup)
    with places.lock(), ExitStack() as undo:
        with write_transaction(places.database) as connection:
            if not force:
                _check_empty(connection, places)
            names = backup.names(_TABLES)
            tables = {n.removesuffix(_SUFFIX): backup.open(f"{_TABLES}/{n}") for n in names}
            rows = database_dump.load(connection, tables)
            # Images are not undone: their names determine their content.
            names = backup.names(_IMAGES)
            images = ((name, backup.open(f"{_IMAGES}/{name}").read()) for name in names)
            num_images = places.images.load(images) if places.images and names else 0
            files = tuple(_restore_files(backup, places.files, undo))
        undo.pop_all()  # the transaction is committed
    return Contents(rows, files, num_images)


def _add_tables(
    writer: BackupWriter, database: sa.Engine, directory: Path
) -> Iterator[tuple[str, int]]:
    for table, lines in database_dump.dump(database):
        num_rows = 0
        with tempfile.TemporaryFile(dir=directory) as file:
            for line in lines:
                num_rows += 1
                file.write(line)
            file.seek(0)
            writer.add(f"{_TABLES}/{table}{_SUFFIX}", file)
        yield table, num_rows


def _add(writer: BackupWriter, name: str, path: Path) -> bool:
    """Adds a file as the entry `name`; returns whether it exists."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror or error}") from None
    writer.add(name, io.BytesIO(data))
    return True


def _check_schema(backup: BackupReader) -> None:
    written, known = backup.manifest.schema, len(MIGRATIONS)
    if written != known:
        raise SettingsError(
            f"{backup.path} has version {written} of the database schema, of daguerre"
            f" {backup.manifest.daguerre}; this daguerre {__version__} has version {known}; restore"
            " it with that daguerre, then update"
        )


def _check_empty(connection: sa.Connection, places: Places) -> None:
    existing = [str(file) for file in places.files.values() if file.exists()]
    if not database_dump.is_empty(connection):
        existing.insert(0, "the database has rows")
    if existing:
        raise SettingsError(
            f"there is state already ({', '.join(existing)}); choose an empty data directory and"
            " database, or replace the state with --force"
        )


def _restore_files(
    backup: BackupReader, files: Mapping[str, Path], undo: ExitStack
) -> Iterator[str]:
    for name in backup.names(_FILES):
        if path := files.get(name):
            with translate_errors(OSError, lambda error: SettingsError(f"cannot write: {error}")):
                path.parent.mkdir(parents=True, exist_ok=True)
                undo.callback(_put_back, path, path.read_bytes() if path.exists() else None)
            data_dir.write_private(path, backup.open(f"{_FILES}/{name}").read())
            yield name


def _put_back(path: Path, content: bytes | None) -> None:
    if content is None:
        path.unlink(missing_ok=True)
    else:
        data_dir.write_private(path, content)
