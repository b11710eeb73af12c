"""Letters as outlines: lines of text that fit a box, and their SVG paths.

letters.json.gz has the glyphs of one weight of Nunito; `training.font` packs it. Characters without
a glyph are left out, for example emoji and Chinese. Sizes are those of the em.
"""

from __future__ import annotations

import gzip
import json
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

FONT = Path(__file__).with_name("letters.json.gz")
EM = 1000  # units of the glyphs
LEADING = 1.12  # distance of lines
MAX_LINES = 6
_HEART = (
    860,
    "M430 0C180 -180 70 -310 70 -460C70 -590 165 -680 275 -680C340 -680 397 -648 430 -592"
    "C463 -648 520 -680 585 -680C695 -680 790 -590 790 -460C790 -310 680 -180 430 0Z",
)
# Characters that are written as others.
_ALIASES = {"♥": "❤", "\u00a0": " ", "\t": " ", "\u2010": "-", "\u2011": "-", "\u2012": "–"}


@dataclass(frozen=True)
class Font:
    """Glyphs: character -> (advance, path). Kerning: pair -> change of the advance."""

    capital: float  # height of a capital letter, as a share of the em
    descent: float
    glyphs: Mapping[str, tuple[int, str]]
    kerning: Mapping[str, int]


@lru_cache(maxsize=1)
def font() -> Font:
    content = json.loads(gzip.decompress(FONT.read_bytes()))
    glyphs = {char: (glyph[0], glyph[1]) for char, glyph in content["glyphs"].items()}
    glyphs["❤"] = _HEART
    return Font(content["capital"] / EM, content["descent"] / EM, glyphs, content["kerning"])


def writable(text: str) -> str:
    """The text without the characters that have no glyph; line ends stay."""
    glyphs, found = font().glyphs, []
    for char in unicodedata.normalize("NFC", text):
        char = _ALIASES.get(char, char)
        plain = char if char in glyphs else unicodedata.normalize("NFKD", char)[:1]
        if char == "\n" or plain in glyphs:
            found.append("\n" if char == "\n" else plain)
    lines = (" ".join(line.split()) for line in "".join(found).split("\n"))
    return "\n".join(line for line in lines if line)


@lru_cache(maxsize=256)
def width_of(line: str) -> float:
    """The width of a line at size 1."""
    glyphs, kerning = font().glyphs, font().kerning
    total = sum(glyphs[char][0] for char in line)
    return (total + sum(kerning.get(a + b, 0) for a, b in pairwise(line))) / EM


@dataclass(frozen=True)
class FittedText:
    """Lines of text and the size at which they fit."""

    lines: tuple[str, ...]
    size: float

    @property
    def height(self) -> float:
        """The distance from the top of the first line's capitals to the last baseline."""
        return self.size * (font().capital + LEADING * (len(self.lines) - 1))

    @property
    def width(self) -> float:
        return self.size * max(map(width_of, self.lines), default=0.0)


def fitted_text(text: str, width: float, height: float) -> FittedText:
    """The lines with the largest letters that fit a box; lines break at spaces and line ends."""
    paragraphs = [line.split() for line in writable(text).split("\n")]
    if not any(paragraphs):
        return FittedText((), 0.0)
    best = FittedText((), 0.0)
    for extra in range(MAX_LINES):
        lines = _broken(paragraphs, extra)
        widest = max(map(width_of, lines))
        tall = font().capital + font().descent * 0.8 + LEADING * (len(lines) - 1)
        found = FittedText(lines, min(width / widest, height / tall))
        if found.size > best.size * 1.02:
            best = found
    return best


def _broken(paragraphs: Sequence[Sequence[str]], extra: int) -> tuple[str, ...]:
    """The paragraphs in lines, of which `extra` more than there are paragraphs, if possible."""
    counts = [1] * len(paragraphs)
    for _ in range(extra):
        widths = [
            width_of(" ".join(words)) / n if n < len(words) else 0.0
            for words, n in zip(paragraphs, counts, strict=True)
        ]
        if not any(widths):
            break
        counts[widths.index(max(widths))] += 1
    pairs = zip(paragraphs, counts, strict=True)
    return tuple(line for words, n in pairs for line in _balanced(tuple(words), n))


def _balanced(words: tuple[str, ...], num: int) -> tuple[str, ...]:
    """The words in `num` lines whose widest is as narrow as possible."""
    best: dict[tuple[int, int], tuple[float, tuple[str, ...]]] = {(0, 0): (0.0, ())}
    for line in range(1, num + 1):
        for end in range(line, len(words) + 1):
            best[line, end] = min(
                (
                    max(best[line - 1, start][0], width_of(row)),
                    (*best[line - 1, start][1], row),
                )
                for start in range(line - 1, end)
                if (line - 1, start) in best and (row := " ".join(words[start:end]))
            )
    return best[num, len(words)][1]


def text_svg(text: FittedText, x: float, y: float, fill: str, extra: str = "") -> str:
    """The SVG content of lines whose capitals are centred at (x, y)."""
    if not text.lines:
        return ""
    k, glyphs, kerning = text.size / EM, font().glyphs, font().kerning
    baseline = y - text.height / 2 + text.size * font().capital
    parts = []
    for row, line in enumerate(text.lines):
        at = -width_of(line) * EM / 2
        for char, following in zip(line, (*line[1:], ""), strict=True):
            advance, path = glyphs[char]
            if path:
                down = row * LEADING * EM
                parts.append(f'<path transform="translate({at:.0f} {down:.0f})" d="{path}"/>')
            at += advance + kerning.get(char + following, 0)
    body = "".join(parts)
    where = f"matrix({k:.5f} 0 0 {k:.5f} {x:.2f} {baseline:.2f})"
    return f'<g transform="{where}" fill="{fill}" {extra}>{body}</g>'
