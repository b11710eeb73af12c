"""The progress bar in a real terminal: a pseudoterminal that the test reads."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from contextlib import suppress

import pytest

from cli.conftest import environment

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
