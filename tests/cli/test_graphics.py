"""Pictures in terminals: the codes decode to the picture, and the right ones are chosen."""

from __future__ import annotations

import base64
import io
import os
import re
import sys
import threading
from collections.abc import Callable

import numpy as np
import pytest
from conftest import FakeEngine
from numpy.typing import NDArray
from PIL import Image

from daguerre.cli import progress
from daguerre.cli.graphics import Box, Protocol, encoded

BOX = Box(columns=8, rows=3, cell_px=(10, 20))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        raise OSError("no descriptor")


def picture(width: int = 320, height: int = 240) -> NDArray[np.uint8]:
    """Four quarters of four colours."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[: height // 2, : width // 2] = (255, 0, 0)
    pixels[height // 2 :, : width // 2] = (0, 255, 0)
    pixels[: height // 2, width // 2 :] = (0, 0, 255)
    return pixels


def from_png(data: str) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data, validate=True))))


def from_kitty(codes: str) -> NDArray[np.uint8]:
    parts = re.findall(r"\x1b_G([^;]*);([^\x1b]*)\x1b\\", codes)
    assert "".join(f"\x1b_G{keys};{data}\x1b\\" for keys, data in parts) == codes
    assert "a=T,f=100," in parts[0][0] and "c=8,r=3,C=1,q=2" in parts[0][0]
    assert [keys[-1] for keys, _ in parts] == ["1"] * (len(parts) - 1) + ["0"]
    assert all(len(data) <= 4096 for _, data in parts)
    return from_png("".join(data for _, data in parts))


def from_iterm(codes: str) -> NDArray[np.uint8]:
    found = re.fullmatch(r"\x1b\]1337;File=([^:]*):([^\x07]*)\x07", codes)
    assert found
    fields = dict(field.split("=") for field in found[1].split(";"))
    assert (fields["inline"], fields["width"], fields["height"]) == ("1", "8", "3")
    assert int(fields["size"]) == len(base64.b64decode(found[2]))
    return from_png(found[2])


def from_sixel(codes: str) -> NDArray[np.uint8]:
    """Read as a terminal reads it, by the manual of the VT340."""
    found = re.fullmatch(r'\x1bP0;1;0q"1;1;(\d+);(\d+)(.*)\x1b\\', codes, re.DOTALL)
    assert found
    width, height = int(found[1]), int(found[2])
    image = np.full((height + 6, width, 3), 77, np.uint8)
    palette: dict[str, tuple[int, ...]] = {}
    colour, x, y = "", 0, 0
    for token in re.findall(r"#\d+;2;\d+;\d+;\d+|#\d+|!\d+[?-~]|[?-~]|[$-]", found[3]):
        if ";" in token:
            name, _, *parts = token.split(";")
            palette[name] = tuple(round(int(part) * 2.55) for part in parts)
        elif token[0] == "#":
            colour = token
        elif token in "$-":
            x, y = 0, y + 6 * (token == "-")
        else:
            length = int(token[1:-1]) if token[0] == "!" else 1
            for row in range(6):
                if (ord(token[-1]) - 63) >> row & 1:
                    image[y + row, x : x + length] = palette[colour]
            x += length
    return image[:height]


@pytest.mark.parametrize(
    ("protocol", "decoded"),
    [("kitty", from_kitty), ("iterm", from_iterm), ("sixel", from_sixel)],
)
@pytest.mark.parametrize("size", [(320, 240), (37, 23), (1344, 768)])
def test_codes_hold_the_picture(
    protocol: Protocol, decoded: Callable[[str], NDArray[np.uint8]], size: tuple[int, int]
) -> None:
    """What a terminal reads out of the codes is the picture, with no more pixels than it shows."""
    shown = decoded(encoded(protocol, picture(*size), BOX))
    height, width, _ = shown.shape
    assert width <= max(BOX.size_px[0], 37) and height <= BOX.size_px[1] * 2
    quarters = [shown[height // 4, width // 4], shown[3 * height // 4, width // 4]]
    quarters += [shown[height // 4, 3 * width // 4], shown[3 * height // 4, 3 * width // 4]]
    wanted = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (0, 0, 0)]
    assert np.abs(np.array(quarters, int) - wanted).max() <= 6


def test_noise_as_sixels() -> None:
    """Also a picture of more colours than there are registers leaves no pixel undrawn."""
    noise = np.random.default_rng(1).integers(0, 256, (60, 80, 3), np.uint8)
    shown = from_sixel(encoded("sixel", noise, BOX))
    assert shown.shape == (60, 80, 3)
    assert np.abs(shown.astype(int) - noise).mean() < 25


@pytest.mark.parametrize(
    ("environ", "answer", "protocol"),
    [
        ({"TERM": "xterm-kitty"}, "", "kitty"),
        ({"TERM": "xterm-256color", "KITTY_WINDOW_ID": "1"}, "", "kitty"),
        ({"TERM": "xterm-ghostty"}, "", "kitty"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "iTerm.app"}, "", "iterm"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "WezTerm"}, "", "iterm"),
        ({"TERM": "xterm-256color", "LC_TERMINAL": "iTerm2"}, "", "iterm"),
        ({"TERM": "xterm-256color"}, "\x1b[?62;4;22c", "sixel"),
        ({"TERM": "xterm-256color"}, "\x1b[?4c", "sixel"),
        ({"TERM": "xterm-256color"}, "\x1b[?62;22;44c", None),
        ({"TERM": "xterm-256color"}, "", None),
        ({"TERM": "xterm-kitty", "TMUX": "x"}, "\x1b[?1;2c", None),
        ({"TERM": "tmux-256color", "TERM_PROGRAM": "iTerm.app"}, "\x1b[?1;2;4c", "sixel"),
        ({"TERM": "dumb"}, "\x1b[?62;4c", None),
        ({}, "\x1b[?62;4c", None),
    ],
)
def test_choice(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], answer: str, protocol: str | None
) -> None:
    """A terminal is believed by its name, asked where it has none, and never guessed at."""
    monkeypatch.setattr("sys.stderr", Terminal())
    assert progress.protocol(environ, lambda: answer) == protocol


def test_no_terminal_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a pipe nothing is shown and nothing is asked."""
    monkeypatch.setattr("sys.stderr", io.StringIO())
    assert progress.protocol({"TERM": "xterm-kitty"}, lambda: pytest.fail("asked")) is None


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudoterminals")
@pytest.mark.parametrize("reply", [b"\x1b[?62;4c", b"\x1b[?6", b""])
def test_question_to_a_terminal(monkeypatch: pytest.MonkeyPatch, reply: bytes) -> None:
    """The answer is read up to its end; a terminal that is silent costs half a second, and its
    modes are as they were."""
    import termios

    ours, theirs = os.openpty()
    before = termios.tcgetattr(theirs)

    def answers() -> None:
        assert os.read(ours, 16) == b"\x1b[c"
        os.write(ours, reply)

    thread = threading.Thread(target=answers)
    thread.start()
    monkeypatch.setattr(
        "builtins.open", lambda *a, **k: os.fdopen(os.dup(theirs), "r+b", buffering=0)
    )
    told = progress._device_attributes()
    monkeypatch.undo()
    thread.join()
    assert told == reply.decode() and termios.tcgetattr(theirs) == before
    os.close(ours)
    os.close(theirs)


