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
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

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


@dataclass(frozen=True, slots=True)
class CachedImage:
    """The bytes of an image file and when it was made, in unix seconds."""

    file: bytes
    created: int


class ImageStore:
    """Objects of at most `max_bytes` at `location`, a directory or an S3 URL; 0 keeps none.

    An object stays for `url_ttl_s` after its last replay, unless the limit evicts it: the least
    recently used first in a directory, the oldest first in a bucket. Used from one event loop.
    """

    def __init__(
        self,
        location: Path | str,
        max_bytes: int,
        url_ttl_s: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.is_enabled = max_bytes > 0
        self._max_bytes, self._clock = max_bytes, clock
        ttl_s = REPLAY_TTL_S + url_ttl_s + GRACE_S
        self._backend: _Backend = (
            _Directory(location, max_bytes, ttl_s, clock)
            if isinstance(location, Path)
            else _Bucket(location, max_bytes, ttl_s, clock)
        )
        self._evicting = asyncio.Lock()
        self._num_bytes = math.inf  # unknown before the first sweep

    async def get(self, name: str, max_idle_s: float = math.inf) -> CachedImage | None:
        """None if the object is missing, damaged or was not used in the last `max_idle_s`.

        Raises `UnavailableError`.
        """
        if not _NAME.fullmatch(name):
            return None
        content = await self._backend.get(name, self._clock() - max_idle_s)
        return None if content is None else await asyncio.to_thread(_unpack, content)

    async def put(self, name: str, image: CachedImage) -> None:
        """Raises `UnavailableError` if the image cannot be stored."""
        assert _NAME.fullmatch(name), f"an object named {name!r}. This is a bug."
        content = _pack(image)
        async with self._evicting:
            if self._num_bytes + len(content) > self._max_bytes:
                self._num_bytes = await self._free(len(content))
            self._num_bytes += len(content)
        await self._backend.put(name, content)

    async def sweep(self) -> None:
        """Removes expired objects, and what exceeds the limit. Raises `UnavailableError`."""
        async with self._evicting:
            self._num_bytes = await self._backend.evict(0) or 0

    async def _free(self, num_bytes: int) -> int:
        remaining = await self._backend.evict(num_bytes) if num_bytes <= self._max_bytes else None
        if remaining is None:
            raise UnavailableError(
                f"an image of {num_bytes} bytes does not fit into the image store, which has"
                f" image_store_max_bytes={self._max_bytes}",
                retry_after_s=5,
            )
        return remaining


class _Backend(Protocol):
    """Named objects; every method raises `UnavailableError`."""

    async def get(self, name: str, since_s: float) -> bytes | None:
        """None if there is no object that was used since then, in unix seconds."""

    async def put(self, name: str, content: bytes) -> None: ...

    async def evict(self, num_bytes: int) -> int | None:
        """See `BoundedFolder.evict`."""


class _Directory:
    def __init__(
        self, path: Path, max_bytes: int, ttl_s: float, clock: Callable[[], float]
    ) -> None:
        self._folder = BoundedFolder(
            path, max_bytes, lambda name: ttl_s if _NAME.fullmatch(name) else None, clock=clock
        )

    async def get(self, name: str, since_s: float) -> bytes | None:
        with _unavailable(OSError):
            return await asyncio.to_thread(self._read, name, since_s)

    async def put(self, name: str, content: bytes) -> None:
        with _unavailable(OSError, SettingsError):
            await asyncio.to_thread(
                self._folder.write, name, lambda path: _write_private(path, content)
            )

    async def evict(self, num_bytes: int) -> int | None:
        with _unavailable(OSError, SettingsError):
            return await asyncio.to_thread(self._folder.evict, num_bytes)

    def _read(self, name: str, since_s: float) -> bytes | None:
        path = self._folder.path / name
        try:
            if path.stat().st_mtime <= since_s:
                return None
            content = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        self._folder.touch(name)
        return content


class _Bucket:
    def __init__(self, url: str, max_bytes: int, ttl_s: float, clock: Callable[[], float]) -> None:
        self._url, self._max_bytes, self._ttl_s, self._clock = url, max_bytes, ttl_s, clock

    async def get(self, name: str, since_s: float) -> bytes | None:
        with self._unavailable():
            try:
                found = await self._store.get_async(name)
            except FileNotFoundError:
                return None
            if found.meta["last_modified"].timestamp() <= since_s:
                return None
            return bytes(await found.bytes_async())

    async def put(self, name: str, content: bytes) -> None:
        with self._unavailable():
            await self._store.put_async(name, content)

    async def evict(self, num_bytes: int) -> int | None:
        with self._unavailable():
            entries = [
                self._entry(found)
                for found in await self._store.list().collect_async()
                if _NAME.fullmatch(found["path"])
            ]
            now_s = self._clock()
            expired = [entry for entry in entries if now_s >= entry.expires_s]
            kept = [entry for entry in entries if now_s < entry.expires_s]
            excess = total_bytes(kept) + num_bytes - self._max_bytes
            # Frees a tenth more, so that a full bucket is not listed for every new object.
            slack = self._max_bytes // 10 if excess > 0 else 0
            victims = least_recently_used(kept, excess + slack)
            for entry in (*expired, *victims):
                with suppress(FileNotFoundError):  # another server has deleted it
                    await self._store.delete_async(entry.name)
        return total_bytes(kept) - total_bytes(victims)

    def _entry(self, found: ObjectMeta) -> Entry:
        made_s = found["last_modified"].timestamp()
        return Entry(found["path"], found["size"], made_s, made_s + self._ttl_s)

    def _unavailable(self) -> AbstractContextManager[None]:
        from obstore.exceptions import BaseError

        return _unavailable(BaseError, OSError)

    @cached_property
    def _store(self) -> S3Store:
        from obstore.store import S3Store  # takes time to load

        # No client options here: they would override those of the environment.
        timeout = timedelta(seconds=_RETRY_TIMEOUT_S)
        return S3Store.from_url(
            self._url, retry_config={"max_retries": _MAX_RETRIES, "retry_timeout": timeout}
        )


def _unavailable(*kinds: type[Exception]) -> AbstractContextManager[None]:
    return translate_errors(
        kinds,
        lambda error: UnavailableError("the image store is unavailable", retry_after_s=5),
    )


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
