"""Kinds of objects in a prompt: "a corgi" is read as "a dog".

There are no drawings of breeds and makes. The name of an object replaces such a word before the
network and the rules read the prompt. A kind that is a part of a longer name stays ("tiger shark").
A kind before a name of the same object is left out: "a husky dog" is read as "a dog".
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from daguerre.models.embedded.clothing import is_worn
from daguerre.models.embedded.drawing import things
from daguerre.models.embedded.drawing.plurals import plural
from daguerre.models.embedded.mentions import OTHER_NAMES, is_called, name_at, plain, word_spans

TABLE = Path(__file__).with_name("kinds.txt")
_VOWELS = "aeiou"
_YOUNG = frozenset("pup pups foal foals fawn fawns calf calves".split())  # of what is named before
# Kinds that end like plurals, and are one object: newlyweds are a couple.
_SINGULAR = ("tops", "anas", "mercedes", "mars", "holmes", "thermos", "binoculars") + (
    ("newlyweds", "teenagers", "classmates", "tourists", "flats", "wings", "nachos", "eggs")
)


def parse(table: str) -> dict[str, tuple[str, ...]]:
    """Object -> words for its kinds, from the text of the table."""
    lines = [line for line in table.splitlines() if not line.startswith("#")]
    rows = (line.partition(": ") for line in "\n".join(lines).replace("\n ", " ").split("\n"))
    return {name: tuple(words.split(", ")) for name, _, words in rows if name}


KINDS = parse(TABLE.read_text(encoding="utf-8"))


def with_known_names(prompt: str) -> str:
    """The prompt with the names of objects in place of their kinds, in lower case if any."""
    text = plain(prompt)
    spans = word_spans(text)
    words = [text[start:end] for start, end in spans]
    pieces: list[str] = []
    kept = at = 0  # text before `kept` is in the pieces
    named = -1  # the end of the name before
    while at < len(words):
        if " ".join(words[at : at + 2]) in OTHER_NAMES:
            at += 2
            continue
        length, name = _kind(words, at)
        known, _ = name_at(words, at)
        is_young = at == named and words[at] in _YOUNG
        is_own = named >= 0 and is_called(words[max(named, at - 3) : at])  # "a dog called Lily"
        if length > known and not (is_young or is_own or is_worn(words, at, at + length)):
            end = at + length
            before = text[kept : spans[at][0]]
            if _is_repeated(words, end, name):
                pieces.append(_with_article(before, words[end]))
                kept = spans[end][0]
            else:
                pieces += [_with_article(before, name), name]
                kept, named = spans[end - 1][1], end
        else:
            length = max(1, known)
            named = at + length if known else named
        at += length
    return "".join((*pieces, text[kept:])) if pieces else prompt


def _kind(words: Sequence[str], at: int) -> tuple[int, str]:
    """The number of words of the longest kind at a position, and its object; 0 without one."""
    longest = min(_longest().get(words[at], 0), len(words) - at)
    for length in range(longest, 0, -1):
        name = _objects().get(" ".join(words[at : at + length]))
        if name:
            return length, name
    return 0, ""


def _is_repeated(words: Sequence[str], at: int, name: str) -> bool:
    """Whether the words at a position name the same object as the kind before them."""
    if at == len(words):
        return False
    _, known = name_at(words, at)
    return not known.isdisjoint(things.meanings(name)) or _kind(words, at)[1] == name


def _with_article(before: str, name: str) -> str:
    """The text with the indefinite article at its end that fits the name."""
    words = before.split(" ")
    if len(words) > 1 and words[-2] in ("a", "an"):
        words[-2] = "an" if name[0] in _VOWELS else "a"
    return " ".join(words)


@lru_cache(maxsize=1)
def _objects() -> dict[str, str]:
    """Kind in singular and plural -> the object's name in the same number."""
    found: dict[str, str] = {}
    for name, kinds in KINDS.items():
        for kind in kinds:
            found[_plural(kind)] = _plural(name)
            found[kind] = _plural(name) if _is_plural(kind) else name
    return found


def _is_plural(kind: str) -> bool:
    return kind.endswith("s") and not kind.endswith(("ss", "us", "is", *_SINGULAR))


def _plural(noun: str) -> str:
    is_plural = noun.endswith("s") and not noun.endswith(("ss", "us"))
    return noun if is_plural else plural(noun)


@lru_cache(maxsize=1)
def _longest() -> dict[str, int]:
    return things.longest_by_first_word(_objects())
