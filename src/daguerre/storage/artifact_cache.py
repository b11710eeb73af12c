"""Networks that executors have converted or compiled, cached on disk and shared by processes.

An artifact is a directory, whose name includes the versions of the libraries that made it. It
appears whole or not at all: it is written under a temporary name and renamed into place, and
renamed away before it is removed. Nothing here is needed: a missing artifact is made again.
"""

from __future__ import annotations

import hashlib
import logging
import math
import os
import secrets
import shutil
import stat
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from daguerre.errors import SettingsError
from daguerre.storage import data_dir

logger = logging.getLogger(__name__)

DIR_NAME = "artifacts"
# Another process may still read or write an entry that was used this recently.
IN_USE_S = 60 * 60
# Artifacts of other versions stay for a while, because an update may be reverted.
OTHER_VERSIONS_TTL_S = 7 * 24 * 60 * 60
_MIN_FREE_BYTES = 2 * 1024**3
_TEMPORARY = ".daguerre-"
_LIBRARIES = ("torch", "diffusers", "transformers", "openvino")
_FORMAT = 1  # increment when older artifacts become unusable


@dataclass(frozen=True, eq=False)
class Artifact:
    """A directory that is not evicted while a reference to this object exists."""

    path: Path


@dataclass(frozen=True, slots=True)
class _Entry:
    path: Path
    num_bytes: int
    idle_s: float  # since its last write or use
    is_expired: bool


class ArtifactCache:
    """Artifacts of at most `max_bytes` in the directory `path`; 0 keeps none.

    One object serves all models of a process, in one thread.
    """

    def __init__(self, path: Path, max_bytes: int, clock: Callable[[], float] = time.time) -> None:
        self._directory, self._max_bytes, self._clock = path, max_bytes, clock
        self._version = _version()
        self._in_use: weakref.WeakSet[Artifact] = weakref.WeakSet()

    def get(self, name: str) -> Artifact | None:
        path = self._path(name)
        return self._artifact(path) if path.is_dir() else None

    def add(self, name: str, num_bytes: int, write: Callable[[Path], None]) -> Artifact | None:
        """`write` fills the empty directory that it receives with about `num_bytes`.

        Returns None, and logs a warning, if there is no space or the disk fails.
        """
        if not self._max_bytes:
            return None
        path, temporary = self._path(name), self._temporary()
        try:
            if not self._free(num_bytes):
                logger.warning(
                    "cannot cache a network of %.1f GB in %s: not enough space on the disk or"
                    " within artifact_cache_max_bytes; it is prepared again after a restart",
                    num_bytes / 1e9,
                    self._directory,
                )
                return None
            temporary.mkdir(mode=0o700)
            write(temporary)
            temporary.replace(path)
        except (OSError, RuntimeError, SettingsError) as error:  # OpenVINO raises RuntimeError
            if not path.is_dir():  # else another process has made the same artifact
                logger.warning("cannot cache a network in %s: %s", self._directory, error)
                return None
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return self._artifact(path)

    def open_dir(self, name: str) -> Artifact:
        """A directory that the caller may write to at any time. Raises OSError."""
        path = self._path(name)
        path.mkdir(parents=True, exist_ok=True)
        return self._artifact(path)

    def touch(self, artifact: Artifact) -> None:
        """Marks the artifact as used, which other processes see."""
        now_s = self._clock()
        with suppress(OSError):  # another process has removed it, or it is another user's
            os.utime(artifact.path, (now_s, now_s))

    def remove(self, artifact: Artifact) -> None:
        self._in_use.discard(artifact)
        self._remove(artifact.path)

    def evict(self) -> None:
        """Removes expired artifacts, and the least recently used ones above the limit."""
        try:
            self._free(0)
        except OSError as error:
            logger.warning("cannot evict from %s: %s", self._directory, error)

    def _free(self, num_bytes: int) -> bool:
        """Frees space for `num_bytes`; if there is not enough, removes only what has expired."""
        entries = list(self._entries())
        excess = sum(entry.num_bytes for entry in entries) + num_bytes - self._max_bytes
        if num_bytes:
            free = shutil.disk_usage(data_dir.prepare(self._directory)).free
            excess = max(excess, num_bytes + _MIN_FREE_BYTES - free)
        in_use = {artifact.path for artifact in self._in_use}
        victims: list[_Entry] = []
        for entry in sorted(entries, key=lambda entry: (not entry.is_expired, -entry.idle_s)):
            is_removable = entry.idle_s >= IN_USE_S and entry.path not in in_use
            if is_removable and (entry.is_expired or excess > 0):
                victims.append(entry)
                excess -= entry.num_bytes
        for entry in victims:
            if entry.is_expired or excess <= 0 or not num_bytes:
                self._remove(entry.path)
        return excess <= 0

    def _entries(self) -> Iterator[_Entry]:
        now_s = self._clock()
        with suppress(FileNotFoundError):  # nothing was written yet
            for path in self._directory.iterdir():
                num_bytes, used_s = _size_and_mtime(path)
                idle_s = now_s - used_s
                yield _Entry(path, num_bytes, idle_s, idle_s >= self._ttl_s(path.name))

    def _ttl_s(self, name: str) -> float:
        if name.startswith(f"{self._version}-"):
            return math.inf
        return IN_USE_S if name.startswith(_TEMPORARY) else OTHER_VERSIONS_TTL_S

    def _remove(self, path: Path) -> None:
        """A process that reads the entry sees all of it or nothing."""
        removed = self._temporary()
        with suppress(OSError):  # another process has removed it, or the system forbids it
            path.rename(removed)
            if removed.is_dir() and not removed.is_symlink():
                shutil.rmtree(removed, ignore_errors=True)
            else:
                removed.unlink()

    def _path(self, name: str) -> Path:
        return self._directory / f"{self._version}-{name}"

    def _temporary(self) -> Path:
        return self._directory / f"{_TEMPORARY}{secrets.token_hex(8)}"

    def _artifact(self, path: Path) -> Artifact:
        artifact = Artifact(path)
        self._in_use.add(artifact)
        self.touch(artifact)
        return artifact


def _size_and_mtime(path: Path) -> tuple[int, float]:
    """Bytes of the files in an entry, and its last change in unix seconds."""
    num_bytes, mtime_s = 0, 0.0
    for file in (path, *(Path(at, name) for at, _, names in os.walk(path) for name in names)):
        with suppress(OSError):  # another process has removed it
            status = file.lstat()
            mtime_s = max(mtime_s, status.st_mtime)
            num_bytes += status.st_size if stat.S_ISREG(status.st_mode) else 0
    return num_bytes, mtime_s


def _version() -> str:
    """Digest of the versions of everything that determines an artifact, besides its own name."""
    parts = [f"format {_FORMAT}"]
    for library in _LIBRARIES:
        try:
            parts.append(f"{library} {metadata.version(library)}")
        except metadata.PackageNotFoundError:
            parts.append(f"no {library}")
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:8]
