"""Networks that executors have converted or compiled, cached on disk and shared by processes.

An artifact's name includes the versions of the libraries that made it. Nothing here is needed: an
artifact that is gone is made again.
"""

from __future__ import annotations

import hashlib
import logging
import math
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from daguerre.errors import SettingsError
from daguerre.storage.bounded_folder import BoundedFolder

logger = logging.getLogger(__name__)

DIR_NAME = "artifacts"
# Another process may still read or write an artifact that was used this recently.
IN_USE_S = 60 * 60
# Artifacts of other versions stay for a while, because an update may be reverted.
OTHER_VERSIONS_TTL_S = 7 * 24 * 60 * 60
_MIN_FREE_BYTES = 2 * 1024**3
_LIBRARIES = ("torch", "diffusers", "transformers", "openvino")
_FORMAT = 1  # increment when older artifacts become unusable


@dataclass(frozen=True, eq=False)
class Artifact:
    """A directory that is not evicted while a reference to this object exists."""

    path: Path


class ArtifactCache:
    """Artifacts of at most `max_bytes` in the directory `path`; 0 keeps none.

    One object serves all models of a process, in one thread.
    """

    def __init__(self, path: Path, max_bytes: int, clock: Callable[[], float] = time.time) -> None:
        self._max_bytes, self._version = max_bytes, _version()
        self._in_use: weakref.WeakSet[Artifact] = weakref.WeakSet()
        self._folder = BoundedFolder(
            path,
            max_bytes,
            self._ttl_s,
            min_idle_s=IN_USE_S,
            min_free_bytes=_MIN_FREE_BYTES,
            clock=clock,
        )

    def get(self, name: str) -> Artifact | None:
        path = self._path(name)
        return self._artifact(path) if path.is_dir() else None

    def add(self, name: str, num_bytes: int, write: Callable[[Path], None]) -> Artifact | None:
        """`write` fills the empty directory that it receives with about `num_bytes`.

        Returns None, and logs a warning, if there is no space or the disk fails.
        """
        if not self._max_bytes:
            return None
        path = self._path(name)

        def write_dir(temporary: Path) -> None:
            temporary.mkdir(mode=0o700)
            write(temporary)

        try:
            if self._folder.evict(num_bytes, self._pinned()) is None:
                logger.warning(
                    "cannot cache a network of %.1f GB in %s: not enough space on the disk or"
                    " within artifact_cache_max_bytes; it is prepared again after a restart",
                    num_bytes / 1e9,
                    path.parent,
                )
                return None
            self._folder.write(path.name, write_dir)
        except (OSError, RuntimeError, SettingsError) as error:  # OpenVINO raises RuntimeError
            logger.warning("cannot cache a network in %s: %s", path.parent, error)
            return None
        return self._artifact(path)

    def open_dir(self, name: str) -> Artifact:
        """A directory that the caller may write to at any time. Raises OSError."""
        path = self._path(name)
        path.mkdir(parents=True, exist_ok=True)
        return self._artifact(path)

    def touch(self, artifact: Artifact) -> None:
        """Marks the artifact as used, which other processes see."""
        self._folder.touch(artifact.path.name)

    def remove(self, artifact: Artifact) -> None:
        self._in_use.discard(artifact)
        self._folder.remove(artifact.path.name)

    def evict(self) -> None:
        """Removes expired artifacts, and the least recently used ones above the limit."""
        try:
            self._folder.evict(pinned=self._pinned())
        except OSError as error:
            logger.warning("cannot evict from %s: %s", self._folder.path, error)

    def _pinned(self) -> set[str]:
        return {artifact.path.name for artifact in self._in_use}

    def _path(self, name: str) -> Path:
        return self._folder.path / f"{self._version}-{name}"

    def _artifact(self, path: Path) -> Artifact:
        artifact = Artifact(path)
        self._in_use.add(artifact)
        self.touch(artifact)
        return artifact

    def _ttl_s(self, name: str) -> float:
        return math.inf if name.startswith(f"{self._version}-") else OTHER_VERSIONS_TTL_S


def _version() -> str:
    """Digest of the versions of everything that determines an artifact, besides its own name."""
    found = [f"format {_FORMAT}"]
    for library in _LIBRARIES:
        try:
            found.append(f"{library} {metadata.version(library)}")
        except metadata.PackageNotFoundError:
            found.append(f"no {library}")
    return hashlib.sha256(" ".join(found).encode()).hexdigest()[:8]
