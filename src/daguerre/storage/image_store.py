"""Finished images in a directory or a bucket, for idempotent replays, caching and signed URLs.

An object's name is the digest of everything that determines the image. Its content is the image
file and a trailer with a checksum, which image viewers ignore, so that a damaged or truncated
object counts as missing. Several servers may share a directory or a bucket; each keeps the limit by
itself, and counts what the others have added whenever it sweeps.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import os
import re
import struct
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from daguerre.errors import SettingsError, UnavailableError
from daguerre.storage.bounded_folder import BoundedFolder, Entry, least_recently_used, total_bytes
from daguerre.storage.errors import translate_errors

if TYPE_CHECKING:
    from obstore import ObjectMeta
    from obstore.store import S3Store

DIR_NAME = "images"
# An Idempotency-Key holds for as long, so no request needs an object after that.
REPLAY_TTL_S = 24 * 60 * 60
# The clocks of the server and of the bucket may differ.
GRACE_S = 60.0
_NAME = re.compile(r"[0-9a-f]{64}\.[a-z]+")
_TRAILER = struct.Struct(">32sq16s")  # SHA-256 of the file, when it was made, magic
_MAGIC = b"daguerre image 1"
_MAX_RETRIES, _RETRY_TIMEOUT_S = 2, 10
_NUM_THREADS = 8
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CachedImage:
    """The bytes of an image file and when it was made, in unix seconds."""

    file: bytes
    created: int


class ImageStore:
    """Objects of at most `max_bytes` at `location`, a directory or an S3 URL; 0 stores none.

    An object stays for `url_ttl_s` after its last replay, unless the limit evicts it: the least
    recently used first in a directory, the oldest first in a bucket.
    """

    def __init__(
        self,
        location: str,
        max_bytes: int,
        url_ttl_s: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.is_enabled = max_bytes > 0
        self._max_bytes, self._clock = max_bytes, clock
        ttl_s = REPLAY_TTL_S + url_ttl_s + GRACE_S
        backend = _Bucket if location.startswith("s3://") else _Directory
        self._objects: _Bucket | _Directory = backend(location, max_bytes, ttl_s, clock)
        # Threads of its own, so that a bucket that does not answer blocks no other work.
        self._threads = ThreadPoolExecutor(_NUM_THREADS, "image-store")
        self._lock = threading.Lock()  # held while `_num_bytes` changes
        self._num_bytes = math.inf  # unknown before the first sweep

    async def get(self, name: str, max_idle_s: float = math.inf) -> CachedImage | None:
        """None if the object is missing, damaged or was not used in the last `max_idle_s`.

        Raises `UnavailableError`.
        """
        return await self._run(self._get, name, self._clock() - max_idle_s)

    async def put(self, name: str, image: CachedImage) -> None:
        """Raises `UnavailableError` if the image cannot be stored."""
        await self._run(self._put, name, image)

    async def sweep(self) -> None:
        """Removes expired objects, and what exceeds the limit. Raises `UnavailableError`."""
        await self._run(self._sweep)

    async def _run(self, function: Callable[..., T], *arguments: object) -> T:
        with translate_errors(self._objects.errors, _unavailable):
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, function, *arguments)

    def _get(self, name: str, since_s: float) -> CachedImage | None:
        content = self._objects.get(name, since_s) if _NAME.fullmatch(name) else None
        return None if content is None else _unpack(content)

    def _put(self, name: str, image: CachedImage) -> None:
        assert _NAME.fullmatch(name), f"an object named {name!r}. This is a bug."
        content = _pack(image)
        with self._lock:
            if self._num_bytes + len(content) > self._max_bytes:
                self._num_bytes = self._evict(len(content))
            self._num_bytes += len(content)
        self._objects.put(name, content)

    def _sweep(self) -> None:
        with self._lock:
            self._num_bytes = self._objects.evict() or 0

    def _evict(self, num_bytes: int) -> int:
        remaining = self._objects.evict(num_bytes) if num_bytes <= self._max_bytes else None
        if remaining is None:
            raise UnavailableError(
                f"an image of {num_bytes} bytes does not fit into the image store, which has"
                f" image_store_max_bytes={self._max_bytes}",
                retry_after_s=5,
            )
        return remaining


class _Directory(BoundedFolder):
    errors = (OSError, SettingsError)

    def __init__(self, path: str, max_bytes: int, ttl_s: float, clock: Callable[[], float]) -> None:
        def ttl_of(name: str) -> float | None:
            return ttl_s if _NAME.fullmatch(name) else None

        super().__init__(Path(path).expanduser(), max_bytes, ttl_of, clock=clock)

    def get(self, name: str, since_s: float) -> bytes | None:
        try:
            if (self.path / name).stat().st_mtime <= since_s:
                return None
            content = (self.path / name).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        self.touch(name)
        return content

    def put(self, name: str, content: bytes) -> None:
        self.write(name, lambda path: _write_private(path, content))


class _Bucket:
    def __init__(self, url: str, max_bytes: int, ttl_s: float, clock: Callable[[], float]) -> None:
        self._url, self._max_bytes, self._ttl_s, self._clock = url, max_bytes, ttl_s, clock

    def get(self, name: str, since_s: float) -> bytes | None:
        try:
            found = self._store.get(name)
        except FileNotFoundError:
            return None
        is_idle = found.meta["last_modified"].timestamp() <= since_s
        return None if is_idle else bytes(found.bytes())

    def put(self, name: str, content: bytes) -> None:
        self._store.put(name, content)

    def evict(self, num_bytes: int = 0) -> int | None:
        """See `BoundedFolder.evict`."""
        now_s = self._clock()
        entries = [_entry(found, self._ttl_s) for found in self._store.list().collect()]
        entries = [entry for entry in entries if _NAME.fullmatch(entry.name)]
        expired = [entry for entry in entries if now_s >= entry.expires_s]
        kept = [entry for entry in entries if now_s < entry.expires_s]
        excess = total_bytes(kept) + num_bytes - self._max_bytes
        # Frees a tenth more, so that a full bucket is not listed for every new object.
        slack = self._max_bytes // 10 if excess > 0 else 0
        victims = least_recently_used(kept, excess + slack)
        for entry in (*expired, *victims):
            with suppress(FileNotFoundError):  # another server has deleted it
                self._store.delete(entry.name)
        return total_bytes(kept) - total_bytes(victims)

    @cached_property
    def errors(self) -> tuple[type[Exception], ...]:
        from obstore.exceptions import BaseError

        return (BaseError, OSError)

    @cached_property
    def _store(self) -> S3Store:
        from obstore.store import S3Store  # takes time to load

        # No client options here: they would override those of the environment.
        timeout = timedelta(seconds=_RETRY_TIMEOUT_S)
        return S3Store.from_url(
            self._url, retry_config={"max_retries": _MAX_RETRIES, "retry_timeout": timeout}
        )


def _entry(found: ObjectMeta, ttl_s: float) -> Entry:
    modified_s = found["last_modified"].timestamp()
    return Entry(found["path"], found["size"], modified_s, modified_s + ttl_s)


def _unavailable(error: Exception) -> UnavailableError:
    return UnavailableError("the image store is unavailable", retry_after_s=5)


def _write_private(path: Path, content: bytes) -> None:
    with open(path, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(content)


def _pack(image: CachedImage) -> bytes:
    digest = hashlib.sha256(image.file).digest()
    return image.file + _TRAILER.pack(digest, image.created, _MAGIC)


def _unpack(content: bytes) -> CachedImage | None:
    file, trailer = content[: -_TRAILER.size], content[-_TRAILER.size :]
    if len(trailer) < _TRAILER.size:
        return None
    digest, created, magic = _TRAILER.unpack(trailer)
    if magic != _MAGIC or hashlib.sha256(file).digest() != digest:
        return None
    return CachedImage(file, created)
