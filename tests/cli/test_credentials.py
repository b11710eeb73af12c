"""The client's file: whole at every moment, whoever else writes it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from daguerre.cli import credentials
from daguerre.cli.credentials import ResourceCredentials
from daguerre.errors import SettingsError


def test_client_file_round_trip(tmp_path: Path) -> None:
    """What is put is read back; removing takes one away; the URL is set for all."""
    one, two = (
        ResourceCredentials("http://a", "inf-1", "m"),
        ResourceCredentials("http://a", "inf-2", "m"),
    )
    credentials.put(tmp_path, "ONE", one)
    credentials.put(tmp_path, "TWO", two)
    assert credentials.read(tmp_path) == {"ONE": one, "TWO": two}
    credentials.set_url(tmp_path, "http://b")
    credentials.remove(tmp_path, "ONE")
    assert credentials.read(tmp_path) == {"TWO": ResourceCredentials("http://b", "inf-2", "m")}


def test_client_file_survives_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the new file cannot be written the old one stays whole, and nothing is left beside."""
    credentials.put(tmp_path, "ONE", ResourceCredentials("http://a", "inf-1", "m"))

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(SettingsError, match="No space left"):
        credentials.put(tmp_path, "TWO", ResourceCredentials("http://a", "inf-2", "m"))
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    assert list(credentials.read(tmp_path)) == ["ONE"]


def test_writers_of_the_client_file_lose_nothing(tmp_path: Path) -> None:
    """Processes that add an entry at the same time all find theirs in the file."""
    code = (
        "import sys; from pathlib import Path; from daguerre.cli import credentials\n"
        "for i in range(10):\n"
        "    entry = credentials.ResourceCredentials('u', 'k', 'm')\n"
        "    credentials.put(Path(sys.argv[1]), sys.argv[2] + str(i), entry)\n"
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
def test_damaged_client_file(tmp_path: Path, content: str) -> None:
    """A client's file that cannot be understood is refused in one line that says what to do."""
    (tmp_path / credentials.FILE_NAME).write_text(content)
    with pytest.raises(SettingsError, match="is damaged; delete it"):
        credentials.read(tmp_path)
