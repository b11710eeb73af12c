"""The artifact cache: whole entries, within a limit, shared by processes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import pytest

from daguerre.storage import artifact_cache as module
from daguerre.storage.artifact_cache import (
    IN_USE_S,
    OTHER_VERSIONS_TTL_S,
    Artifact,
    ArtifactCache,
)

START_S = 1_800_000_000.0


class Disk(NamedTuple):
    free: int


@pytest.fixture(autouse=True)
def _free_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Enough free disk, whatever this machine has."""
    monkeypatch.setattr(shutil, "disk_usage", lambda directory: Disk(1 << 40))


class Server:
    """One process with its cache and a manual clock."""

    def __init__(self, directory: Path, max_bytes: int = 1000) -> None:
        self.directory, self.now_s = directory, START_S
        self.cache = ArtifactCache(directory, max_bytes, lambda: self.now_s)

    def add(self, name: str, num_bytes: int = 400) -> Artifact | None:
        def write(directory: Path) -> None:
            file = directory / "data"
            file.write_bytes(name[:1].encode() * num_bytes)
            os.utime(file, (self.now_s, self.now_s))

        return self.cache.add(name, num_bytes, write)

    def has(self, *names: str) -> list[bool]:
        return [any(path.name.endswith(f"-{name}") for path in self.paths()) for name in names]

    def paths(self) -> list[Path]:
        return list(self.directory.iterdir())

    def wait(self, seconds: float = IN_USE_S) -> None:
        self.now_s += seconds


def test_artifact_is_whole_or_missing(tmp_path: Path) -> None:
    """Another process finds an artifact whole; a write that fails leaves nothing."""
    server = Server(tmp_path / "new")
    assert server.cache.get("a") is None
    added = server.add("a")
    found = Server(tmp_path / "new").cache.get("a")
    assert added and found and (found.path / "data").read_bytes() == b"a" * 400

    def fail(directory: Path) -> None:
        (directory / "data").write_bytes(b"half")
        raise OSError("no space left")

    assert server.cache.add("b", 4, fail) is None
    assert server.cache.get("b") is None and len(server.paths()) == 1


def test_least_recently_used_is_evicted_first(tmp_path: Path) -> None:
    """Above the limit; a lookup counts as use."""
    server = Server(tmp_path)
    for name in "ab":
        assert server.add(name)
        server.wait()
    assert server.cache.get("a")
    server.wait()
    assert server.add("c")
    assert server.has("a", "b", "c") == [True, False, True]


def test_artifact_in_use_stays(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A process pins the artifacts it holds; others have an hour after their last use.

    An artifact that does not fit beside them is not cached, and evicts nothing.
    """
    server, other = Server(tmp_path), Server(tmp_path)
    mine = server.add("a")
    server.wait(10 * IN_USE_S)
    other.now_s = server.now_s
    assert other.add("b")
    assert server.add("c") is None and "not enough space" in caplog.text
    assert server.has("a", "b", "c") == [True, True, False]
    server.wait()
    assert server.add("c")
    assert server.has("a", "b", "c") == [True, False, True]
    del mine
    server.wait()
    assert server.add("d")
    assert server.has("a", "c", "d") == [False, True, True]


def test_larger_than_the_limit(tmp_path: Path) -> None:
    """An artifact larger than the limit is not cached and evicts nothing; 0 disables the cache."""
    server = Server(tmp_path)
    server.add("a")
    server.wait()
    assert server.add("large", 1001) is None and server.has("a") == [True]
    assert Server(tmp_path, max_bytes=0).add("b", 1) is None


def test_disk_keeps_free_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a disk smaller than the limit, eviction keeps a minimum of free space."""
    server = Server(tmp_path, max_bytes=1 << 40)
    server.add("a")
    server.wait()
    spare = module._MIN_FREE_BYTES
    monkeypatch.setattr(shutil, "disk_usage", lambda directory: Disk(spare + 100))
    assert server.add("b", 501) is None and server.has("a") == [True]
    assert server.add("b", 500) and server.has("a", "b") == [False, True]


def test_other_versions_expire_after_a_week(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Artifacts of other library versions expire after a week; those of this version do not."""
    before = Server(tmp_path)
    before.add("a", 10)
    with monkeypatch.context() as updated:
        updated.setattr(metadata, "version", lambda name: "99")
        after = Server(tmp_path)
    after.now_s = START_S + 1
    after.add("b", 10)
    assert before.cache.get("b") is None and after.cache.get("a") is None
    after.wait(OTHER_VERSIONS_TTL_S - 2)
    after.cache.evict()
    assert after.has("a", "b") == [True, True]
    after.wait(1)
    after.cache.evict()
    assert after.has("a", "b") == [False, True]


@pytest.mark.parametrize(
    ("leave", "ttl_s"),
    [
        (lambda directory: (directory / ".daguerre-1").mkdir(), IN_USE_S),
        (lambda directory: (directory / ".daguerre-1").write_text("half"), IN_USE_S),
        (
            lambda directory: (directory / "older-format.xml").write_text("<net>"),
            OTHER_VERSIONS_TTL_S,
        ),
    ],
)
def test_leftovers(tmp_path: Path, leave: Callable[[Path], object], ttl_s: float) -> None:
    """Temporary entries of a killed process expire after an hour, unknown names after a week."""
    server = Server(tmp_path)
    leave(tmp_path)
    (left,) = server.paths()
    os.utime(left, (START_S, START_S))
    server.wait(ttl_s - 1)
    server.cache.evict()
    assert left.exists()
    server.wait(1)
    server.cache.evict()
    assert server.paths() == []


def test_symbolic_link(tmp_path: Path) -> None:
    """A symbolic link is removed, its target is not."""
    server, elsewhere = Server(tmp_path / "kept"), tmp_path / "elsewhere"
    for directory in (server.directory, elsewhere):
        directory.mkdir()
    (server.directory / "link").symlink_to(elsewhere)
    for path in (server.directory / "link", elsewhere):
        os.utime(path, (START_S, START_S), follow_symlinks=False)
    server.wait(OTHER_VERSIONS_TTL_S)
    server.cache.evict()
    assert server.paths() == [] and elsewhere.exists()


def test_lowered_limit(tmp_path: Path) -> None:
    """The next start evicts down to a lower limit."""
    server = Server(tmp_path)
    for name in "ab":
        server.add(name)
        server.wait()
    lower = Server(tmp_path, max_bytes=500)
    lower.now_s = server.now_s
    lower.cache.evict()
    assert server.has("a", "b") == [False, True]


def test_open_dir(tmp_path: Path) -> None:
    """A write to a file inside an open directory counts as use."""
    server = Server(tmp_path)
    work = server.cache.open_dir("torch")
    (work.path / "below").mkdir()
    file = work.path / "below" / "kernel"
    file.write_bytes(b"x" * 900)
    del work
    server.wait()
    os.utime(file, (server.now_s, server.now_s))
    assert server.add("a") is None
    server.wait()
    assert server.add("a") and server.has("torch", "a") == [False, True]


def test_path_is_a_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A path that is not a directory logs warnings and raises nothing."""
    (tmp_path / "file").write_text("")
    server = Server(tmp_path / "file")
    server.cache.evict()
    assert server.add("a") is None
    assert "cannot evict" in caplog.text and "cannot cache a network" in caplog.text
