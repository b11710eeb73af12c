"""Finished files on the disk, so that the same request again need not be made again.

A file stands under the digest of all that decides its bytes, with a digest of its own: one that was
damaged, or half written when the power went, counts as none. The folder is bounded; what was used
the longest ago goes first, and what nobody used for 24 hours goes anyway. Nothing here is needed: a
full disk or a lost folder costs time and no request. Knows nothing of HTTP, nor how files are made.
"""

from __future__ import annotations

import hashlib
import logging
import os
import struct
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from daguerre.errors import SettingsError
from daguerre.storage import data_dir

FOLDER_NAME = "results"
UNUSED_S = 24 * 60 * 60
# Another server on the folder writes there, too: its files are counted so often.
SWEEP_S = 60.0
_LOG_S = 10.0
_MAGIC = b"daguerre result 1\n"
_HEAD = struct.Struct(f">{len(_MAGIC)}s32sq")  # magic, SHA-256 of the file, when it was made
_UNFINISHED = ".part"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CachedImage:
    """The bytes of an image file, and when it was made, in unix seconds."""

    file: bytes
    created: int


@dataclass(frozen=True, slots=True)
class _Entry:
    used: float
    num_bytes: int
    path: Path


class ResultCache:
    """At most `max_bytes` in `home`; none at all where that is 0. Safe to share between threads."""

    def __init__(self, home: Path, max_bytes: int, clock: Callable[[], float] = time.time) -> None:
        self._home, self._folder = home, home / FOLDER_NAME
        self._max_bytes, self._clock = max_bytes, clock
        # All below is read and written under this lock.
        self._lock = threading.Lock()
        self._num_bytes = 0
        self._swept = self._silent_until = float("-inf")

    def get(self, digest: str) -> CachedImage | None:
        path, now = self._folder / digest, self._clock()
        try:
            content = path.read_bytes()
            is_old = path.stat().st_mtime <= now - UNUSED_S
            os.utime(path, (now, now))
        except OSError:
            return None
        return None if is_old else _parsed(content)

    def put(self, digest: str, result: CachedImage) -> None:
        """A disk that is full is told in the log: the image was made, and is answered."""
        content = _packed(result)
        if len(content) > self._max_bytes:
            return
        with self._lock:
            try:
                self._write(self._folder / digest, content)
            except (OSError, SettingsError) as error:
                self._tell(error)

    def _write(self, path: Path, content: bytes) -> None:
        data_dir.prepare(self._home)
        data_dir.prepare(self._folder)
        self._make_room(len(content))
        # The file is private from its first byte, and whole under its name or not there.
        number, unfinished = tempfile.mkstemp(suffix=_UNFINISHED, dir=self._folder)
        try:
            with open(number, "wb") as file:
                file.write(content)
            now = self._clock()
            os.utime(unfinished, (now, now))
            self._num_bytes += len(content) - _size(path)
            os.replace(unfinished, path)
        except BaseException:
            Path(unfinished).unlink(missing_ok=True)
            raise

    def _make_room(self, num_bytes: int) -> None:
        is_late = self._clock() >= self._swept + SWEEP_S
        if not is_late and self._num_bytes + num_bytes <= self._max_bytes:
            return
        self._swept = self._clock()
        entries = sorted(self._entries(), key=lambda entry: entry.used)
        self._num_bytes = sum(entry.num_bytes for entry in entries)
        for entry in entries:
            if self._num_bytes + num_bytes <= self._max_bytes and not self._is_unused(entry):
                break
            entry.path.unlink(missing_ok=True)
            self._num_bytes -= entry.num_bytes

    def _entries(self) -> list[_Entry]:
        found = []
        for entry in os.scandir(self._folder):
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:  # another server has removed it
                continue
            found.append(_Entry(status.st_mtime, status.st_size, Path(entry.path)))
        return found

    def _is_unused(self, entry: _Entry) -> bool:
        return entry.used <= self._clock() - UNUSED_S

    def _tell(self, error: Exception) -> None:
        if self._clock() >= self._silent_until:
            self._silent_until = self._clock() + _LOG_S
            logger.warning("results cannot be kept in %s: %s", self._folder, error)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _packed(result: CachedImage) -> bytes:
    digest = hashlib.sha256(result.file).digest()
    return _HEAD.pack(_MAGIC, digest, result.created) + result.file


def _parsed(content: bytes) -> CachedImage | None:
    if len(content) < _HEAD.size:
        return None
    magic, digest, created = _HEAD.unpack_from(content)
    file = content[_HEAD.size :]
    if magic != _MAGIC or hashlib.sha256(file).digest() != digest:
        return None
    return CachedImage(file, created)
