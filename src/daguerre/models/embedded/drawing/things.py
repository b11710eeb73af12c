"""The things that scenes can show, read from things.txt, and their looks.

A look is a pair of art set and icon; the set "drawn" holds daguerre's own drawings.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from daguerre.models.embedded.drawing import animals, art, figures
from daguerre.models.embedded.drawing.plurals import IRREGULAR, SAME
from daguerre.models.embedded.drawing.svg import symbols

# Popular things; they occur more often in training.
ICONIC = frozenset(
    "cat,dog,fish,bird,apple,car,house,tree,flower,mushroom,rocket,star,moon,sun,heart,boat,fox,"
    "rabbit,horse,butterfly,rose,tulip,sunflower,banana,pizza,balloon,hot air balloon,umbrella,"
    "castle,robot,owl,penguin,frog,whale,turtle,lighthouse,bicycle,airplane,fir tree,palm tree,"
    "cactus,dragon,snowman,ghost,smiling face,strawberry,elephant,lion,bear,tent,bus,train,"
    "guitar,cupcake,coffee,crown,gem,key,planet,cow,duck,bee,unicorn".split(",")
)
# Tags of many similar things that are rarely asked for.
RARE = frozenset({"expression", "gesture", "symbol"})
# Letters of the table, documented in things.txt.
KINDS = tuple("afnvbopk")
PLACES = tuple("gwsui")
FLAGS = ("", "r")


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
        """Relative frequency in training; most things have 1."""
        if self.name in ICONIC:
            return 3.0
        return 0.5 if RARE & {*self.tags} else 1.0


def parse(table: str) -> tuple[Thing, ...]:
    """Parses the table; its first lines document the format of a row."""
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
# Own drawings, on a 100 x 100 view, of things that the icon sets lack.
DRAWN = symbols(DRAWINGS)
# Own drawings of containers, open and empty, for what is inside them.
VESSELS = symbols(Path(__file__).with_name("vessels.svg"))
# The painters of the art sets that are drawn by code.
PAINTERS: dict[str, Callable[[str], art.Drawn]] = {figures.FIGURE: figures.drawn}


@lru_cache(maxsize=1024)
def drawn(look: art.Look) -> art.Drawn:
    """The SVG content of a look and the size of its view."""
    name, icon = look
    if name == animals.WHOLE:
        return animals.drawn(icon, drawn(animals.source(icon)))
    if name in PAINTERS:
        return PAINTERS[name](icon)
    own = {"drawn": DRAWN, "vessel": VESSELS}.get(name)
    found = (own[icon], 100.0, 100.0) if own is not None else art.body(name, icon)
    assert found is not None, f"no art for {name}:{icon}. This is a bug."
    return found


def bounds(look: art.Look) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of the visible part of a look, as shares of its square."""
    return _measured(look)[:4]


def stance(look: art.Look) -> tuple[float, float]:
    """Left and right of what touches the ground, as shares of its square."""
    return _measured(look)[4:]


@lru_cache(maxsize=8192)
def _measured(look: art.Look) -> tuple[float, float, float, float, float, float]:
    """The bounds and the stance."""
    shown = art.draw(art.document(*drawn(look)), 48, 48)[..., 3] > 40
    rows, columns = np.flatnonzero(shown.any(axis=1)), np.flatnonzero(shown.any(axis=0))
    feet = np.flatnonzero(shown[: rows[-1] + 1][-5:].any(axis=0))
    ends = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1, feet[0], feet[-1] + 1
    left, top, right, bottom, first, last = (float(end) / 48 for end in ends)
    return left, top, right, bottom, first, last


@lru_cache(maxsize=4096)
def looks(thing: Thing) -> tuple[art.Look, ...]:
    """Up to three looks of the thing, the most usual first."""
    return art.looks(thing.name)


@lru_cache(maxsize=8192)
def looks_in(thing: Thing, kind: str) -> tuple[art.Look, ...]:
    """The looks for a kind of scene: portraits show heads of animals, the others what is whole."""
    every = looks(thing)
    whole = tuple(look for look in every if look[0] in (animals.WHOLE, figures.FIGURE))
    heads = tuple(look for look in every if look not in whole)
    return (heads or whole) if kind == "portrait" else (whole or heads)


