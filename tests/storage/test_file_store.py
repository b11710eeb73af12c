"""The store of files, in a folder and in a bucket: what it keeps, and what it lets go."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import mode
from s3 import BUCKET, s3

from daguerre.config import Settings
from daguerre.errors import NotFoundError, UnavailableError
from daguerre.storage.file_store import GRACE_S, FileStore

MAX_BYTES = 1000


class Clock:
    def __init__(self) -> None:
        self.ahead_s = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead_s


@pytest.fixture(params=["folder", "bucket"])
def where(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path | str]:
    if request.param == "folder":
        yield tmp_path / "home" / "files"
        return
    with s3(monkeypatch):
        yield f"s3://{BUCKET}/some/where"


def name(number: int, output_format: str = "png") -> str:
    return f"{number:032x}.{output_format}"


def store(where: Path | str, clock: Clock | None = None) -> FileStore:
    return FileStore(where, MAX_BYTES, max_age_s=100, clock=clock or Clock())


async def held(files: FileStore, count: int) -> list[int]:
    """The numbers of the files that are there."""
    found = []
    for number in range(count):
        try:
            await files.facts(name(number))
        except NotFoundError:
            continue
        found.append(number)
    return found


def test_there_and_back(where: Path | str) -> None:
    """A file comes back whole and in parts, also from another server, and what is none does not."""

    async def scene() -> None:
        data = bytes(range(250))
        await store(where).put(name(1, "jpeg"), data)
        files = store(where)
        facts = await files.facts(name(1, "jpeg"))
        assert facts.num_bytes == 250 and facts.e_tag.startswith('"')
        assert await files.read(name(1, "jpeg"), 0, 250) == data
        assert await files.read(name(1, "jpeg"), 10, 20) == data[10:20]
        for wrong in (name(2), "../" + name(1), "x.png", ""):
            with pytest.raises(NotFoundError):
                await files.facts(wrong)
            with pytest.raises(NotFoundError):
                await files.read(wrong, 0, 1)

    asyncio.run(scene())


def test_bound_on_bytes(where: Path | str) -> None:
    """Past the bound the oldest go, also those that another server has put in before."""

    async def scene() -> None:
        before = store(where)
        for number in range(3):
            await before.put(name(number), bytes(300))
            await asyncio.sleep(1.1 if isinstance(where, str) else 0.02)  # S3's clock has seconds
        assert await held(before, 5) == [0, 1, 2]
        files = store(where)
        await files.put(name(3), bytes(300))
        assert await held(files, 5) == [1, 2, 3]
        await files.put(name(4), bytes(900))
        assert await held(files, 5) == [4]

    asyncio.run(scene())


def test_bound_on_age(where: Path | str) -> None:
    """A sweep removes what is older than a link may be, and nothing else."""

    async def scene() -> None:
        clock = Clock()
        files = store(where, clock)
        await files.sweep()  # of what does not exist yet
        await files.put(name(0), b"old")
        clock.ahead_s = 100 + GRACE_S - 5
        await files.sweep()
        assert await held(files, 1) == [0]
        clock.ahead_s = 100 + GRACE_S + 5
        await files.sweep()
        assert await held(files, 1) == []

    asyncio.run(scene())


def test_files_of_others_stay(tmp_path: Path) -> None:
    """What the store has not made is not counted and not removed."""
    others = [tmp_path / "holiday.png", tmp_path / "deeper" / name(1)]
    others[1].parent.mkdir()
    for other in others:
        other.write_bytes(bytes(5000))

    async def scene() -> None:
        clock = Clock()
        clock.ahead_s = 1e6
        files = store(tmp_path, clock)
        await files.put(name(2), bytes(900))
        await files.sweep()

    asyncio.run(scene())
    assert all(other.exists() for other in others)
    assert not (tmp_path / name(2)).exists()


def test_folder_is_private(tmp_path: Path) -> None:
    """Pictures are nobody else's business on the machine."""
    asyncio.run(store(tmp_path / "home" / "files").put(name(1), b"x"))
    assert mode(tmp_path / "home" / "files") == mode(tmp_path / "home") == 0o700


def test_store_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bucket that cannot be reached is a 503 that says when to come back."""
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(variable, "x")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    with pytest.raises(UnavailableError, match="does not answer") as caught:
        asyncio.run(store("s3://bucket/x").put(name(1), b"x"))
    assert caught.value.retry_after_s


def test_where_settings_lead(tmp_path: Path) -> None:
    """The data folder, another folder, or a bucket."""
    assert FileStore.of(Settings(home=tmp_path)).where == tmp_path / "files"
    assert FileStore.of(Settings(home=tmp_path, files_url="/var/x")).where == Path("/var/x")
    bucket = "s3://bucket/x"
    assert FileStore.of(Settings(home=tmp_path, files_url=bucket)).where == bucket
