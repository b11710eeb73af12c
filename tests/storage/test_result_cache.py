"""Files that are kept: the same bytes back, within the bound, and nothing that is damaged."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest
from conftest import ManualClock, mode

from daguerre.storage.result_cache import FOLDER_NAME, UNUSED_S, CachedImage, ResultCache

RESULT = CachedImage(b"\x89PNG" + bytes(range(256)) * 8, 1_700_000_000)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(2_000_000_000.0)


@pytest.fixture
def results(tmp_path: Path, clock: ManualClock) -> ResultCache:
    return ResultCache(tmp_path, 10_000, clock)


def files(results: ResultCache) -> set[str]:
    return {path.name for path in results._folder.iterdir()}


def test_the_same_bytes(results: ResultCache, tmp_path: Path) -> None:
    """What was put is what is got, also by the next server; nobody but the owner can read it."""
    assert results.get("a") is None
    results.put("a", RESULT)
    assert results.get("a") == RESULT
    assert ResultCache(tmp_path, 10_000).get("b") is None
    assert ResultCache(tmp_path, 10_000, ManualClock(2_000_000_000.0)).get("a") == RESULT
    assert mode(tmp_path / FOLDER_NAME) == 0o700
    assert mode(tmp_path / FOLDER_NAME / "a") == 0o600


def test_bounded(results: ResultCache, clock: ManualClock) -> None:
    """The folder never holds more than it may; what was used the longest ago makes room."""
    for name in "abcd":
        results.put(name, RESULT)
        clock.now += 1
    assert results.get("a") == RESULT  # so that b is the one
    clock.now += 1
    results.put("e", RESULT)
    assert files(results) == {"a", "c", "d", "e"}
    assert sum(path.stat().st_size for path in results._folder.iterdir()) <= 10_000
    assert results.get("b") is None


def test_put_again(results: ResultCache, clock: ManualClock) -> None:
    """A file that is written over is counted once."""
    for _ in range(20):
        results.put("a", RESULT)
    results.put("b", RESULT)
    assert files(results) == {"a", "b"}


def test_larger_than_the_bound(results: ResultCache) -> None:
    """A file that can have no room drives out no other."""
    results.put("a", RESULT)
    results.put("b", CachedImage(bytes(10_000), 0))
    assert files(results) == {"a"}


def test_nothing_is_kept(tmp_path: Path) -> None:
    """With 0 not even a folder is made."""
    ResultCache(tmp_path, 0).put("a", RESULT)
    assert list(tmp_path.iterdir()) == []


def test_two_servers_share_the_bound(tmp_path: Path, clock: ManualClock) -> None:
    """What another server wrote is counted at the next look around."""
    ours, theirs = ResultCache(tmp_path, 10_000, clock), ResultCache(tmp_path, 10_000, clock)
    ours.put("a", RESULT)
    for name in "bcd":
        theirs.put(name, RESULT)
    clock.now += 61
    ours.put("e", RESULT)
    assert "e" in files(ours) and len(files(ours)) == 4


def test_unused_files_go(results: ResultCache, clock: ManualClock) -> None:
    """After a day without use a file is not given out, and is removed with the next that comes."""
    results.put("a", RESULT)
    clock.now += UNUSED_S
    assert results.get("a") is None
    results.put("b", RESULT)
    assert "b" in files(results)


def test_unused_files_are_removed(results: ResultCache, clock: ManualClock) -> None:
    """Also those that nobody asks for, and the unfinished ones of a server that was killed."""
    results.put("a", RESULT)
    (results._folder / "x.part").write_bytes(b"half")
    os.utime(results._folder / "x.part", (clock.now, clock.now))
    clock.now += UNUSED_S
    results.put("b", RESULT)
    assert files(results) == {"b"}


@pytest.mark.parametrize("damage", ["cut", "bit", "empty", "other"])
def test_damaged_files(results: ResultCache, damage: str) -> None:
    """A file that is not whole counts as none, and the next takes its place."""
    results.put("a", RESULT)
    path = results._folder / "a"
    content = path.read_bytes()
    path.write_bytes(
        {
            "cut": content[:-1],
            "bit": content[:-1] + bytes([content[-1] ^ 1]),
            "empty": b"",
            "other": b"x" * len(content),
        }[damage]
    )
    assert results.get("a") is None
    results.put("a", RESULT)
    assert results.get("a") == RESULT


def test_folder_that_cannot_be_used(
    tmp_path: Path, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Where nothing can be written, that is one line of the log in ten seconds, and no error."""
    (tmp_path / FOLDER_NAME).write_text("a file")
    results = ResultCache(tmp_path, 10_000, clock)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            results.put("a", RESULT)
        assert results.get("a") is None
    assert len(caplog.records) == 1 and "results cannot be kept" in caplog.text
