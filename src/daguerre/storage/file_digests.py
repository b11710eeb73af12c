"""SHA-256 digests of large files, kept in the data directory: no later start reads the files again.

A record holds while the file keeps its path, size, times, inode and device. `verify` reads the
files whose records were used, so that a change which leaves all of these is found, too.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import NamedTuple

from daguerre.errors import SettingsError
from daguerre.storage import data_dir

logger = logging.getLogger(__name__)

FILE_NAME = "file_digests.json"
FILE_VERSION = 1
MIN_BYTES = 1024 * 1024  # smaller files are read each time
MAX_RECORDS = 10_000  # the newest ones are kept
# The times of a file system have a resolution: a younger file may change again and keep its times.
_SETTLED_NS = 2 * 10**9
# Errors of JSON and of its content.
_MALFORMED = (ValueError, LookupError, TypeError, AttributeError, RecursionError)


class FileIdentity(NamedTuple):
    """What changes when a file is written or replaced; times in nanoseconds."""

    num_bytes: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    device: int

    @classmethod
    def of(cls, file: Path) -> FileIdentity:
        status = file.stat()
        times = status.st_mtime_ns, status.st_ctime_ns
        return cls(status.st_size, *times, status.st_ino, status.st_dev)


@dataclass(frozen=True, slots=True)
class _Record:
    identity: FileIdentity
    sha256: str
    read_ns: int  # when the file was last read; Unix time


class FileDigests:
    """The records in the file `path`, which processes share. Any thread may call the methods."""

    def __init__(
        self,
        path: Path,
        *,
        min_bytes: int = MIN_BYTES,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._path, self._min_bytes, self.clock_ns = path, min_bytes, clock_ns
        self._is_reported = False  # that the records are damaged

    def digest(self, file: Path) -> bytes:
        """The file's digest, from its record or from its content. Raises OSError."""
        identity = FileIdentity.of(file)
        if identity.num_bytes < self._min_bytes:
            return read_digest(file)
        key = str(file.resolve())
        record = self._read().get(key)
        if record is not None and record.identity == identity:
            return bytes.fromhex(record.sha256)
        started_ns, digest = self.clock_ns(), read_digest(file)
        is_settled = started_ns - max(identity.mtime_ns, identity.ctime_ns) > _SETTLED_NS
        if is_settled and identity == FileIdentity.of(file):
            self._update({key: _Record(identity, digest.hex(), started_ns)})
        return digest

    def verify(self, files: Collection[Path], since_ns: int) -> list[Path]:
        """Reads the files with a record, but for those that a process has read after `since_ns`.

        Returns the files that differ from their records, which it removes. One process reads at a
        time. Raises OSError and `SettingsError`.
        """
        with data_dir.locked(self._path.with_name(f"{self._path.name}.verify")):
            return [file for file in files if not self._is_intact(file, since_ns)]

    def _is_intact(self, file: Path, since_ns: int) -> bool:
        key, identity = str(file.resolve()), FileIdentity.of(file)
        record = self._read().get(key)
        if record is None or record.identity != identity or record.read_ns > since_ns:
            return True
        started_ns = self.clock_ns()
        if read_digest(file).hex() == record.sha256:
            self._update({key: replace(record, read_ns=started_ns)})
            return True
        if identity != FileIdentity.of(file):  # it is being replaced
            return True
        self._update({key: None})
        return False

    def _update(self, records: Mapping[str, _Record | None]) -> None:
        """Adds records, or removes those that are None."""
        try:
            data_dir.prepare(self._path.parent)
            with data_dir.locked(self._path):
                merged = {**self._read(), **records}
                kept = {key: record for key, record in merged.items() if record is not None}
                newest = sorted(kept, key=lambda key: kept[key].read_ns)[-MAX_RECORDS:]
                _write(self._path, {key: kept[key] for key in newest})
        except (OSError, SettingsError) as error:
            logger.warning("cannot keep the digests of files: %s", error)

    def _read(self) -> dict[str, _Record]:
        try:
            content = json.loads(self._path.read_text(encoding="utf-8"))
            if content["version"] != FILE_VERSION:
                return {}
            return {str(key): _parse(entry) for key, entry in content["files"].items()}
        except FileNotFoundError:
            return {}
        except (OSError, *_MALFORMED) as error:
            if not self._is_reported:
                text = "cannot read the digests in %s, reading the files again: %r"
                logger.warning(text, self._path, error)
            self._is_reported = True
            return {}


def read_digest(file: Path) -> bytes:
    """SHA-256 of the file's content. Raises OSError."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").digest()


def _parse(entry: object) -> _Record:
    match entry:
        case {
            "identity": [int(), int(), int(), int(), int()] as identity,
            "sha256": str(sha256),
            "read_ns": int(read_ns),
        } if len(bytes.fromhex(sha256)) == hashlib.sha256().digest_size:
            return _Record(FileIdentity(*identity), sha256, read_ns)
    raise TypeError(f"malformed entry {entry!r}")


def _write(path: Path, records: Mapping[str, _Record]) -> None:
    files = {key: asdict(record) for key, record in records.items()}
    data_dir.write_private(path, json.dumps({"version": FILE_VERSION, "files": files}, indent=1))