@pytest.mark.parametrize(
    ("size", "columns", "box"),
    [
        ((1024, 1024), 200, (40, 20)),
        ((1536, 640), 200, (96, 20)),
        ((640, 1536), 200, (17, 20)),
        ((1536, 640), 80, (79, 16)),
        ((1024, 1024), 1, (1, 1)),
    ],
)
def test_box(size: tuple[int, int], columns: int, box: tuple[int, int]) -> None:
    """The place has the shape of the picture and fits into the window."""
    found = progress.box_for(*size, columns, 50, (10, 20))
    assert (found.columns, found.rows) == box


def test_generate_shows_the_picture(
    run: Callable[..., str], engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Previews and the image are drawn at one place, in room that was made for it; the file is that
    of a run that shows nothing."""
    run("generate", "a fox", "-o", "plain.png", "--seed", "1")
    shown = Terminal()
    monkeypatch.setattr("sys.stderr", shown)
    monkeypatch.setenv("TERM", "xterm-kitty")
    run("generate", "a fox", "-o", "x.png", "--seed", "1")
    codes = shown.getvalue()
    assert codes.count("\x1b7\x1b_G") == codes.count("\x1b8") == 4  # three previews and the image
    assert "step 4 of 4" in codes
    # The cursor ends below the picture: it went down as often as up, and once more.
    up = [int(n) for n in re.findall(r"\x1b\[(\d+)A", codes)]
    down = [int(n) for n in re.findall(r"\x1b\[(\d+)B", codes)]
    assert sum(down) == sum(up[1:]) + codes.count("\n")
    with open("x.png", "rb") as one, open("plain.png", "rb") as other:
        assert one.read() == other.read()


def test_interrupted_frame_is_left(engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also a run that fails leaves the cursor below the picture."""
    from daguerre.params import ImageParams

    shown = Terminal()
    monkeypatch.setattr("sys.stderr", shown)
    with pytest.raises(KeyboardInterrupt):
        with progress.watching(ImageParams("m", "x"), "kitty"):
            raise KeyboardInterrupt
    assert shown.getvalue().endswith("B\r\x1b[K")
