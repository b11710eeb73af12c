"""`daguerre generate` in a real tmux, which stands between it and whatever terminal there is."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 120
pytestmark = [
    pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed"),
    pytest.mark.timeout(TIMEOUT_S),
]


@pytest.fixture
def tmux(tmp_path: Path) -> Iterator[list[str]]:
    """The command of a tmux of its own, without the user's settings."""
    command = ["tmux", "-S", str(tmp_path / "socket"), "-f", "/dev/null"]
    yield command
    subprocess.run([*command, "kill-server"], capture_output=True)


def test_pane(tmux: list[str], tmp_path: Path) -> None:
    """Also where the terminal around it is kitty, tmux gets nothing that it does not know: the pane
    shows the words, and no scrap of a code. (A tmux with sixels leaves room for the picture.)"""
    environ = {
        **os.environ,
        "PYTHONPATH": str(ROOT / "src"),
        "DAGUERRE_HOME": str(tmp_path / "home"),
        "TERM": "xterm-kitty",
        "KITTY_WINDOW_ID": "1",
    }
    arguments = [
        sys.executable,
        "-m",
        "daguerre",
        "generate",
        "a fox",
        "--seed",
        "7",
        "-o",
        "x.png",
    ]
    line = (
        f"cd {shlex.quote(str(tmp_path))}; {shlex.join(arguments)}; touch done; sleep {TIMEOUT_S}"
    )
    size = ["-x", "80", "-y", "24"]
    subprocess.run([*tmux, "new-session", "-d", *size, line], env=environ, check=True)
    until_s = time.monotonic() + TIMEOUT_S - 10
    while not (tmp_path / "done").exists() and time.monotonic() < until_s:
        time.sleep(0.1)
    pane = subprocess.run([*tmux, "capture-pane", "-p"], capture_output=True, text=True).stdout
    said = [line for line in pane.splitlines() if line.strip()]
    assert said and said[-1].startswith("x.png  seed 7"), pane
    assert all("denoising" in line for line in said[:-1]), pane
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")
