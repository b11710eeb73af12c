"""What is kept of converted networks: whole, bounded, and nobody's loss when it goes."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import pytest

from daguerre.storage import artifact_cache as module
from daguerre.storage.artifact_cache import IN_USE_S, OTHERS_UNUSED_S, Artifact, ArtifactCache

START_S = 1_800_000_000.0


class Disk(NamedTuple):
    free: int


@pytest.fixture(autouse=True)
def _room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever this machine's disk has."""
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Disk(1 << 40))


class Server:
    """One process's store, and the hour that its clock shows."""

    def __init__(self, folder: Path, max_bytes: int = 1000) -> None:
        self.folder, self.now_s = folder, START_S
        self.store = ArtifactCache(folder, max_bytes, lambda: self.now_s)

    def add(self, name: str, num_bytes: int = 400) -> Artifact | None:
        def write(folder: Path) -> None:
            file = folder / "data"
            file.write_bytes(name[:1].encode() * num_bytes)
            os.utime(file, (self.now_s, self.now_s))

        return self.store.add(name, num_bytes, write)

    def has(self, *names: str) -> list[bool]:
        return [any(path.name.endswith(f"-{name}") for path in self.paths()) for name in names]

    def paths(self) -> list[Path]:
        return list(self.folder.iterdir())

    def wait(self, seconds: float = IN_USE_S) -> None:
        self.now_s += seconds


def test_found_again_whole(tmp_path: Path) -> None:
    """By another process, too; what was not finished is not there, and leaves nothing."""
    server = Server(tmp_path / "new")
    assert server.store.get("a") is None
    added = server.add("a")
    found = Server(tmp_path / "new").store.get("a")
    assert added and found and (found.folder / "data").read_bytes() == b"a" * 400

    def fail(folder: Path) -> None:
        (folder / "data").write_bytes(b"half")
        raise OSError("no space left")

    assert server.store.add("b", 4, fail) is None
    assert server.store.get("b") is None and len(server.paths()) == 1


def test_used_longest_ago_goes_first(tmp_path: Path) -> None:
    """Past the bound; to be found again counts as use."""
    server = Server(tmp_path)
    for name in "ab":
        assert server.add(name)
        server.wait()
    assert server.store.get("a")
    server.wait()
    assert server.add("c")
    assert server.has("a", "b", "c") == [True, False, True]


def test_what_is_in_use_stays(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """By this process as long as it has the entry, by others for an hour after their last use. What
    finds no room then is not kept, and costs nobody anything."""
    server, other = Server(tmp_path), Server(tmp_path)
    mine = server.add("a")
    server.wait(10 * IN_USE_S)
    other.now_s = server.now_s
    assert other.add("b")
    assert server.add("c") is None and "leaves too little room" in caplog.text
    assert server.has("a", "b", "c") == [True, True, False]
    server.wait()
    assert server.add("c")
    assert server.has("a", "b", "c") == [True, False, True]
    del mine
    server.wait()
    assert server.add("d")
    assert server.has("a", "c", "d") == [False, True, True]


def test_nothing_goes_in_vain(tmp_path: Path) -> None:
    """What is larger than the bound is not kept, and takes nobody's place; 0 keeps none."""
    server = Server(tmp_path)
    server.add("a")
    server.wait()
    assert server.add("large", 1001) is None and server.has("a") == [True]
    assert Server(tmp_path, max_bytes=0).add("b", 1) is None


def test_disk_keeps_some_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the disk has less than the bound, entries go for others, too, and none fills it up."""
    server = Server(tmp_path, max_bytes=1 << 40)
    server.add("a")
    server.wait()
    spare = module._SPARE_BYTES
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Disk(spare + 100))
    assert server.add("b", 501) is None and server.has("a") == [True]
    assert server.add("b", 500) and server.has("a", "b") == [False, True]


def test_other_versions_go_first_and_after_a_week(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An update leaves what it makes useless for a while, and no longer; our own stays."""
    before = Server(tmp_path)
    before.add("a", 10)
    with monkeypatch.context() as updated:
        updated.setattr(metadata, "version", lambda name: "99")
        after = Server(tmp_path)
    after.now_s = START_S + 1
    after.add("b", 10)
    assert before.store.get("b") is None and after.store.get("a") is None
    after.wait(OTHERS_UNUSED_S - 2)
    after.store.tidy()
    assert after.has("a", "b") == [True, True]
    after.wait(1)
    after.store.tidy()
    assert after.has("a", "b") == [False, True]


@pytest.mark.parametrize(
    "leave",
    [
        lambda folder: (folder / "new-1").mkdir(),
        lambda folder: (folder / "old-1").mkdir(),
        lambda folder: (folder / "older-form.xml").write_text("<net>"),
    ],
)
def test_leftovers(tmp_path: Path, leave: Callable[[Path], object]) -> None:
    """What a process that was killed leaves, and what no version reads, goes after an hour."""
    server = Server(tmp_path)
    leave(tmp_path)
    (left,) = server.paths()
    os.utime(left, (START_S, START_S))
    server.wait(IN_USE_S - 1)
    server.store.tidy()
    assert left.exists()
    server.wait(1)
    server.store.tidy()
    assert server.paths() == []


def test_link(tmp_path: Path) -> None:
    """One that leads elsewhere is removed itself, for good, and not what it leads to."""
    server, elsewhere = Server(tmp_path / "kept"), tmp_path / "elsewhere"
    for folder in (server.folder, elsewhere):
        folder.mkdir()
    (server.folder / "link").symlink_to(elsewhere)
    for path in (server.folder / "link", elsewhere):
        os.utime(path, (START_S, START_S), follow_symlinks=False)
    server.wait(OTHERS_UNUSED_S)
    server.store.tidy()
    assert server.paths() == [] and elsewhere.exists()


def test_bound_that_was_lowered(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The next start brings the folder within it."""
    server = Server(tmp_path)
    for name in "ab":
        server.add(name)
        server.wait()
    lower = Server(tmp_path, max_bytes=500)
    lower.now_s = server.now_s
    with caplog.at_level(logging.INFO, "daguerre"):
        lower.store.tidy()
    assert server.has("a", "b") == [False, True] and "removed" in caplog.text


def test_open_folder(tmp_path: Path) -> None:
    """One that is written to from time to time counts as used then."""
    server = Server(tmp_path)
    work = server.store.open("torch")
    (work.folder / "below").mkdir()
    file = work.folder / "below" / "kernel"
    file.write_bytes(b"x" * 900)
    del work
    server.wait()
    os.utime(file, (server.now_s, server.now_s))
    assert server.add("a") is None
    server.wait()
    assert server.add("a") and server.has("torch", "a") == [False, True]


def test_folder_that_is_no_folder(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Is told, and stops nobody."""
    (tmp_path / "file").write_text("")
    server = Server(tmp_path / "file")
    server.store.tidy()
    assert server.add("a") is None
    assert "cannot be tidied" in caplog.text and "cannot be kept" in caplog.text
