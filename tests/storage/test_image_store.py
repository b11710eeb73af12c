"""The image store, in a directory and in a bucket: the same bytes back, within its limits."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from conftest import ManualClock, mode
from s3 import BUCKET, REGION, s3

from daguerre.errors import SettingsError, UnavailableError
from daguerre.storage.data_dir import UNFINISHED_TTL_S
from daguerre.storage.image_store import (
    GRACE_S,
    REPLAY_TTL_S,
    TOUCH_INTERVAL_S,
    ImageFile,
    ImageStore,
)

MAX_BYTES = 10_000
URL_TTL_S = 3600
TTL_S = REPLAY_TTL_S + URL_TTL_S + GRACE_S
IMAGE = ImageFile(b"\x89PNG" + bytes(range(256)) * 11, 1_700_000_000)


class Objects:
    """Raw objects of a store, as another program sees them."""

    def __init__(self, location: Path | str) -> None:
        self.location = location

    def names(self) -> set[str]:
        if isinstance(self.location, Path):
            return set(os.listdir(self.location)) if self.location.exists() else set()
        found = self._client().list_objects_v2(Bucket=BUCKET).get("Contents", [])
        return {file["Key"].rpartition("/")[2] for file in found}

    def read(self, name: str) -> bytes:
        if isinstance(self.location, Path):
            return (self.location / name).read_bytes()
        content: bytes = self._client().get_object(**self._key(name))["Body"].read()
        return content

    def write(self, name: str, content: bytes) -> None:
        if isinstance(self.location, Path):
            self.location.mkdir(parents=True, exist_ok=True)
            (self.location / name).write_bytes(content)
        else:
            self._client().put_object(**self._key(name), Body=content)

    def _key(self, name: str) -> dict[str, str]:
        return {"Bucket": BUCKET, "Key": f"some/where/{name}"}

    @staticmethod
    def _client() -> Any:
        return boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"], region_name=REGION)


@pytest.fixture(params=["directory", "bucket"])
def location(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path | str]:
    if request.param == "directory":
        yield tmp_path / "home" / "images"
        return
    with s3(monkeypatch):
        yield f"s3://{BUCKET}/some/where"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(time.time())


@pytest.fixture
def new_store(location: Path | str, clock: ManualClock) -> Callable[[], ImageStore]:
    return lambda: ImageStore(str(location), MAX_BYTES, URL_TTL_S, clock)


def name(number: int, extension: str = "png") -> str:
    return f"{number:064x}.{extension}"


def pause(location: Path | str, clock: ManualClock) -> None:
    """Until the next object is newer; S3 has whole seconds, and files the clock's ticks."""
    seconds = 1.1 if isinstance(location, str) else 0.02
    time.sleep(seconds)
    clock.now += seconds