def named(text: str) -> frozenset[str]:
    """The things that a list of words names, in singular or plural, or by a synonym.

    A name also covers the more specific names of the same kind that contain it: "cat" covers the
    black cat, but "dog" does not cover the hot dog. An item with further words names no thing, for
    example "bad hands" or "blue heart".
    """
    said = {meaning for phrase in phrases(text) for meaning in _meanings().get(phrase, ())}
    kinds = {BY_NAME[name].kind for name in said}
    words = {word for name in said for word in (name, *BY_NAME[name].synonyms)}
    inside = re.compile(rf"\b(?:{'|'.join(map(re.escape, sorted(words)))})\b")
    return frozenset(
        thing.name
        for thing in THINGS
        if thing.name in said or (said and thing.kind in kinds and inside.search(thing.name))
    )


def meanings(phrase: str) -> frozenset[str]:
    """The things with a name or synonym, in singular or plural, with spaces for hyphens."""
    forms = (phrase, *_singulars(phrase))
    return frozenset(name for form in forms for name in _unhyphenated().get(form, ()))


def exact_meanings(phrase: str) -> frozenset[str]:
    """The things with this name, synonym or kind."""
    return frozenset(_unhyphenated().get(phrase, ()))


def plural_meanings(phrase: str) -> frozenset[str]:
    """The things of which a phrase is the plural."""
    forms = [form for form in _singulars(phrase) if form != phrase]
    if phrase.rpartition(" ")[2] in SAME:
        forms.append(phrase)
    return frozenset(name for form in forms for name in _unhyphenated().get(form, ()))


@lru_cache(maxsize=1)
def _meanings() -> dict[str, tuple[str, ...]]:
    """Name or synonym -> the things with that name."""
    found: dict[str, tuple[str, ...]] = {}
    for thing in THINGS:
        for word in (thing.name, *thing.synonyms):
            found[word] = (*found.get(word, ()), thing.name)
    return found


def longest_name(first: str) -> int:
    """The number of words of the longest name with this first word, also in the plural, or 0."""
    return max(_longest_names().get(form, 0) for form in (first, *_singulars(first)))


@lru_cache(maxsize=1)
def _longest_names() -> dict[str, int]:
    return longest_by_first_word(_unhyphenated())


def longest_by_first_word(phrases: Iterable[str]) -> dict[str, int]:
    """First word of a phrase -> the number of words of the longest phrase with it."""
    found: dict[str, int] = {}
    for first, *others in map(str.split, phrases):
        found[first] = max(found.get(first, 1), 1 + len(others))
    return found


@lru_cache(maxsize=1)
def _unhyphenated() -> dict[str, tuple[str, ...]]:
    return {word.replace("-", " "): names for word, names in _meanings().items()}


def phrases(text: str) -> Iterator[str]:
    """The items of a list without articles, also with the last word in the singular."""
    for part in _APART.split(_WEIGHT.sub(" ", text.lower())):
        words = _BEFORE.sub("", " ".join(_WORD.findall(part)))
        if words:
            yield words
            yield from _singulars(words)


def _singulars(words: str) -> Iterator[str]:
    """Possible singulars of a plural: "cups of tea", "dogs"."""
    if joint := _JOINT.search(words):
        rest = words[joint.start() :]
        yield from (singular + rest for singular in _singulars(words[: joint.start()]))
    if words.endswith(_PLURALS):
        yield from (words.removesuffix(a) + b for a, b in _ENDINGS if words.endswith(a))


_JOINT = re.compile(r" (?:of|with|without) ")
_APART = re.compile(r"[,;.\n/|，、；。]|\b(?:and|or|nor)\b")
_WORD = re.compile(r"[a-z0-9'-]+")
_WEIGHT = re.compile(r":\s*\d+(?:\.\d+)?")  # as in "(dog:1.3)", the syntax of other tools
_BEFORE = re.compile(r"^(?:(?:no|not|without|any|some|a|an|the)\s+)+")
_ENDINGS = (
    *(("s", ""), ("es", ""), ("ies", "y"), ("ves", "f"), ("ves", "fe"), ("men", "man")),
    *((plural, noun) for noun, plural in IRREGULAR.items() if noun != "foot"),  # "six feet tall"
)
_PLURALS = tuple({plural for plural, _ in _ENDINGS})
