"""A local directory with a size limit, which processes share without a lock.

An entry is a file or a directory. It appears whole or not at all: it is written under a temporary
name and renamed into place, and renamed away before it is removed.
"""

from __future__ import annotations

import os
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from daguerre.storage import data_dir

_TEMPORARY = ".daguerre-"
# A process that was killed leaves temporary entries; younger ones may still be written.
TEMPORARY_TTL_S = 60 * 60


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or directory; `used_s`, its last write or touch, and `expires_s` are unix seconds."""

    name: str
    num_bytes: int
    used_s: float
    expires_s: float


def total_bytes(entries: Iterable[Entry]) -> int:
    return sum(entry.num_bytes for entry in entries)


def least_recently_used(entries: Iterable[Entry], num_bytes: int) -> list[Entry]:
    """The least recently used entries that total at least `num_bytes`, or else all."""
    victims: list[Entry] = []
    for entry in sorted(entries, key=lambda entry: entry.used_s):
        if num_bytes <= 0:
            break
        victims.append(entry)
        num_bytes -= entry.num_bytes
    return victims


class BoundedFolder:
    """Entries of at most `max_bytes` in total, of which the least recently used are evicted first.

    `ttl_s(name)` is how long an entry may stay unused; None for a name that is not an entry, which
    is neither counted nor removed. An entry that was used in the last `min_idle_s` is not evicted.
    At least `min_free_bytes` of the disk stay free.
    """

    def __init__(
        self,
        path: Path,
        max_bytes: int,
        ttl_s: Callable[[str], float | None],
        *,
        min_idle_s: float = 0.0,
        min_free_bytes: int = 0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.path, self._max_bytes, self._ttl_s = path, max_bytes, ttl_s
        self._min_idle_s, self._min_free_bytes = min_idle_s, min_free_bytes
        self._clock = clock

    def write(self, name: str, write: Callable[[Path], object]) -> None:
        """`write` creates the entry, a file or a directory, at the path that it receives.

        Raises OSError or `SettingsError`.
        """
        temporary = data_dir.prepare(self.path) / _temporary_name()
        try:
            write(temporary)
            temporary.replace(self.path / name)
            self.touch(name)
        except OSError:
            if not (self.path / name).is_dir():  # else another process has made the same entry
                raise
        finally:
            _delete(temporary)

    def touch(self, name: str) -> None:
        """Marks the entry as used, which other processes see."""
        now_s = self._clock()
        with suppress(OSError):  # another process has removed it, or it is another user's
            os.utime(self.path / name, (now_s, now_s))

    def remove(self, name: str) -> None:
        """Removes the entry; a process that reads it sees all of it or nothing."""
        removed = self.path / _temporary_name()
        try:
            (self.path / name).rename(removed)
        except OSError:  # another process has removed it, or this system forbids it during reads
            return
        _delete(removed)

    def evict(self, num_bytes: int = 0, pinned: Collection[str] = ()) -> int | None:
        """Removes expired entries and frees space for `num_bytes`; never removes `pinned` ones.

        Returns the bytes that remain, or None if the space cannot be freed; then no entry is
        evicted for it. Raises OSError or `SettingsError`.
        """
        now_s = self._clock()
        entries = list(self._entries())
        idle = [e for e in entries if e.name not in pinned and now_s - e.used_s >= self._min_idle_s]
        expired = [e for e in idle if now_s >= e.expires_s]
        total = total_bytes(entries) - total_bytes(expired)
        excess = total + num_bytes - self._max_bytes
        if num_bytes:
            free = shutil.disk_usage(data_dir.prepare(self.path)).free + total_bytes(expired)
            excess = max(excess, num_bytes + self._min_free_bytes - free)
        victims = least_recently_used((e for e in idle if now_s < e.expires_s), excess)
        fits = total_bytes(victims) >= excess
        if num_bytes and not fits:
            victims = []
        for entry in (*expired, *victims):
            self.remove(entry.name)
        return total - total_bytes(victims) if fits or not num_bytes else None

    def _entries(self) -> Iterator[Entry]:
        with suppress(FileNotFoundError):  # nothing was written yet
            for name in os.listdir(self.path):
                ttl_s = TEMPORARY_TTL_S if name.startswith(_TEMPORARY) else self._ttl_s(name)
                if ttl_s is not None:
                    yield _entry(self.path / name, ttl_s)


def _temporary_name() -> str:
    return f"{_TEMPORARY}{secrets.token_hex(8)}"


def _entry(path: Path, ttl_s: float) -> Entry:
    used_s, num_bytes = 0.0, 0
    files = [path, *(Path(at, name) for at, _, names in os.walk(path) for name in names)]
    for file in files:
        with suppress(OSError):  # another process has removed it
            status = file.lstat()
            used_s = max(used_s, status.st_mtime)
            num_bytes += status.st_size if stat.S_ISREG(status.st_mode) else 0
    return Entry(path.name, num_bytes, used_s, used_s + ttl_s)


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