def run(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(main)


def test_dump_and_load(
    new_store: Callable[[], ImageStore], location: Path | str, tmp_path: Path
) -> None:
    """The objects of one place can be loaded into another of either kind; other files are not."""

    async def main() -> None:
        await new_store().put(name(1), IMAGE)
        Objects(location).write("notes.txt", b"x")
        dumped = [*new_store().dump()]
        assert [each for each, _ in dumped] == [name(1)]
        other = ImageStore(str(tmp_path / "other"), MAX_BYTES, URL_TTL_S)
        assert other.load(dumped) == 1
        assert await other.get(name(1)) == IMAGE
        assert new_store().load([(name(2), dumped[0][1]), ("notes.txt", b"y")]) == 1
        assert await new_store().get(name(2)) == IMAGE
        assert Objects(location).read("notes.txt") == b"x"

    run(main())


def test_same_bytes(new_store: Callable[[], ImageStore], location: Path | str) -> None:
    """Every server on the location finds the image; the object is the file with a trailer."""

    async def main() -> None:
        await new_store().put(name(1, "jpeg"), IMAGE)
        assert await new_store().get(name(1, "jpeg")) == IMAGE
        for missing in (name(2), "../" + name(1), "x.png", ""):
            assert await new_store().get(missing) is None

    run(main())
    assert Objects(location).read(name(1, "jpeg")).startswith(IMAGE.data)


def test_size_limit(
    new_store: Callable[[], ImageStore], location: Path | str, clock: ManualClock
) -> None:
    """Above the limit the oldest objects are evicted, those of other servers included."""

    async def main() -> None:
        before = new_store()
        for number in range(3):
            await before.put(name(number), IMAGE)
            pause(location, clock)
        assert Objects(location).names() == {name(0), name(1), name(2)}
        store = new_store()
        await store.put(name(3), IMAGE)
        assert Objects(location).names() == {name(1), name(2), name(3)}
        await store.put(name(4), ImageFile(bytes(9000), 0))
        assert Objects(location).names() == {name(4)}

    run(main())


def test_reads_count_as_use(
    new_store: Callable[[], ImageStore], location: Path | str, clock: ManualClock
) -> None:
    """The least recently used object is evicted first; a use counts once an hour."""

    async def main() -> None:
        store = new_store()
        for number in range(3):
            await store.put(name(number), IMAGE)
            pause(location, clock)
        assert await store.get(name(0)) == IMAGE
        clock.now += 2 * TOUCH_INTERVAL_S  # the files have the time of the machine
        assert await store.get(name(1)) == IMAGE
        pause(location, clock)
        await store.put(name(3), IMAGE)
        assert Objects(location).names() == {name(1), name(2), name(3)}
        pause(location, clock)
        await store.put(name(4), IMAGE)
        assert Objects(location).names() == {name(1), name(3), name(4)}

    run(main())


def test_put_again(new_store: Callable[[], ImageStore], location: Path | str) -> None:
    """An object that is overwritten counts once."""

    async def main() -> None:
        store = new_store()
        await store.put(name(0), IMAGE)
        for _ in range(10):
            await store.put(name(1), IMAGE)

    run(main())
    assert Objects(location).names() == {name(0), name(1)}


def test_larger_than_the_limit(new_store: Callable[[], ImageStore], location: Path | str) -> None:
    """An image larger than the limit is refused and evicts nothing."""

    async def main() -> None:
        store = new_store()
        await store.put(name(0), IMAGE)
        with pytest.raises(UnavailableError, match="image_store_max_bytes=10000"):
            await store.put(name(1), ImageFile(bytes(MAX_BYTES), 0))

    run(main())
    assert Objects(location).names() == {name(0)}


def test_disabled(tmp_path: Path) -> None:
    """With a limit of 0 nothing is stored or found, and the images of other servers stay."""
    unfinished = tmp_path / f"{name(0)}#1"
    unfinished.write_bytes(b"half")
    os.utime(unfinished, (0, 0))

    async def main() -> None:
        await ImageStore(str(tmp_path), MAX_BYTES, URL_TTL_S).put(name(1), IMAGE)
        store = ImageStore(str(tmp_path), 0, URL_TTL_S)
        assert not store.is_enabled
        await store.sweep()
        assert await store.get(name(1)) is None
        with pytest.raises(UnavailableError):
            await store.put(name(2), IMAGE)

    run(main())
    assert Objects(tmp_path).names() == {unfinished.name, name(1)}


def test_two_servers_share_the_limit(
    new_store: Callable[[], ImageStore], location: Path | str, clock: ManualClock
) -> None:
    """A sweep counts the objects of other servers."""

    async def main() -> None:
        ours, theirs = new_store(), new_store()
        await ours.put(name(0), IMAGE)
        for number in (1, 2):
            pause(location, clock)
            await theirs.put(name(number), IMAGE)
        await ours.sweep()
        pause(location, clock)
        await ours.put(name(3), IMAGE)

    run(main())
    assert Objects(location).names() == {name(1), name(2), name(3)}


def test_expiry(
    new_store: Callable[[], ImageStore], location: Path | str, clock: ManualClock
) -> None:
    """Replays use an object for 24 hours; it stays until the last URL that they signed expires."""

    async def main() -> None:
        store = new_store()
        await store.sweep()  # of a location that does not exist yet
        await store.put(name(0), IMAGE)
        made_s = clock.now
        for age_s, is_stored in (
            (REPLAY_TTL_S + 60, True),
            (TTL_S - 60, True),
            (TTL_S + 60, False),
        ):
            clock.now = made_s + age_s
            assert await store.get(name(0), REPLAY_TTL_S) is None
            await store.sweep()
            assert Objects(location).names() == ({name(0)} if is_stored else set())
        clock.now = made_s
        await store.put(name(0), IMAGE)
        clock.now = made_s + REPLAY_TTL_S - 60
        assert await store.get(name(0), REPLAY_TTL_S) == IMAGE

    run(main())


def test_damage(new_store: Callable[[], ImageStore], location: Path | str) -> None:
    """A damaged or truncated object counts as missing, and a new one replaces it."""

    async def main() -> None:
        store, objects = new_store(), Objects(location)
        await store.put(name(0), IMAGE)
        content = objects.read(name(0))
        flipped = bytes([content[0] ^ 1]) + content[1:]
        for damaged in (content[:-1], flipped, content[:9], b"", b"x" * len(content)):
            objects.write(name(0), damaged)
            assert await store.get(name(0)) is None
            await store.put(name(0), IMAGE)
            assert await store.get(name(0)) == IMAGE

    run(main())


def test_other_files_stay(
    new_store: Callable[[], ImageStore], location: Path | str, clock: ManualClock
) -> None:
    """Files of other programs are not counted and not removed."""
    objects = Objects(location)
    objects.write("holiday.png", bytes(50_000))

    async def main() -> None:
        store = new_store()
        await store.put(name(0), IMAGE)
        clock.now += 1e7
        await store.sweep()

    run(main())
    assert objects.names() == {"holiday.png"}


def test_unfinished_writes_are_removed(tmp_path: Path, clock: ManualClock) -> None:
    """Unfinished files of a killed server are removed after an hour, by any sweep."""
    unfinished, other = tmp_path / f"{name(0)}#1", tmp_path / "notes#1"
    for path in (unfinished, other):
        path.write_bytes(b"half")
    store = ImageStore(str(tmp_path), MAX_BYTES, URL_TTL_S, clock)
    for age_s, is_stored in ((UNFINISHED_TTL_S - 60, True), (UNFINISHED_TTL_S + 60, False)):
        clock.now = unfinished.stat().st_mtime + age_s
        run(store.sweep())
        assert (unfinished.exists(), other.exists()) == (is_stored, True)


def test_directory_is_private(tmp_path: Path) -> None:
    """Only the owner can read the images."""
    run(ImageStore(str(tmp_path / "images"), MAX_BYTES, URL_TTL_S).put(name(0), IMAGE))
    assert mode(tmp_path / "images") == 0o700


def test_directory_is_deleted(tmp_path: Path) -> None:
    """A directory that is deleted while the server runs is created again."""

    async def main() -> None:
        store = ImageStore(str(tmp_path / "images"), MAX_BYTES, URL_TTL_S)
        for _ in range(2):
            await store.put(name(0), IMAGE)
            assert await store.get(name(0)) == IMAGE
            (tmp_path / "images" / name(0)).unlink()
            (tmp_path / "images").rmdir()
            assert await store.get(name(0)) is None

    run(main())


def test_directory_is_unusable(tmp_path: Path) -> None:
    """A path that is not a directory is an error at the start, and a 503 later."""
    (tmp_path / "images").write_text("a file")
    store = ImageStore(str(tmp_path / "images"), MAX_BYTES, URL_TTL_S)
    with pytest.raises(SettingsError, match="cannot use the image store .*; set .* --image-store"):
        store.prepare()
    with pytest.raises(UnavailableError, match="image store is unavailable") as caught:
        run(store.put(name(0), IMAGE))
    assert caught.value.retry_after_s and caught.value.__cause__


def test_bucket_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bucket that does not answer is a 503 with a Retry-After."""
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(variable, "x")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    store = ImageStore("s3://bucket/x", MAX_BYTES, URL_TTL_S)
    for failing in (store.put(name(0), IMAGE), store.sweep()):
        with pytest.raises(UnavailableError, match="image store is unavailable") as caught:
            run(failing)
        assert caught.value.retry_after_s


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("AWS_ENDPOINT_URL", "minio:9000", "AWS_ENDPOINT_URL is 'minio:9000'; it must be an addre"),
        ("AWS_ENDPOINT", "http://", "AWS_ENDPOINT is 'http://'; it must be an address"),
        ("AWS_ALLOW_HTTP", "maybe", 'failed to parse "maybe" as boolean; check the AWS_ variables'),
    ],
)
def test_bad_variable_of_a_bucket(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, message: str
) -> None:
    """A malformed variable of a bucket is an error of one line at the start."""
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as caught:
        ImageStore("s3://bucket/x", MAX_BYTES, URL_TTL_S).prepare()
    assert message in caught.value.message and "\n" not in caught.value.message
