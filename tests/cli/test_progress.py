"""The progress bar in a real terminal: a pseudoterminal that the test reads."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from contextlib import suppress

import pytest

from cli.conftest import environment
from daguerre.cli.progress import byte_bar

GENERATE = """
import sys
import daguerre.factory
from conftest import FakeEngine
from daguerre.cli.main import main
daguerre.factory.build_engine = lambda settings, catalog: FakeEngine()
sys.exit(main(["generate", "a fox", "--seed", "7", "-o", "x.png"]))
"""
# click's cursor controls: hide, show, and clear the line.
CURSOR = re.compile(r"\x1b\[(\?25[lh]|K)")


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudoterminals")
def test_terminal_shows_bar_and_file() -> None:
    """The bar reaches 100%, the file is named below it, and no other escape code is sent, even to
    a terminal that can show pictures."""
    ours, theirs = os.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", GENERATE],
        env={**environment(), "TERM": "xterm-kitty", "KITTY_WINDOW_ID": "1"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        output = b""
        with suppress(OSError):  # Linux reports the closed side of a pseudoterminal as an error
            while data := os.read(ours, 4096):
                output += data
    os.close(ours)
    assert process.returncode == 0
    plain = CURSOR.sub("", output.decode())
    assert "\x1b" not in plain
    assert "denoising" in plain and "100%" in plain
    assert plain.splitlines()[-1].startswith("x.png  seed 7")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_bar_of_a_download(monkeypatch: pytest.MonkeyPatch) -> None:
    """It counts the bytes that are there, also those of an earlier attempt; a file draws none."""
    for stream, expected in ((Terminal(), ["50%", "100%"]), (io.StringIO(), [])):
        monkeypatch.setattr(sys, "stderr", stream)
        with byte_bar(200) as report:
            for num_bytes in (100, 120, 200):
                report(num_bytes)
        drawn = re.findall(r"\d+%", stream.getvalue())
        assert [percent for percent in drawn if percent in ("50%", "100%")] == expected
        assert ("downloading" in stream.getvalue()) == bool(expected)
