"""Packs the letters that the package ships: outlines, advances and kerning of one weight of Nunito.

    python -m training.font

The font comes from its npm package, pinned by digest. The result depends on that package alone.
"""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

from fontTools.pens.svgPathPen import SVGPathPen
from fontTools.pens.transformPen import TransformPen
from fontTools.ttLib import TTFont

from daguerre.models.embedded.drawing.letters import FONT
from training.assets import DEFAULT_CACHE, Pack, update

PACK = Pack(
    "@fontsource/nunito",
    "5.3.0",
    "vw9TaTQJ/zpEpKrsODuPmOvaVjXgdda6B+xXA4YqjrdeJ62MLgVoDerdRXFQHyBnSCt2yQ2nHKCHPP/Pv7Xq4Q==",
    "OFL-1.1",
)
WEIGHT = 800
SUBSETS = ("latin", "latin-ext", "cyrillic")  # the first subset with a character gives it
# Latin with the accents of European languages, Cyrillic, punctuation and currencies.
RANGES = (
    (0x20, 0x7E),
    (0xA1, 0xAC),
    (0xAE, 0x17F),
    (0x218, 0x21B),
    (0x401, 0x401),
    (0x410, 0x44F),
    (0x451, 0x451),
    (0x1E9E, 0x1E9E),
    (0x2010, 0x2026),
    (0x2030, 0x203A),
    (0x20AC, 0x20AC),
    (0x2116, 0x2122),
    (0x2212, 0x2212),
)
MIN_KERNING = 8  # thousandths of the em; less is not visible


def fonts(tarball: Path) -> list[TTFont]:
    """The subsets of the font."""
    with tarfile.open(tarball) as tar:
        members = [
            tar.extractfile(f"package/files/nunito-{subset}-{WEIGHT}-normal.woff")
            for subset in SUBSETS
        ]
        return [TTFont(io.BytesIO(member.read())) for member in members if member]


def pack(sources: list[TTFont]) -> bytes:
    """letters.json.gz, the same bytes on every machine; y points down from the baseline."""
    glyphs: dict[str, tuple[int, str]] = {}
    kerning: dict[str, int] = {}
    for source in sources:
        names = {
            chr(code): name
            for code, name in source.getBestCmap().items()
            if any(low <= code <= high for low, high in RANGES) and chr(code) not in glyphs
        }
        glyphs |= {char: _glyph(source, name) for char, name in sorted(names.items())}
        kerning |= dict(_kerning(source, names))
    os2 = sources[0]["OS/2"]
    content = {
        "capital": os2.sCapHeight,
        "descent": -os2.sTypoDescender,
        "glyphs": dict(sorted(glyphs.items())),
        "kerning": dict(sorted(kerning.items())),
    }
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=False)
    return gzip.compress(text.encode(), 9, mtime=0)


def _glyph(source: TTFont, name: str) -> tuple[int, str]:
    """Advance and path of a glyph in thousandths of the em."""
    glyphs, scale = source.getGlyphSet(), 1000 / source["head"].unitsPerEm
    pen = SVGPathPen(glyphs, ntos=lambda value: str(round(value)))
    glyphs[name].draw(TransformPen(pen, (scale, 0, 0, -scale, 0, 0)))
    return round(glyphs[name].width * scale), pen.getCommands()


def _kerning(source: TTFont, names: dict[str, str]) -> Iterator[tuple[str, int]]:
    """Pairs of characters and the distance between them, of the pairs with a visible one."""
    chars = {name: char for char, name in names.items()}
    table, scale = source["GPOS"].table, 1000 / source["head"].unitsPerEm
    wanted = {
        i
        for feature in table.FeatureList.FeatureRecord
        if feature.FeatureTag == "kern"
        for i in feature.Feature.LookupListIndex
    }
    found: dict[str, int] = {}
    for i in sorted(wanted):
        for subtable in table.LookupList.Lookup[i].SubTable:
            inner = getattr(subtable, "ExtSubTable", subtable)
            if inner.LookupType != 2:
                continue
            for left in inner.Coverage.glyphs:
                if left in chars:
                    for right, value in _pairs(inner, left, chars):
                        found.setdefault(chars[left] + chars[right], round(value * scale))
    yield from ((pair, value) for pair, value in found.items() if abs(value) >= MIN_KERNING)


def _pairs(subtable: object, left: str, chars: dict[str, str]) -> Iterator[tuple[str, int]]:
    """The glyphs that may follow `left` in a subtable of pairs, with its change of advance."""
    if subtable.Format == 1:  # type: ignore[attr-defined]
        index = subtable.Coverage.glyphs.index(left)  # type: ignore[attr-defined]
        for record in subtable.PairSet[index].PairValueRecord:  # type: ignore[attr-defined]
            if record.SecondGlyph in chars and record.Value1:
                yield record.SecondGlyph, getattr(record.Value1, "XAdvance", 0)
        return
    first = subtable.ClassDef1.classDefs.get(left, 0)  # type: ignore[attr-defined]
    records = subtable.Class1Record[first].Class2Record  # type: ignore[attr-defined]
    for right in chars:
        value = records[subtable.ClassDef2.classDefs.get(right, 0)].Value1  # type: ignore[attr-defined]
        if value and getattr(value, "XAdvance", 0):
            yield right, value.XAdvance


def main() -> None:
    update(FONT, pack(fonts(PACK.fetch(DEFAULT_CACHE))))


if __name__ == "__main__":
    main()
