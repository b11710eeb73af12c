"""The file of a backup: a tar archive with a manifest.

The manifest is the last entry. It has the size and the SHA-256 of every other entry, so a truncated
or changed file is recognized before anything is restored.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Self

from daguerre.errors import SettingsError
from daguerre.version import __version__

MANIFEST = "manifest.json"
_FORMAT = 1
_MAX_MANIFEST_BYTES = 256 * 1024 * 1024
_NAME = re.compile(r"[a-z]+/[A-Za-z0-9_][A-Za-z0-9_.-]*")


@dataclass(frozen=True, slots=True)
class Entry:
    """Size and SHA-256 of one entry."""

    num_bytes: int
    sha256: str

    @classmethod
    def of(cls, file: IO[bytes]) -> Self:
        """The entry of a file that can seek, at its start."""
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
        return cls(file.seek(0, os.SEEK_END), sha256)


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup contains, and which daguerre wrote it; `created` is in UTC."""

    schema: int
    entries: dict[str, Entry]
    daguerre: str = __version__
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    format: int = _FORMAT

    @classmethod
    def parse(cls, text: bytes) -> Self:
        """Raises `ValueError` for anything else."""
        try:
            fields = json.loads(text)
            entries = {name: Entry(**entry) for name, entry in fields.pop("entries").items()}
            return cls(entries=entries, **fields)
        except (ValueError, TypeError, AttributeError, LookupError):
            raise ValueError("the manifest is not as expected") from None


class BackupWriter:
    """Adds entries to a backup."""

    def __init__(self, archive: tarfile.TarFile) -> None:
        self._archive = archive
        self._now_s = int(time.time())
        self._entries: dict[str, Entry] = {}

    def add(self, name: str, file: IO[bytes]) -> None:
        """Adds `file` as `folder/name`. Nothing else may change it during the call."""
        assert _NAME.fullmatch(name), f"an entry named {name!r}. This is a bug."
        self._entries[name] = entry = Entry.of(file)
        file.seek(0)
        self._archive.addfile(self._header(name, entry.num_bytes), file)

    def finish(self, schema: int) -> None:
        """Writes the manifest; `schema` is the version of the database's schema."""
        text = json.dumps(asdict(Manifest(schema, self._entries)), indent=2).encode()
        self._archive.addfile(self._header(MANIFEST, len(text)), io.BytesIO(text))

    def _header(self, name: str, num_bytes: int) -> tarfile.TarInfo:
        header = tarfile.TarInfo(name)
        header.size, header.mode, header.mtime = num_bytes, 0o600, self._now_s
        return header


@contextmanager
def writing(path: Path) -> Iterator[BackupWriter]:
    """A writer of the file at `path`, which only its owner can read.

    The file appears, or replaces another backup, when the block has ended without an error.
    """
    with _os_errors("write", path):
        if path.exists() and not (path.is_file() and tarfile.is_tarfile(path)):
            raise SettingsError(f"{path} exists, and is not a backup; choose another name")
        descriptor, temporary = tempfile.mkstemp(prefix=path.name + ".", dir=path.parent)
    try:
        with _os_errors("write", path), os.fdopen(descriptor, "wb") as file:
            with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
                yield BackupWriter(archive)
            file.flush()
            os.fsync(file.fileno())
        with _os_errors("write", path):
            os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


class BackupReader:
    """A backup whose entries are verified."""

    def __init__(self, path: Path, archive: tarfile.TarFile, manifest: Manifest) -> None:
        self.path, self._archive, self.manifest = path, archive, manifest

    def names(self, folder: str) -> list[str]:
        """The names of the entries in a folder, without the folder."""
        prefix = folder + "/"
        return [n.removeprefix(prefix) for n in self.manifest.entries if n.startswith(prefix)]

    def open(self, name: str) -> IO[bytes]:
        file = self._archive.extractfile(name)
        assert file is not None  # it is verified to be a file
        return file


@contextmanager
def reading(path: Path) -> Iterator[BackupReader]:
    """A reader of the file at `path`. Raises `SettingsError` if it is damaged."""
    with _os_errors("read", path), open(path, "rb") as file:
        try:
            archive = tarfile.open(fileobj=file, mode="r:")
            manifest = _verify(archive)
        except (tarfile.TarError, EOFError, ValueError) as error:
            raise _damaged(path, str(error) or "it is truncated") from None
        if manifest.format != _FORMAT:
            raise SettingsError(
                f"{path} has the format {manifest.format} of backups, of daguerre"
                f" {manifest.daguerre}; this daguerre {__version__} reads format {_FORMAT}"
            )
        with archive:
            yield BackupReader(path, archive, manifest)


def _verify(archive: tarfile.TarFile) -> Manifest:
    """The manifest. Raises `ValueError` if an entry differs from it."""
    found: dict[str, Entry] = {}
    for member in archive:
        file = archive.extractfile(member) if member.isreg() else None
        if file is None or member.name in found:
            raise ValueError(f"{member.name} is not one file")
        if member.name == MANIFEST:
            break
        found[member.name] = Entry.of(file)
    else:
        raise ValueError("it has no manifest")
    if member.size > _MAX_MANIFEST_BYTES:
        raise ValueError("the manifest is too large")
    manifest = Manifest.parse(file.read())
    for name in sorted({*found, *manifest.entries}):
        if found.get(name) != manifest.entries.get(name) or not _NAME.fullmatch(name):
            raise ValueError(f"{name} is not as in the manifest")
    return manifest


def _damaged(path: Path, reason: str) -> SettingsError:
    return SettingsError(f"{path} is not a backup, or damaged: {reason}; use another backup")


@contextmanager
def _os_errors(verb: str, path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SettingsError(f"cannot {verb} {path}: {error.strerror or error}") from None
