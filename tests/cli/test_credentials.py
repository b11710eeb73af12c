"""The credentials file: complete at every moment, with concurrent writers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from daguerre.cli import credentials
from daguerre.cli.credentials import ResourceCredentials
from daguerre.errors import SettingsError


def put(directory: Path, alias: str, entry: ResourceCredentials) -> None:
    with credentials.edit(directory) as entries:
        entries[alias] = entry


def test_round_trip(tmp_path: Path) -> None:
    """Entries are stored and read, one is removed, and the URL is set for all."""
    one, two = (ResourceCredentials("http://a", key, "m") for key in ("inf-1", "inf-2"))
    put(tmp_path, "ONE", one)
    put(tmp_path, "TWO", two)
    assert credentials.read(tmp_path) == {"ONE": one, "TWO": two}
    credentials.set_url(tmp_path, "http://b")
    with credentials.edit(tmp_path) as entries:
        del entries["ONE"]
    assert credentials.read(tmp_path) == {"TWO": ResourceCredentials("http://b", "inf-2", "m")}


def test_full_disk_keeps_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the new file cannot be written, the old one stays and no temporary file is left."""
    put(tmp_path, "ONE", ResourceCredentials("http://a", "inf-1", "m"))

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(SettingsError, match="No space left"):
        put(tmp_path, "TWO", ResourceCredentials("http://a", "inf-2", "m"))
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    assert list(credentials.read(tmp_path)) == ["ONE"]


def test_concurrent_writers(tmp_path: Path) -> None:
    """The entries of concurrent processes are all stored."""
    code = (
        "import sys; from pathlib import Path; from daguerre.cli import credentials\n"
        "for i in range(10):\n"
        "    entry = credentials.ResourceCredentials('u', 'k', 'm')\n"
        "    with credentials.edit(Path(sys.argv[1])) as entries:\n"
        "        entries[sys.argv[2] + str(i)] = entry\n"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path), name]) for name in "ABC"
    ]
    assert [process.wait(timeout=60) for process in processes] == [0, 0, 0]
    assert len(credentials.read(tmp_path)) == 30


DAMAGED = (
    "",
    "[1]",
    "{",
    '{"A": {"url": "x"}}',
    '{"A": null}',
    '{"A": {"url": 1, "key": 2, "model": 3}}',
    "[" * 100_000,
)


@pytest.mark.parametrize("content", DAMAGED, ids=lambda content: content[:20])
def test_damaged_file(tmp_path: Path, content: str) -> None:
    """A damaged file is an error with one line that says what to do."""
    (tmp_path / credentials.FILE_NAME).write_text(content)
    with pytest.raises(SettingsError, match="is damaged; delete it"):
        credentials.read(tmp_path)


def test_file_in_another_encoding(tmp_path: Path) -> None:
    """A file that is not UTF-8 is damaged, too."""
    (tmp_path / credentials.FILE_NAME).write_bytes(b'{"\xe9": {}}')
    with pytest.raises(SettingsError, match="is damaged; delete it"):
        credentials.read(tmp_path)


def test_file_that_an_editor_saved(tmp_path: Path) -> None:
    """A byte order mark and carriage returns, also in a value, do not count."""
    entry = '{"A": {"url": "http://x", "key": "inf-1\\r", "model": "m\\r"}}'
    (tmp_path / credentials.FILE_NAME).write_bytes(f"\ufeff{entry}\r\n".encode())
    assert credentials.read(tmp_path) == {
        "A": credentials.ResourceCredentials("http://x", "inf-1", "m")
    }


def test_file_that_cannot_be_read(tmp_path: Path) -> None:
    """The error for a directory names it once, without the number of the error."""
    (tmp_path / credentials.FILE_NAME).mkdir()
    message = f"^cannot read {tmp_path}/credentials.json: Is a directory$"
    with pytest.raises(SettingsError, match=message):
        credentials.read(tmp_path)
