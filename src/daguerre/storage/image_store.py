"""Finished images in a directory or a bucket, for idempotent replays, caching and signed URLs.

An object's name is the digest of everything that determines the image. Its bytes are the image
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
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from obstore.exceptions import BaseError
from obstore.store import LocalStore, S3Store

from daguerre import validation
from daguerre.errors import SettingsError, UnavailableError
from daguerre.storage import data_dir
from daguerre.storage.errors import translate_errors

DIR_NAME = "images"
# An Idempotency-Key holds for as long, so no request needs an object after that.
REPLAY_TTL_S = 24 * 60 * 60
# The clocks of the server and of the bucket may differ.
GRACE_S = 60.0
# A use is recorded by writing the object again, at most this often.
TOUCH_INTERVAL_S = 60 * 60
_NAME = re.compile(r"[0-9a-f]{64}\.[a-z]+")
_UNFINISHED = re.compile(_NAME.pattern + r"#\d+")  # as obstore names them
_TRAILER = struct.Struct(">32sq16s")  # SHA-256 of the file, when it was made, magic
_MAGIC = b"daguerre image 1"
_MAX_RETRIES, _RETRY_TIMEOUT = 2, timedelta(seconds=10)
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
_ERRORS = (BaseError, OSError, SettingsError)


@dataclass(frozen=True, slots=True)
class ImageFile:
    """The bytes of an image file and when it was made, in unix seconds."""

    data: bytes
    created: int


class ImageStore:
    """Objects of at most `max_bytes` at `location`, a directory or an S3 URL; 0 disables the store.

    A disabled store finds no object, and leaves those of other servers alone.

    An object stays for `url_ttl_s` after its last replay, unless the limit evicts it: the least
    recently used first. Every method raises `UnavailableError` if the location fails.
    """

    def __init__(
        self,
        location: str,
        max_bytes: int,
        url_ttl_s: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.is_enabled, self.is_bucket = max_bytes > 0, location.startswith("s3://")
        self._location, self._max_bytes, self._clock = location, max_bytes, clock
        self._ttl_s = REPLAY_TTL_S + url_ttl_s + GRACE_S
        self._lock = asyncio.Lock()  # held during an eviction
        self._num_bytes = math.inf  # unknown before the first sweep
        self._objects: LocalStore | S3Store | None = None

    def prepare(self) -> None:
        """Creates the directory, or checks the variables of the bucket, but not the bucket itself.

        Raises `SettingsError` if that fails.
        """
        if self.is_enabled and self._directory:
            data_dir.prepare(self._directory, "image store", "--image-store")
        elif self.is_enabled:
            _open_bucket(self._location)

    async def get(self, name: str, max_idle_s: float = math.inf) -> ImageFile | None:
        """None if the object is missing, damaged or was not used in the last `max_idle_s`."""
        if not (self.is_enabled and _NAME.fullmatch(name)):
            return None
        with _translate_errors():
            try:
                response = await (await self._open()).get_async(name)
                data = bytes(await response.bytes_async())
            except FileNotFoundError:
                return None
        idle_s = self._idle_s(response.meta["last_modified"])
        image = await asyncio.to_thread(_unpack, data) if idle_s < max_idle_s else None
        if image and idle_s >= TOUCH_INTERVAL_S:
            with suppress(*_ERRORS):
                await (await self._open()).put_async(name, data)
        return image

    async def put(self, name: str, image: ImageFile) -> None:
        """Stores the image under a hexadecimal digest with an extension."""
        assert _NAME.fullmatch(name), f"an object named {name!r}. This is a bug."
        data = await asyncio.to_thread(_pack, image)
        if len(data) > self._max_bytes:
            raise UnavailableError(
                f"an image of {len(data)} bytes does not fit into the image store, which has"
                f" image_store_max_bytes={self._max_bytes}",
                retry_after_s=5,
            )
        with _translate_errors():
            async with self._lock:
                if self._num_bytes + len(data) > self._max_bytes:
                    self._num_bytes = await self._evict(len(data))
                self._num_bytes += len(data)
            await (await self._open()).put_async(name, data)

    def dump(self) -> Iterator[tuple[str, bytes]]:
        """Name and bytes of each object, for a backup."""
        if not self.is_enabled:
            return
        with _translate_errors():
            objects = self._new_objects()
            for name in [entry["path"] for batch in objects.list() for entry in batch]:
                with suppress(FileNotFoundError):  # it is evicted at this moment
                    if _NAME.fullmatch(name):
                        yield name, bytes(objects.get(name).bytes())

    def load(self, dumped: Iterable[tuple[str, bytes]]) -> int:
        """Stores the objects of a backup, and returns their number."""
        num_objects = 0
        if not self.is_enabled:
            return num_objects
        with _translate_errors():
            objects = self._new_objects()
            for name, data in dumped:
                if _NAME.fullmatch(name):
                    objects.put(name, data)
                    num_objects += 1
        return num_objects

    async def sweep(self) -> None:
        """Removes expired objects, unfinished files, and what exceeds the limit."""
        if not self.is_enabled:
            return
        with _translate_errors():
            async with self._lock:
                self._num_bytes = await self._evict()
                await asyncio.to_thread(self._remove_unfinished)

    async def _evict(self, num_bytes: int = 0) -> int:
        """Frees space for `num_bytes`; returns the bytes that remain."""
        objects = await self._open()
        listed = (await objects.list_with_delimiter_async())["objects"]
        images = [entry for entry in listed if _NAME.fullmatch(entry["path"])]
        total, limit = sum(entry["size"] for entry in images), self._max_bytes - num_bytes
        if total > limit:  # frees a tenth more, so that not every new object causes a listing
            limit -= self._max_bytes // 10
        for entry in sorted(images, key=lambda entry: entry["last_modified"]):
            if total <= limit and self._idle_s(entry["last_modified"]) < self._ttl_s:
                break
            with suppress(FileNotFoundError):  # another server has deleted it
                await objects.delete_async(entry["path"])
            total -= entry["size"]
        return total

    @property
    def num_bytes(self) -> int:
        """Size of all objects, as far as this server knows; 0 before the first sweep."""
        return 0 if self._num_bytes == math.inf else int(self._num_bytes)

    def _idle_s(self, last_modified: datetime) -> float:
        return self._clock() - last_modified.timestamp()

    @property
    def _directory(self) -> Path | None:
        return None if self.is_bucket else Path(self._location)

    async def _open(self) -> LocalStore | S3Store:
        if self._objects is None:
            self._objects = await asyncio.to_thread(self._new_objects)
        return self._objects

    def _new_objects(self) -> LocalStore | S3Store:
        self.prepare()
        if self._directory:
            return LocalStore(self._directory)
        return _open_bucket(self._location)

    def _remove_unfinished(self) -> None:
        """Removes files that a killed server has left; obstore does not list them."""
        if self._directory:
            files = (file for file in self._directory.iterdir() if _UNFINISHED.fullmatch(file.name))
            data_dir.remove_unfinished(files, self._clock())


def _open_bucket(location: str) -> S3Store:
    """Raises `SettingsError` for an AWS_ variable with a malformed value."""
    for name in _ENDPOINTS:
        if not validation.url.accepts(value := os.environ.get(name, "")):
            raise SettingsError(f"{name} is {value!r}; it must be {validation.url.rule}")
    try:
        # No client options here: they would override those of the environment.
        return S3Store.from_url(
            location, retry_config={"max_retries": _MAX_RETRIES, "retry_timeout": _RETRY_TIMEOUT}
        )
    except BaseError as error:
        reason = str(error).split("\n", 1)[0]
        raise SettingsError(
            f"cannot use the image store {location}: {reason}; check the AWS_ variables"
        ) from error


def _translate_errors() -> AbstractContextManager[None]:
    return translate_errors(
        _ERRORS,
        lambda error: UnavailableError("the image store is unavailable", retry_after_s=5),
    )


def _pack(image: ImageFile) -> bytes:
    digest = hashlib.sha256(image.data).digest()
    return image.data + _TRAILER.pack(digest, image.created, _MAGIC)


def _unpack(data: bytes) -> ImageFile | None:
    file, trailer = data[: -_TRAILER.size], data[-_TRAILER.size :]
    if len(trailer) < _TRAILER.size:
        return None
    digest, created, magic = _TRAILER.unpack(trailer)
    if magic != _MAGIC or hashlib.sha256(file).digest() != digest:
        return None
    return ImageFile(file, created)
