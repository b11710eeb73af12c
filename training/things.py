"""The things that scenes can show, read from things.txt, and the looks that the art has for them.

A look is a pair of art set and icon; `looks` finds for each thing which of its icons exist in the
art cache, and the set "drawn" holds drawings of our own. Nothing here knows how a thing is placed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from training import assets

# Things that people ask for first; they are drawn more often.
ICONIC = frozenset(
    "cat,dog,fish,bird,apple,car,house,tree,flower,mushroom,rocket,star,moon,sun,heart,boat,fox,"
    "rabbit,horse,butterfly,rose,tulip,sunflower,banana,pizza,balloon,hot air balloon,umbrella,"
    "castle,robot,owl,penguin,frog,whale,turtle,lighthouse,bicycle,airplane,fir tree,palm tree,"
    "cactus,dragon,snowman,ghost,smiling face,strawberry,elephant,lion,bear,tent,bus,train,"
    "guitar,cupcake,coffee,crown,gem,key,planet,cow,duck,bee,unicorn".split(",")
)
# Tags of many things that look alike and are asked for seldom.
RARE = frozenset({"expression", "gesture", "symbol"})
# The letters of the table; things.txt says what they mean.
KINDS = tuple("afnvbopk")
PLACES = tuple("gwsui")
FLAGS = ("", "r")
# Looks that show something else than the row's name, found by eye: another thing, a part where a
# whole animal is meant to stand in a landscape, or a picture that says more than the name.
WRONG = frozenset(
    {
        ("twemoji", "tennis"),
        ("twemoji", "eagle"),
        ("twemoji", "raccoon"),
        ("twemoji", "deer"),
        ("twemoji", "zebra"),
        ("twemoji", "rhinoceros"),
        ("twemoji", "gorilla"),
        ("twemoji", "boar"),
        ("fxemoji", "boar"),
        ("twemoji", "pouring-liquid"),
    }
)


@dataclass(frozen=True)
class Thing:
    """One row of the table."""

    name: str
    synonyms: tuple[str, ...]
    slugs: tuple[str, ...]
    kind: str
    place: str
    colour: str
    recolourable: bool
    tags: tuple[str, ...] = ()

    @property
    def weight(self) -> float:
        """How often it is drawn, against 1 for most things."""
        if self.name in ICONIC:
            return 3.0
        return 0.5 if RARE & {*self.tags} else 1.0


def parse(table: str) -> tuple[Thing, ...]:
    """Read the table; its first lines say how a row is written."""
    rows: list[Thing] = []
    tags: tuple[str, ...] = ()
    for number, line in enumerate(table.splitlines(), 1):
        if line.startswith("@"):
            tags = tuple(line[1:].strip().split(","))
        elif not line.startswith("#"):
            rows.append(_row(line, number, tags))
    return tuple(rows)


def _row(line: str, number: int, tags: tuple[str, ...]) -> Thing:
    cells = line.split("|")
    if len(cells) != 6:
        raise ValueError(f"things.txt, line {number}: {len(cells)} cells, not 6: {line!r}")
    names, slugs, kind, place, colour, flag = cells
    for what, said, allowed in (
        ("kind", kind, KINDS),
        ("place", place, PLACES),
        ("flag", flag, FLAGS),
    ):
        if said not in allowed:
            raise ValueError(f"things.txt, line {number}: {what} {said!r} is none of {allowed}")
    first, *others = names.split(",")
    found = tuple(slugs.split()) or (first.replace(" ", "-"),)
    return Thing(first, tuple(others), found, kind, place, colour, flag == "r", tags)


TABLE = Path(__file__).with_name("things.txt")
THINGS: tuple[Thing, ...] = parse(TABLE.read_text(encoding="utf-8"))
BY_NAME: dict[str, Thing] = {thing.name: thing for thing in THINGS}
DRAWINGS = Path(__file__).with_name("drawings.svg")
_SYMBOL = re.compile(r'<symbol id="([^"]+)"[^>]*>\n(.*?)\n</symbol>', re.DOTALL)
# Drawings of our own, on a 100 x 100 view, for what the packages lack.
DRAWN: dict[str, str] = dict(_SYMBOL.findall(DRAWINGS.read_text(encoding="utf-8")))


@lru_cache(maxsize=4096)
def art(name: str, icon: str) -> tuple[str, float, float] | None:
    """The SVG content of a look and its view size; the set "drawn" holds our own drawings."""
    if name == "drawn":
        return (DRAWN[icon], 100.0, 100.0) if icon in DRAWN else None
    return assets.body(name, icon)


def _framed(name: str, icon: str) -> bool:
    """True when the icon fills its whole square, which would show as a box in a scene."""
    alpha = assets.sprite(name, icon, 32)[3:29, 3:29, 3]
    ring = np.concatenate([alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1]]) > 128
    corners = alpha[[0, 0, -1, -1], [0, -1, 0, -1]] > 128
    return bool(corners.sum() >= 3 and ring.mean() > 0.9)


@lru_cache(maxsize=4096)
def looks(thing: Thing) -> tuple[tuple[str, str], ...]:
    """Up to three (set, icon) pairs that show the thing; the first slug comes first."""
    found: list[tuple[str, str]] = []
    for name, icon, chosen in _candidates(thing.slugs):
        if len(found) == 3:
            break
        if art(name, icon) is not None and (chosen or not _unfit(name, icon)):
            found.append((name, icon))
    return tuple(found)


def _candidates(slugs: tuple[str, ...]) -> Iterator[tuple[str, str, bool]]:
    """Every pair that could be a look: a slug is tried in each pack, set:slug is chosen by eye."""
    for slug in slugs:
        name, _, icon = slug.rpartition(":")
        for pack in (name,) if name else assets.PACKS:
            yield pack, icon, bool(name)


def _unfit(name: str, icon: str) -> bool:
    return (name, icon) in WRONG or _framed(name, icon)
