"""The files behind links: kept for a while, in a folder or a bucket, within a bound on their bytes.

What is too old goes, and where room is short, the oldest. Only files of our own making are ever
removed, so that a bucket may hold others. Knows nothing of links, HTTP or images.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daguerre.config import Settings
from daguerre.errors import NotFoundError, UnavailableError
from daguerre.storage import data_dir

if TYPE_CHECKING:
    from obstore.store import LocalStore, S3Store

FOLDER = "files"
NAME = re.compile(r"[0-9a-f]{32}\.(png|jpeg)")
# A file outlives its link by so much, whose clock may not be the store's.
GRACE_S = 60.0
_MAX_RETRIES, _RETRY_S = 2, 10


@dataclass(frozen=True, slots=True)
class FileInfo:
    num_bytes: int
    e_tag: str


class FileStore:
    """`where` is a folder, which is made when the first file comes, or an address of S3; used from
    one event loop. The bound is kept by each server for itself: it counts what others have put in
    whenever it sweeps."""

    def __init__(
        self,
        where: Path | str,
        max_bytes: int,
        max_age_s: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.where, self._max_bytes, self._max_age_s = where, max_bytes, max_age_s
        self._clock = clock
        self._changing = asyncio.Lock()
        self._num_bytes: int | None = None  # not known before the first look

    @classmethod
    def of(cls, settings: Settings) -> FileStore:
        where: Path | str = settings.files_url
        if not settings.files_url:
            where = settings.data_dir() / FOLDER
        elif "://" not in settings.files_url:
            where = Path(settings.files_url).expanduser()
        return cls(where, settings.files_max_bytes, settings.files_max_age_s)

    async def put(self, name: str, data: bytes) -> None:
        assert NAME.fullmatch(name), f"a file named {name!r}. This is a bug."
        if isinstance(self.where, Path):
            data_dir.prepare(self.where.parent)
            data_dir.prepare(self.where)
        async with self._changing:
            with _explained(name):
                if self._num_bytes is None or self._num_bytes + len(data) > self._max_bytes:
                    await self._make_room(len(data))
                await self._store.put_async(name, data)
                self._num_bytes = (self._num_bytes or 0) + len(data)

    async def facts(self, name: str) -> FileInfo:
        """Raises `NotFoundError`."""
        self._check(name)
        with _explained(name):
            found = await self._store.head_async(name)
        return FileInfo(found["size"], str(found["e_tag"]))

    async def read(self, name: str, start: int, end: int) -> bytes:
        """The bytes from `start` to before `end`, of which there is one or more."""
        self._check(name)
        with _explained(name):
            return bytes(await self._store.get_range_async(name, start=start, end=end))

    async def sweep(self) -> None:
        """Removes what is too old, or too much."""
        if isinstance(self.where, Path) and not self.where.is_dir():
            return
        async with self._changing:
            with _explained("of the store"):
                await self._make_room(0)

    def _check(self, name: str) -> None:
        if not NAME.fullmatch(name) or (isinstance(self.where, Path) and not self.where.is_dir()):
            raise NotFoundError(f"there is no file {name[:60]!r}")

    async def _make_room(self, num_bytes: int) -> None:
        found = [file for file in await self._store.list().collect_async() if _is_ours(file)]
        found.sort(key=lambda file: file["last_modified"])
        total = sum(file["size"] for file in found)
        oldest_s = self._clock() - self._max_age_s - GRACE_S
        for file in found:
            is_old = file["last_modified"].timestamp() < oldest_s
            if is_old or total + num_bytes > self._max_bytes:
                await self._remove(file["path"])
                total -= file["size"]
        self._num_bytes = total

    async def _remove(self, path: str) -> None:
        try:
            await self._store.delete_async(path)
        except FileNotFoundError:  # another server was first
            pass

    @cached_property
    def _store(self) -> LocalStore | S3Store:
        # Not at the top: most servers make no link, and loading it takes time.
        from obstore.store import LocalStore, S3Store

        if isinstance(self.where, Path):
            return LocalStore(self.where)
        # Not with options for its client: they would put aside those of the environment.
        patience = timedelta(seconds=_RETRY_S)
        return S3Store.from_url(
            self.where, retry_config={"max_retries": _MAX_RETRIES, "retry_timeout": patience}
        )


def _is_ours(file: Any) -> bool:
    return NAME.fullmatch(file["path"]) is not None


@contextmanager
def _explained(name: str) -> Iterator[None]:
    from obstore.exceptions import BaseError

    try:
        yield
    except FileNotFoundError:
        raise NotFoundError(f"there is no file {name!r}") from None
    except (BaseError, OSError) as error:
        raise UnavailableError("the store of files does not answer", retry_after_s=5) from error
