"""`daguerre generate` in kitty and xterm themselves, on a screen that nobody sees: the server Xvfb.

Skipped where one is missing (`apt install kitty xterm xvfb`); OpenGL is drawn by the processor.
Screenshots are left in the test's folder, or in $DAGUERRE_SCREENSHOTS.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import wait_until
from PIL import Image, ImageGrab

from daguerre.cli.progress import box_for

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 120
SCREEN = (1000, 800)
# Without a frame, so that the first cell is the screen's first corner.
TERMINALS = {
    "kitty": [
        *("kitty", "--config", "NONE", "-o", "placement_strategy=top-left"),
        *("-o", "window_padding_width=0", "-o", "cursor_blink_interval=0"),
    ],
    "xterm": [
        *("xterm", "-ti", "vt340", "-geometry", "80x24+0+0", "-b", "0", "-bw", "0", "+sb"),
        *("-fa", "Monospace", "-fs", "10", "-bg", "black", "-fg", "white", "-e"),
    ],
}
pytestmark = [
    pytest.mark.skipif(shutil.which("Xvfb") is None, reason="Xvfb is not installed"),
    pytest.mark.timeout(TIMEOUT_S),
]
# In the terminal: the command, what the terminal has said meanwhile as if it was typed, and the
# terminal's size.
SCRIPT = """
import fcntl, json, os, select, struct, subprocess, sys, termios, time, tty
from pathlib import Path
print("$ daguerre generate", flush=True)
tty.setcbreak(0)
status = subprocess.run(sys.argv[1:]).returncode
print("below", end="", flush=True)
said = b""
while select.select([0], [], [], 1)[0]:
    said += os.read(0, 4096)
size = struct.unpack("HHHH", fcntl.ioctl(2, termios.TIOCGWINSZ, b"0" * 8))
told = {"status": status, "said": said.decode(), "size": size}
Path("told.part").write_text(json.dumps(told))
os.rename("told.part", "told")
time.sleep(600)
"""


@pytest.fixture
def display() -> Iterator[str]:
    """The name of a screen of our own."""
    read, write = os.pipe()
    command = ["Xvfb", "-displayfd", str(write), "-screen", "0", f"{SCREEN[0]}x{SCREEN[1]}x24"]
    with subprocess.Popen([*command, "-nolisten", "tcp"], pass_fds=[write]) as server:
        os.close(write)
        try:
            with open(read) as told:
                yield f":{told.readline().strip()}"
        finally:
            server.terminate()


@pytest.mark.parametrize(("name", "tolerance"), [("kitty", 3), ("xterm", 6)])
def test_picture(display: str, tmp_path: Path, name: str, tolerance: float) -> None:
    """The screen shows the picture of the file, of many colours, in the box that was made for it,
    below what was there before and above what comes after; and the terminal has answered nothing
    that a shell would take for a command."""
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")
    generate = ["-m", "daguerre", "generate", "a lake at sunset", "--seed", "7", "-o", "x.png"]
    command = [*TERMINALS[name], sys.executable, "-c", SCRIPT, sys.executable, *generate]
    environ = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT / "src"),
        "DAGUERRE_HOME": str(tmp_path / "home"),
        "HOME": str(tmp_path),
        "LANG": "C.UTF-8",
        "DISPLAY": display,
        "LIBGL_ALWAYS_SOFTWARE": "1",
    }
    with subprocess.Popen(command, cwd=tmp_path, env=environ) as terminal:
        try:
            wait_until((tmp_path / "told").exists, TIMEOUT_S - 20)
            screen = ImageGrab.grab(xdisplay=display)
        finally:
            terminal.terminate()
    folder = Path(os.environ.get("DAGUERRE_SCREENSHOTS", tmp_path))
    screen.save(folder / f"{name}.png")
    told = json.loads((tmp_path / "told").read_text())
    assert (told["status"], told["said"]) == (0, "")
    check(np.asarray(screen).copy(), Image.open(tmp_path / "x.png"), told["size"], tolerance)


def check(screen: Any, file: Image.Image, window: list[int], tolerance: float) -> None:
    """The picture is in its box below the first line, and after it there are two lines."""
    lines, columns, width_px, height_px = window
    cell_px = (width_px // columns, height_px // lines)
    box = box_for(*file.size, columns, lines, cell_px)
    place = np.s_[cell_px[1] : cell_px[1] + box.size_px[1], : box.size_px[0]]
    wanted = np.asarray(file.convert("RGB").resize(box.size_px, Image.Resampling.LANCZOS))
    assert np.abs(screen[place].astype(int) - wanted).mean() < tolerance
    screen[place] = 0
    rows = np.flatnonzero(screen.any(axis=(1, 2))) // cell_px[1]
    assert set(rows.tolist()) == {0, 1 + box.rows, 2 + box.rows}
