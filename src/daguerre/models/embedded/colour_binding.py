"""Binds the colour words of a prompt to the objects that they stand before.

The network often gives a colour to the wrong one of two objects, or to none. "A red cup and a blue
cat" leaves no doubt, so these colours are fixed. The network decides all others.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from daguerre.models.embedded.drawing import things
from daguerre.models.embedded.drawing.recolouring import COLOURS

_SPELLINGS = {**{colour: colour for colour in COLOURS}, "grey": "gray", "violet": "purple"}
# Kinds whose name has a colour word: they have their own colours, not that of the word.
_KINDS = frozenset(
    f"{colour} {noun}"
    for colour, nouns in {
        "red": "deer fox kangaroo onion panda squirrel wine wolf",
        "blue": "whale",
        "white": "bread rice wine",
        "black": "coffee",
        "orange": "juice",
    }.items()
    for noun in nouns.split()
)
_MAX_BETWEEN = 2  # adjectives between a colour and its object
_MAX_WORDS = 5  # of an object's name
# Words that end the description of an object; so do participles, other objects and punctuation.
_BREAKS = frozenset(
    "a an the and or with without on in of at by to over under near beside between behind before"
    " next left right above below from for into is are it its his her their this that these those"
    " background wall sky".split()
)
_PARTICIPLE = re.compile(r".+(?<!color)(?<!colour)ed")  # "red-haired woman": not a red woman
_TOKEN = re.compile(r"[a-z0-9']+|[^\s\w]")


@dataclass(frozen=True)
class _Mention:
    """An object's name in a prompt: the range of its words, and the objects that have the name."""

    start: int
    end: int
    names: frozenset[str]


def bound_colours(prompt: str) -> Mapping[str, str]:
    """Object -> its colour in the prompt; "" if it has its own colours.

    It has them if the colours of the prompt belong to other objects, or to the name of its kind
    ("a red fox"). An object is missing if its colour is not certain.
    """
    words = _TOKEN.findall(prompt.lower().replace("-", " "))
    mentions = list(_mentions(words))
    named = {i for mention in mentions for i in range(mention.start, mention.end)}
    found: dict[str, set[str]] = {}
    used, kinds = set(), set[str]()
    for mention in mentions:
        at = _colour_before(words, mention.start, named)
        used |= {at}
        is_kind = " ".join(words[max(0, mention.start - 1) : mention.start + 1]) in _KINDS
        kinds |= mention.names if is_kind else set()
        for name in mention.names:
            colour = "" if at is None or is_kind else _SPELLINGS[words[at]]
            found.setdefault(name, set()).add(colour)
    are_all_used = used >= {i for i, word in enumerate(words) if word in _SPELLINGS}
    certain = {name: colours.pop() for name, colours in found.items() if len(colours) == 1}
    has_colour = any(certain.values())
    return {
        name: colour
        for name, colour in certain.items()
        if colour or name in kinds or (has_colour and are_all_used)
    }


def _mentions(words: Sequence[str]) -> Iterator[_Mention]:
    """The longest names of objects, from left to right; colours before objects are excluded."""
    start = 0
    while start < len(words):
        lengths = range(min(_MAX_WORDS, len(words) - start), 0, -1)
        phrases = ((n, things.meanings(" ".join(words[start : start + n]))) for n in lengths)
        length, names = next(((n, found) for n, found in phrases if found), (1, frozenset()))
        end = start + length
        is_colour = length == 1 and words[start] in _SPELLINGS
        if names and not (is_colour and end < len(words) and _is_adjective(words[end])):
            yield _Mention(start, end, names)
        start = end


def _colour_before(words: Sequence[str], start: int, named: set[int]) -> int | None:
    """The index of the colour word that describes the object at `start`."""
    for i in range(start - 1, max(-1, start - 2 - _MAX_BETWEEN), -1):
        if words[i] in _SPELLINGS:
            return None if _is_one_of_several(words, i) else i
        if i in named or not _is_adjective(words[i]):
            return None
    return None


def _is_adjective(word: str) -> bool:
    return word.isalpha() and word not in _BREAKS and not _PARTICIPLE.fullmatch(word)


def _is_one_of_several(words: Sequence[str], i: int) -> bool:
    """True for "white" in "red and white"."""
    before = [word for word in words[max(0, i - 2) : i] if word not in ("and", ",")]
    return bool(before) and before[-1] in _SPELLINGS
