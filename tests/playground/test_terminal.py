"""`daguerre generate` in a terminal that is nobody's of ours: xterm.js, in Chromium.

It is the terminal of many editors, reads sixels and iTerm2's codes, and answers what it is asked.
Screenshots are left in the test's folder, or in $DAGUERRE_SCREENSHOTS.
"""

from __future__ import annotations

import base64
import io
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page

from playground.conftest import HERE

XTERM = HERE / "node_modules" / "@xterm"
SCRIPTS = (XTERM / "xterm/lib/xterm.js", XTERM / "addon-image/lib/addon-image.js")
STYLE = XTERM / "xterm/css/xterm.css"
ROOT = HERE.parents[1]
TIMEOUT_S = 120
COLUMNS, ROWS = 80, 24
OPEN = f"""() => {{
  window.said = "";
  window.term = new Terminal({{ cols: {COLUMNS}, rows: {ROWS}, allowProposedApi: true }});
  window.images = new ImageAddon.ImageAddon();
  term.loadAddon(images);
  term.open(document.body);
  term.onData((data) => {{ said += data; }});
}}"""
WRITE = """(data) => new Promise((done) => {
  term.write(Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0)), done);
})"""
SAID = "() => { const told = said; said = ''; return told; }"
LINE = "(y) => term.buffer.active.getLine(term.buffer.active.baseY + y).translateToString(true)"
# The picture that the terminal holds at a cell, as a PNG.
IMAGE = """([x, y]) => images.getImageAtBufferCell(x, term.buffer.active.baseY + y)
  ?.toDataURL().split(",")[1]"""

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="no pseudoterminals"),
    pytest.mark.skipif(
        not STYLE.exists(), reason="xterm.js is not installed; `make test` does it where npm is"
    ),
    pytest.mark.timeout(TIMEOUT_S),
]


@pytest.fixture
def screen(browser: Browser) -> Iterator[Page]:
    """An open terminal."""
    page = browser.new_page()
    page.set_content("<!doctype html><body></body>")
    page.add_style_tag(path=STYLE)
    for script in SCRIPTS:
        page.add_script_tag(path=script)
    page.evaluate(OPEN)
    yield page
    page.close()


def cell_px(screen: Page) -> tuple[int, int]:
    """As the terminal reports it."""
    write(screen, b"\x1b[16t")
    kind, height, width = screen.evaluate(SAID).removeprefix("\x1b[").removesuffix("t").split(";")
    assert kind == "6"
    return int(width), int(height)


def write(screen: Page, data: bytes) -> None:
    screen.evaluate(WRITE, base64.b64encode(data).decode())


def run(screen: Page, arguments: list[str], folder: Path, **environ: str) -> None:
    """The command in a pseudoterminal that is this terminal's, until it ends."""
    import fcntl
    import struct
    import termios

    width, height = cell_px(screen)
    ours, theirs = os.openpty()
    size = struct.pack("HHHH", ROWS, COLUMNS, COLUMNS * width, ROWS * height)
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, size)
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    process = subprocess.Popen(
        [sys.executable, "-m", "daguerre", *arguments],
        cwd=folder,
        env={
            **kept,
            "PYTHONPATH": str(ROOT / "src"),
            "DAGUERRE_HOME": str(folder / "home"),
            "TERM": "xterm-256color",
            **environ,
        },
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(theirs)
    until_s = time.monotonic() + TIMEOUT_S
    while (data := _read(ours)) is not None and time.monotonic() < until_s:
        if data:
            write(screen, data)
        if told := screen.evaluate(SAID):
            os.write(ours, told.encode())
    os.close(ours)
    assert process.wait(10) == 0


def _read(descriptor: int) -> bytes | None:
    """None at the end, nothing where nothing has come for a moment."""
    if not select.select([descriptor], [], [], 0.05)[0]:
        return b""
    try:
        return os.read(descriptor, 65536) or None
    except OSError:  # the other side is closed
        return None


def lines(screen: Page) -> list[str]:
    return [screen.evaluate(LINE, row) for row in range(ROWS)]


def shown(screen: Page, x: int, y: int) -> Any:
    data = screen.evaluate(IMAGE, [x, y])
    return data and np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"))


@pytest.mark.parametrize(
    ("name", "environ", "tolerance"),
    [("sixel", {}, 6.0), ("iterm", {"TERM_PROGRAM": "iTerm.app"}, 1.5)],
)
def test_picture(
    screen: Page, tmp_path: Path, name: str, environ: dict[str, str], tolerance: float
) -> None:
    """The terminal holds the very picture of the file, in the box that was made for it; around it
    are the lines that were there before and come after. Whether it takes sixels is asked."""
    write(screen, b"$ daguerre generate\r\n" * 3)
    asked = ["a red fox in the snow", "--seed", "7", "--size", "1344x768", "-o", "x.png"]
    run(screen, ["generate", *asked], tmp_path, **environ)
    screen.screenshot(path=Path(os.environ.get("DAGUERRE_SCREENSHOTS", tmp_path)) / f"{name}.png")
    said = lines(screen)
    before = max(row for row, line in enumerate(said) if line.startswith("$ daguerre"))
    (after,) = (row for row, line in enumerate(said) if line.startswith("x.png  seed 7"))
    assert not any(said[before + 1 : after]) and not any(said[after + 1 :])
    assert after - before - 1 == min(20, ROWS - 3)
    left = shown(screen, 0, before + 1)
    assert left is not None and shown(screen, 0, before) is None
    assert shown(screen, 0, after) is None and shown(screen, COLUMNS - 1, before + 1) is None
    width, height = cell_px(screen)
    with Image.open(tmp_path / "x.png") as image:
        expected = np.asarray(image.resize(left.shape[1::-1], Image.Resampling.LANCZOS))
    assert np.abs(left.astype(int) - expected).mean() < tolerance
    assert abs(left.shape[1] / left.shape[0] - 1344 / 768) < 0.1
    assert left.shape[0] <= (after - before - 1) * height + 1  # it rounds
    assert shown(screen, left.shape[1] // width - 1, after - 1) is not None


def test_terminal_without_pictures(screen: Page, tmp_path: Path) -> None:
    """One that says that it has no sixels gets a bar, and no code that it would not know."""
    screen.evaluate("images.dispose()")
    run(screen, ["generate", "a fox", "--seed", "7", "-o", "x.png"], tmp_path)
    said = [line for line in lines(screen) if line]
    assert any("denoising" in line and "100%" in line for line in said)
    assert said[-1].startswith("x.png  seed 7") and len(said) == 2
