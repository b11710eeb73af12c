"""Records of digests: when one is used, when it is not, and what verifying it finds."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from pathlib import Path

import pytest

from daguerre.storage import file_digests
from daguerre.storage.file_digests import FileDigests

_LATER_NS = 10**10


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "weights").write_bytes(b"weights")
    return tmp_path / "weights"


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that are read."""
    found: list[Path] = []
    read = file_digests.read_digest

    def count(file: Path) -> bytes:
        found.append(file)
        return read(file)

    monkeypatch.setattr(file_digests, "read_digest", count)
    return found


def opened(folder: Path, min_bytes: int = 1, later_ns: int = _LATER_NS) -> FileDigests:
    """The records of a new process, whose clock is ahead of the files' times."""
    return FileDigests(
        folder / "data" / "digests.json",
        min_bytes=min_bytes,
        clock_ns=lambda: time.time_ns() + later_ns,
    )


def digest_of(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def forge(folder: Path, file: Path) -> None:
    """Records another digest, as if a disk had changed the file's content."""
    path = folder / "data" / "digests.json"
    content = json.loads(path.read_text())
    content["files"][str(file)]["sha256"] = digest_of(b"other").hex()
    path.write_text(json.dumps(content))


def test_read_once(tmp_path: Path, file: Path, reads: list[Path]) -> None:
    """A later process does not read the file."""
    for _ in range(2):
        assert opened(tmp_path).digest(file) == digest_of(b"weights")
    assert reads == [file]


def test_link_shares_the_record_of_its_file(tmp_path: Path, file: Path, reads: list[Path]) -> None:
    (tmp_path / "link").symlink_to(file)
    assert opened(tmp_path).digest(file) == opened(tmp_path).digest(tmp_path / "link")
    assert reads == [file]


@pytest.mark.parametrize("change", ["content", "times", "replaced", "restored times"])
def test_changed_file_is_read(change: str, tmp_path: Path, file: Path, reads: list[Path]) -> None:
    """A file that was written, touched or replaced is read, even if its old times are set again."""
    opened(tmp_path).digest(file)
    before = file.stat()
    if change == "replaced":
        (tmp_path / "new").write_bytes(b"WEIGHTS")
        os.replace(tmp_path / "new", file)
    elif change != "times":
        file.write_bytes(b"WEIGHTS")
    moved_ns = 0 if change in ("restored times", "replaced") else 10**9
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns + moved_ns))
    expected = b"weights" if change == "times" else b"WEIGHTS"
    assert opened(tmp_path).digest(file) == digest_of(expected)
    assert len(reads) == 2


@pytest.mark.parametrize(("min_bytes", "later_ns"), [(8, _LATER_NS), (1, 0)])
def test_small_or_young_file_has_no_record(
    min_bytes: int, later_ns: int, tmp_path: Path, file: Path, reads: list[Path]
) -> None:
    """A file that has just been written may change again without new times."""
    for _ in range(2):
        opened(tmp_path, min_bytes, later_ns).digest(file)
    assert len(reads) == 2 and not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    "content",
    [
        *("", "[", "[]", "null", '{"version": 1}', '{"version": 1, "files": []}'),
        '{"version": 1, "files": {"a": {"identity": [1], "sha256": "", "read_ns": 1}}}',
        '{"version": 1, "files": {"a": {"identity": [1,2,3,4,5], "sha256": "xy", "read_ns": 1}}}',
        "[" * 100_000,
    ],
)
def test_damaged_records_are_ignored(
    content: str, tmp_path: Path, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The log has one line, and the records are written again."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "digests.json").write_text(content)
    digests = opened(tmp_path)
    assert digests.digest(file) == digest_of(b"weights")
    (record,) = caplog.records
    assert record.message.startswith("cannot read the digests in ")
    caplog.clear()
    assert digests.digest(file) == digest_of(b"weights") and not caplog.records


def test_records_of_another_version_are_ignored(tmp_path: Path, file: Path) -> None:
    path = tmp_path / "data" / "digests.json"
    opened(tmp_path).digest(file)
    forge(tmp_path, file)
    path.write_text(path.read_text().replace('"version": 1', '"version": 0'))
    assert opened(tmp_path).digest(file) == digest_of(b"weights")


def test_directory_that_cannot_be_written(
    tmp_path: Path, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "data").write_text("a file")
    assert opened(tmp_path).digest(file) == digest_of(b"weights")
    assert "cannot keep the digests of files" in caplog.text


def test_processes_add_to_the_same_records(tmp_path: Path, reads: list[Path]) -> None:
    """Records that several processes write at the same time are all kept."""
    files = [tmp_path / str(number) for number in range(8)]
    for file in files:
        file.write_text(file.name)
    threads = [threading.Thread(target=opened(tmp_path).digest, args=[file]) for file in files]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    reads.clear()
    for file in files:
        opened(tmp_path).digest(file)
    assert reads == []


def test_file_that_changes_while_it_is_read(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its digest may be that of neither content, so it has no record."""

    def write(file: Path) -> bytes:
        file.write_bytes(b"longer weights")
        return digest_of(b"half")

    with monkeypatch.context() as patched:
        patched.setattr(file_digests, "read_digest", write)
        assert opened(tmp_path).digest(file) == digest_of(b"half")
    assert opened(tmp_path).digest(file) == digest_of(b"longer weights")


def test_newest_records_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reads: list[Path]
) -> None:
    """The file does not grow with each checkpoint that was ever loaded."""
    monkeypatch.setattr(file_digests, "MAX_RECORDS", 2)
    files = [tmp_path / name for name in "abc"]
    for file in files:
        file.write_text(file.name)
        opened(tmp_path).digest(file)
    reads.clear()
    for file in reversed(files):
        opened(tmp_path).digest(file)
    assert reads == files[:1]


def test_verify_reads_what_was_not_read(tmp_path: Path, file: Path, reads: list[Path]) -> None:
    """It skips files that this process or another one has read since the given time."""
    first = opened(tmp_path)
    started_ns = first.clock_ns()
    first.digest(file)
    assert first.verify([file], started_ns) == [] and len(reads) == 1
    later = opened(tmp_path, later_ns=2 * _LATER_NS)
    started_ns = later.clock_ns()
    assert later.verify([file], started_ns) == [] and len(reads) == 2
    assert later.verify([file], started_ns) == [] and len(reads) == 2


def test_verify_removes_the_record_of_a_changed_file(tmp_path: Path, file: Path) -> None:
    """It returns the file. The next process reads it and finds the new digest."""
    opened(tmp_path).digest(file)
    forge(tmp_path, file)
    later = opened(tmp_path, later_ns=2 * _LATER_NS)
    assert later.digest(file) == digest_of(b"other")
    assert later.verify([file], later.clock_ns()) == [file]
    assert opened(tmp_path).digest(file) == digest_of(b"weights")


def test_verify_ignores_a_file_that_is_replaced(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that changes while it is read shows no fault of its record."""
    opened(tmp_path).digest(file)
    later = opened(tmp_path, later_ns=2 * _LATER_NS)

    def replace(file: Path) -> bytes:
        file.write_bytes(b"longer weights")
        return digest_of(b"half")

    monkeypatch.setattr(file_digests, "read_digest", replace)
    assert later.verify([file], later.clock_ns()) == []
