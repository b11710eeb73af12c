"""The things that scenes can show, read from things.txt, and the looks that the art has for them.

A look is a pair of art set and icon; `looks` finds for each thing which of its icons exist in the
art cache, and the set "drawn" holds drawings of our own. Nothing here knows how a thing is placed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from training import assets

# Things that people ask for first; they are drawn more often.
ICONIC = frozenset(
    "cat,dog,fish,bird,apple,car,house,tree,flower,mushroom,rocket,star,moon,sun,heart,boat,fox,"
    "rabbit,horse,butterfly,rose,tulip,sunflower,banana,pizza,balloon,hot air balloon,umbrella,"
    "castle,robot,owl,penguin,frog,whale,turtle,lighthouse,bicycle,airplane,fir tree,palm tree,"
    "cactus,dragon,snowman,ghost,smiling face,strawberry,elephant,lion,bear,tent,bus,train,"
    "guitar,cupcake,coffee,crown,gem,key,planet,cow,duck,bee,unicorn".split(",")
)
# Looks that show something else than the row's name, found by eye.
WRONG = frozenset({("twemoji", "eagle"), ("twemoji", "tennis"), ("twemoji", "raccoon")})


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

    @property
    def weight(self) -> float:
        """How often it is drawn, against 1 for most things."""
        return 3.0 if self.name in ICONIC else 1.0


def _parse(table: str) -> tuple[Thing, ...]:
    rows = []
    for line in table.splitlines():
        if line.startswith("#"):
            continue
        names, slugs, kind, place, colour, flag = line.split("|")
        first, *others = names.split(",")
        found = tuple(slugs.split()) or (first.replace(" ", "-"),)
        rows.append(Thing(first, tuple(others), found, kind, place, colour, flag == "r"))
    return tuple(rows)


TABLE = Path(__file__).with_name("things.txt")
THINGS: tuple[Thing, ...] = _parse(TABLE.read_text(encoding="utf-8"))
BY_NAME: dict[str, Thing] = {thing.name: thing for thing in THINGS}
# Drawings of our own, on a 100 x 100 view, for what the packages lack.
HOT_AIR_BALLOON = (
    '<path fill="#8a5a34" d="M42 84h16l-2 13H44z"/>'
    '<path stroke="#6b4a2f" stroke-width="1.4" fill="none" d="M36 66 43 85M64 66 57 85M50 70V85"/>'
    '<path fill="#e23b3b" d="M50 3C26 3 13 19 13 37c0 15 14 28 25 34h24c11-6 25-19 '
    "25-34C87 19 74 3 "
    '50 3z"/><path fill="#fff2d8" d="M50 3C38 6 33 22 33 38c0 14 5 27 9 33h16c4-6 9-19 9-33C67 22 '
    '62 6 50 3z"/><path fill="#e23b3b" d="M50 3c-5 6-7 20-7 35s3 28 5 33h4c2-5 5-18 '
    '5-33S55 9 50 3z"/>'
    '<path fill="#c22f31" d="M38 71h24l-2 4H40z"/>'
)
BALL = (
    '<circle cx="50" cy="50" r="44" fill="#e23b3b"/><path fill="#fff2e4" d="M50 6c-7 20-7 68 0 88 '
    "14 0 22-4 27-9C68 66 68 34 77 15 70 9 60 6 50 6zM8 38c-3 12-2 20 2 30 12-2 22-7 29-15-10-11-20"
    '-15-31-15z"/><circle cx="50" cy="50" r="8" fill="#c93232"/>'
)
DRAWN = {"hot-air-balloon": HOT_AIR_BALLOON, "ball": BALL}


@lru_cache(maxsize=2048)
def art(name: str, icon: str) -> tuple[str, float, float] | None:
    """The SVG content of a look and its view size; the set "drawn" holds our own drawings."""
    if name == "drawn":
        return (DRAWN[icon], 100.0, 100.0) if icon in DRAWN else None
    return assets.body(name, icon)


def _framed(name: str, icon: str) -> bool:
    """True when the icon fills its whole square, which would show as a box in a scene."""
    alpha = assets.sprite(name, icon, 32)[..., 3]
    return int((alpha[[3, 3, 28, 28], [3, 28, 3, 28]] > 128).sum()) >= 3


@lru_cache(maxsize=1024)
def looks(thing: Thing) -> tuple[tuple[str, str], ...]:
    """Up to three (set, icon) pairs that show the thing; the first slug comes first."""
    if thing.slugs[0] in DRAWN:
        return (("drawn", thing.slugs[0]),)
    found: list[tuple[str, str]] = []
    for slug in thing.slugs:
        for name in assets.PACKS:
            if assets.body(name, slug) is None or (name, slug) in WRONG or _framed(name, slug):
                continue
            found.append((name, slug))
    return tuple(found[:3])
