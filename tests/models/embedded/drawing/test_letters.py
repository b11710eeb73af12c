"""Letters: what can be written, and lines that fit."""

from __future__ import annotations

import re

import numpy as np
import pytest

from daguerre.models.embedded.drawing import art
from daguerre.models.embedded.drawing.letters import (
    FONT,
    FittedText,
    fitted_text,
    font,
    text_svg,
    width_of,
    writable,
)

EVERYDAY = (
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
    " !\"#$%&'()*+,-./:;=?@_€£ÄÖÜäöüßÀÉÈÊÇÑñéèêàçøåæœłžšřčőğışțğ¿¡…–“”„«»‘’•°×½ЖПя❤"
)


def test_everyday_characters_have_glyphs() -> None:
    assert writable(EVERYDAY) == EVERYDAY
    assert FONT.stat().st_size < 150_000


def test_characters_without_a_glyph_are_left_out() -> None:
    assert writable("I 🎉 NY") == "I NY"
    assert writable("日本") == ""
    assert writable("♥\ufe0f") == "❤"
    assert writable("e\u0301 ﬁ  a\tb\n\n c ") == "é f a b\nc"  # composed, or its first part


def test_kerning() -> None:
    assert width_of("AV") < width_of("A") + width_of("V")


@pytest.mark.parametrize(
    ("words", "box", "num_lines"),
    [
        ("OPEN", (400, 200), 1),
        ("Happy Birthday", (300, 300), 2),
        ("The quick brown fox jumps over the lazy dog", (600, 300), 3),
        ("one\ntwo", (900, 100), 2),
        ("", (100, 100), 0),
    ],
)
def test_lines_fit(words: str, box: tuple[float, float], num_lines: int) -> None:
    text = fitted_text(words, *box)
    assert len(text.lines) == num_lines
    assert " ".join(text.lines) == words.replace("\n", " ")
    assert text.width <= box[0] + 1e-6 and text.height <= box[1]


def test_letters_are_inside_their_box() -> None:
    """The ink is where the metrics say, with its capitals in the middle."""
    text = FittedText(("HEH",), 40.0)
    drawn = art.draw(art.document(text_svg(text, 64, 64, "#000000"), 128, 128), 128, 128)
    rows = np.flatnonzero(drawn[..., 3].any(axis=1))
    columns = np.flatnonzero(drawn[..., 3].any(axis=0))
    assert abs((rows[0] + rows[-1]) / 2 - 63.5) <= 1
    assert abs((columns[0] + columns[-1]) / 2 - 63.5) <= 1.5
    assert abs(rows[-1] - rows[0] - 40 * font().capital) <= 3
    assert columns[-1] - columns[0] <= text.width


def test_every_letter_is_in_the_document() -> None:
    svg = text_svg(fitted_text("a b\nc", 100, 100), 0, 0, "#123456")
    assert len(re.findall("<path", svg)) == 3
