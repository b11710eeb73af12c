"""What executors have made of networks, kept on disk: a bounded folder that servers may share.

An entry is a folder that is whole or not there: it is made beside and moved into place, and moved
away before it is removed. Its name says which libraries' versions made it. Nothing in here is
needed: what is gone is made anew. Knows nothing of what is in an entry, and loads no torch.
"""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
import shutil
import stat
import tempfile
import time
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

logger = logging.getLogger(__name__)

FOLDER_NAME = "converted"
# Another server on the folder may be reading or writing what was used so recently.
IN_USE_S = 60 * 60
# Entries of other versions stay for as long: an update may be taken back.
OTHERS_UNUSED_S = 7 * 24 * 60 * 60
# Of a disk that must stay free beside what is kept.
_SPARE_BYTES = 2 * 1024**3
_LIBRARIES = ("torch", "diffusers", "transformers", "openvino")
_FORM = 1  # of an entry; counts up when older ones are of no use
_UNFINISHED = ("new-", "old-")


@dataclass(frozen=True, eq=False)
class Artifact:
    """In use, and so kept, for as long as somebody has this object."""

    folder: Path


@dataclass(frozen=True, slots=True)
class _Found:
    path: Path
    used_s: float
    num_bytes: int
    rank: int  # what goes first: leftovers, other versions, our own

    def is_useless(self, now_s: float) -> bool:
        return self.rank == 0 or (self.rank == 1 and now_s - self.used_s >= OTHERS_UNUSED_S)


class ArtifactCache:
    """At most `max_bytes` in `folder`: past it what was used longest ago goes, but never what this
    process uses. One for all models of a process, used by one thread."""

    def __init__(
        self, folder: Path, max_bytes: int, clock: Callable[[], float] = time.time
    ) -> None:
        self._folder, self._max_bytes, self._clock = folder, max_bytes, clock
        self._version = _version()
        self._used: weakref.WeakSet[Artifact] = weakref.WeakSet()

    def get(self, name: str) -> Artifact | None:
        place = self._place(name)
        return self._entry(place) if place.is_dir() else None

    def add(self, name: str, num_bytes: int, write: Callable[[Path], None]) -> Artifact | None:
        """`write` is given an empty folder, and fills it with about so many bytes. None, and a line
        in the log, where there is no room or the disk refuses."""
        if not self._max_bytes:
            return None
        place = self._place(name)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            if not self._make_room(num_bytes):
                logger.warning(
                    "%.1f GB of a network are not kept in %s, and made again after a start: the"
                    " disk, or the setting artifact_cache_max_bytes, leaves too little room",
                    num_bytes / 1e9,
                    self._folder,
                )
                return None
            self._write(place, write)
        except (OSError, RuntimeError) as error:  # the second is what OpenVINO raises
            logger.warning("converted networks cannot be kept in %s: %s", self._folder, error)
            return None
        return self._entry(place)

    def open(self, name: str) -> Artifact:
        """A folder that whoever calls this writes to as it likes. Raises OSError."""
        place = self._place(name)
        place.mkdir(parents=True, exist_ok=True)
        return self._entry(place)

    def use(self, entry: Artifact) -> None:
        """Another server sees that it is used now."""
        try:
            os.utime(entry.folder, (self._clock(), self._clock()))
        except OSError:  # removed by hand, or not ours to change
            pass

    def remove(self, entry: Artifact) -> None:
        self._used.discard(entry)
        _remove(entry.folder)

    def tidy(self) -> None:
        """Removes what nobody will use, and what is more than the bound."""
        try:
            self._make_room(0)
        except OSError as error:
            logger.warning("%s cannot be tidied: %s", self._folder, error)

    def _place(self, name: str) -> Path:
        return self._folder / f"{self._version}-{name}"

    def _entry(self, place: Path) -> Artifact:
        entry = Artifact(place)
        self._used.add(entry)
        self.use(entry)
        return entry

    def _write(self, place: Path, write: Callable[[Path], None]) -> None:
        beside = Path(tempfile.mkdtemp(prefix="new-", dir=self._folder))
        try:
            write(beside)
            beside.rename(place)
        except OSError:
            if not place.is_dir():  # else another server was faster, and its work is as good
                raise
        finally:
            shutil.rmtree(beside, ignore_errors=True)

    def _make_room(self, num_bytes: int) -> bool:
        """Whether so many may be added now. Where they may not, nothing goes for them in vain."""
        now_s = self._clock()
        used = {entry.folder for entry in self._used}
        found = list(self._found())
        idle = [e for e in found if e.path not in used and now_s - e.used_s >= IN_USE_S]
        gone = [entry for entry in idle if entry.is_useless(now_s)]
        more = sorted(
            (entry for entry in idle if not entry.is_useless(now_s)),
            key=lambda entry: (entry.rank, entry.used_s),
        )
        excess = _size(found) - _size(gone) + num_bytes - self._max_bytes
        if num_bytes:
            free = shutil.disk_usage(self._folder).free + _size(gone)
            excess = max(excess, num_bytes + _SPARE_BYTES - free)
        is_enough = excess <= _size(more)
        while excess > 0 and more and (is_enough or not num_bytes):
            gone.append(more.pop(0))
            excess -= gone[-1].num_bytes
        for entry in gone:
            if _remove(entry.path):
                logger.info("removed %s, unused: %.1f GB", entry.path, entry.num_bytes / 1e9)
        return is_enough

    def _found(self) -> Iterator[_Found]:
        try:
            entries = list(os.scandir(self._folder))
        except FileNotFoundError:  # nothing was kept yet
            return
        for entry in entries:
            is_leftover = not entry.is_dir() or entry.name.startswith(_UNFINISHED)
            is_ours = entry.name.startswith(f"{self._version}-")
            used_s, num_bytes = _looked_through(Path(entry.path))
            yield _Found(Path(entry.path), used_s, num_bytes, 0 if is_leftover else 1 + is_ours)


def _size(entries: list[_Found]) -> int:
    return sum(entry.num_bytes for entry in entries)


def _looked_through(path: Path) -> tuple[float, int]:
    """When anything in it was last written or marked as used, and its bytes."""
    used_s, num_bytes = 0.0, 0
    files = [path, *(Path(at, name) for at, _, names in os.walk(path) for name in names)]
    for file in files:
        try:
            status = file.lstat()
        except OSError:  # another server has removed it
            continue
        used_s = max(used_s, status.st_mtime)
        num_bytes += status.st_size if stat.S_ISREG(status.st_mode) else 0
    return used_s, num_bytes


def _remove(path: Path) -> bool:
    """Whether it was there; whoever reads it meanwhile has it whole, or not."""
    gone = path.with_name(f"old-{secrets.token_hex(8)}")
    try:
        path.rename(gone)
    except OSError:  # another server was faster, or it may not be removed while it is read
        return False
    if gone.is_dir() and not gone.is_symlink():
        shutil.rmtree(gone, ignore_errors=True)
    else:
        gone.unlink(missing_ok=True)
    return True


def _version() -> str:
    """A name for the versions of all that an entry depends on, beside what its own name says."""
    found = [f"form {_FORM}"]
    for library in _LIBRARIES:
        try:
            found.append(f"{library} {metadata.version(library)}")
        except metadata.PackageNotFoundError:
            found.append(f"no {library}")
    return hashlib.sha256(" ".join(found).encode()).hexdigest()[:8]
