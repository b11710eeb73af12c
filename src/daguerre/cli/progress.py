"""The terminal: whether it can show pictures, and how an image is watched while it is made.

A picture that grows clearer where the terminal can (kitty, iTerm2, sixel), else a bar, and nothing
in a pipe or a log. Knows nothing of how an escape code draws: `graphics` does.
"""

from __future__ import annotations

import os
import re
import select
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

import click

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from daguerre.cli import graphics
    from daguerre.params import GeneratedImage, ImageParams, StepCompleted

_MAX_ROWS = 20
_CELL_PX = (10, 20)  # where the terminal does not tell
# What a terminal that knows the question answers in, even at the end of a long line.
_ANSWER_S = 0.5
_KITTY_TERMS = ("xterm-kitty", "xterm-ghostty")
_ITERM_PROGRAMS = ("iTerm.app", "WezTerm")


class Watch(Protocol):
    def step(self, step: StepCompleted) -> None: ...
    def done(self, image: GeneratedImage) -> None: ...


def protocol(
    environ: Mapping[str, str] = os.environ, ask: Callable[[], str] | None = None
) -> graphics.Protocol | None:
    """How the terminal at stderr takes pictures. Names are believed; others are asked."""
    if not sys.stderr.isatty() or environ.get("TERM", "dumb") == "dumb":
        return None
    if "TMUX" not in environ and not environ["TERM"].startswith(("screen", "tmux")):
        if "KITTY_WINDOW_ID" in environ or environ["TERM"] in _KITTY_TERMS:
            return "kitty"
        names = (environ.get("TERM_PROGRAM"), environ.get("LC_TERMINAL"))
        if names[0] in _ITERM_PROGRAMS or names[1] == "iTerm2":
            return "iterm"
    attributes = re.search(r"\x1b\[\?([\d;]*)c", (ask or _device_attributes)())
    return "sixel" if attributes and "4" in attributes[1].split(";") else None


@contextmanager
def watching(params: ImageParams, kind: graphics.Protocol | None) -> Iterator[Watch]:
    if kind is not None:
        with _frame(params, kind) as frame:
            yield frame
    elif sys.stderr.isatty():
        with click.progressbar(length=1, label="denoising", file=sys.stderr) as bar:
            yield _Bar(bar)
    else:
        yield _Nothing()


class _Nothing:
    def step(self, step: StepCompleted) -> None:
        pass

    def done(self, image: GeneratedImage) -> None:
        pass


class _Bar(_Nothing):
    def __init__(self, bar: click._termui_impl.ProgressBar[int]) -> None:
        self._bar = bar

    def step(self, step: StepCompleted) -> None:
        self._bar.length = step.total
        self._bar.update(step.index - self._bar.pos)


class _Frame:
    """The picture in room that was made for it, and one line below."""

    def __init__(self, kind: graphics.Protocol, box: graphics.Box) -> None:
        self._kind, self._box = kind, box

    def step(self, step: StepCompleted) -> None:
        if step.preview is not None:
            self._show(step.preview)
        self._say(f"step {step.index} of {step.total}")

    def done(self, image: GeneratedImage) -> None:
        self._show(image.pixels)
        self._say("")

    def open(self) -> None:
        rows = self._box.rows
        _tell("\n" * rows + f"\x1b[{rows}A")  # scrolls, where the room is not there yet

    def close(self) -> None:
        _tell(f"\x1b[{self._box.rows}B\r\x1b[K")

    def _show(self, pixels: NDArray[np.uint8]) -> None:
        from daguerre.cli import graphics

        _tell("\x1b7" + graphics.encoded(self._kind, pixels, self._box) + "\x1b8")

    def _say(self, words: str) -> None:
        rows = self._box.rows
        _tell(f"\x1b[{rows}B\r\x1b[K{words}\r\x1b[{rows}A")


@contextmanager
def _frame(params: ImageParams, kind: graphics.Protocol) -> Iterator[_Frame]:
    frame = _Frame(kind, box_for(params.width, params.height, *_terminal_size()))
    frame.open()
    try:
        yield frame
    finally:
        frame.close()


def box_for(
    width: int, height: int, columns: int, lines: int, cell_px: tuple[int, int]
) -> graphics.Box:
    """As large as it may be: it leaves lines for what was said before."""
    from daguerre.cli.graphics import Box

    rows = max(1, min(_MAX_ROWS, lines - 3))
    wide = max(1, round(rows * cell_px[1] * width / height / cell_px[0]))
    if wide > columns - 1:
        wide = max(1, columns - 1)
        rows = max(1, round(wide * cell_px[0] * height / width / cell_px[1]))
    return Box(wide, rows, cell_px)


def _terminal_size() -> tuple[int, int, tuple[int, int]]:
    columns, lines = shutil.get_terminal_size()
    try:
        import fcntl
        import struct
        import termios

        told = fcntl.ioctl(sys.stderr.fileno(), termios.TIOCGWINSZ, b"\0" * 8)
        told_lines, told_columns, width_px, height_px = struct.unpack("HHHH", told)
        if told_lines and told_columns:
            columns, lines = told_columns, told_lines
        if width_px and height_px:
            return columns, lines, (width_px // columns, height_px // lines)
    except (ImportError, OSError, ValueError):  # no such system, or no terminal after all
        pass
    return columns, lines, _CELL_PX


def _device_attributes() -> str:
    """The terminal's answer to "what are you?"; empty where it cannot be asked."""
    try:
        import termios
        import tty

        with open("/dev/tty", "r+b", buffering=0) as terminal:
            before = termios.tcgetattr(terminal)
            try:
                tty.setcbreak(terminal.fileno(), termios.TCSANOW)
                terminal.write(b"\x1b[c")
                return _answer(terminal.fileno())
            finally:
                termios.tcsetattr(terminal, termios.TCSANOW, before)
    except (ImportError, OSError):
        return ""


def _answer(descriptor: int) -> str:
    answer, until_s = b"", time.monotonic() + _ANSWER_S
    while not answer.endswith(b"c"):
        left_s = until_s - time.monotonic()
        if left_s <= 0 or not select.select([descriptor], [], [], left_s)[0]:
            break
        answer += os.read(descriptor, 64)
    return answer.decode("ascii", "replace")


def _tell(codes: str) -> None:
    sys.stderr.write(codes)
    sys.stderr.flush()
