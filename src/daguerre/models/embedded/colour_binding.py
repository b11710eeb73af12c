"""Binds the colour words of a prompt to the objects that they describe.

The network often gives a colour to the wrong one of two objects, or to none. "A red cup and a blue
cat" and "the cup is red" leave no doubt, so these colours are fixed. The network decides all
others. The colour of somebody's clothes is the colour of that person.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from daguerre.models.embedded.clothing import is_garment, with_garments, worn
from daguerre.models.embedded.drawing.people import PEOPLE
from daguerre.models.embedded.mentions import SPELLINGS, find_mentions, is_adjective, words_of

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
# What may follow the colour in "the cup is red".
_ENDS = ("", ".", ";", "!", "while", "but")
_MAX_BETWEEN = 2  # adjectives between a colour and its object


def bound_colours(prompt: str) -> Mapping[str, str]:
    """Object -> its colour in the prompt; "" if it has its own colours.

    It has them if the colours of the prompt belong to other objects, or to the name of its kind
    ("a red fox"). An object is missing if its colour is not certain.
    """
    words = words_of(prompt)
    mentions = with_garments(words, list(find_mentions(words)))
    named = {i for mention in mentions for i in range(mention.start, mention.end)}
    clothes = worn(words, mentions)
    found: dict[str, set[str]] = {}
    used, kinds = set(), set[str]()
    for mention in mentions:
        at = _colour_before(words, mention.start, named)
        if at is None:
            at = _colour_after(words, mention.end)
        used |= {at}
        if mention in clothes:
            if at is not None and is_garment(words, mention):
                for name in clothes[mention].names & PEOPLE.keys():
                    found.setdefault(name, set()).add(SPELLINGS[words[at]])
            continue
        is_kind = " ".join(words[max(0, mention.start - 1) : mention.end]) in _KINDS
        kinds |= mention.names if is_kind else set()
        for name in mention.names:
            colour = "" if at is None or is_kind else SPELLINGS[words[at]]
            found.setdefault(name, set()).add(colour)
    are_all_used = used >= {i for i, word in enumerate(words) if word in SPELLINGS}
    # "A car. The car is red." says nothing about the first mention, and red about the second.
    found = {name: colours - {""} or colours for name, colours in found.items()}
    certain = {name: colours.pop() for name, colours in found.items() if len(colours) == 1}
    has_colour = any(certain.values())
    return {
        name: colour
        for name, colour in certain.items()
        if colour or name in kinds or (has_colour and are_all_used)
    }


def _colour_before(words: Sequence[str], start: int, named: set[int]) -> int | None:
    """The index of the colour word that describes the object at `start`."""
    for i in range(start - 1, max(-1, start - 2 - _MAX_BETWEEN), -1):
        if words[i] in SPELLINGS:
            return None if _is_one_of_several(words, i) else i
        if i in named or not is_adjective(words[i]):
            return None
    return None


def _colour_after(words: Sequence[str], end: int) -> int | None:
    """The index of the colour that a sentence says of the object before `end`: "is red"."""
    verb, colour, *after = (*words[end : end + 4], "", "", "")[:4]
    is_said = verb in ("is", "are") and colour in SPELLINGS
    is_last = after[0] in _ENDS or (after[0] in ("and", ",") and after[1] not in SPELLINGS)
    return end + 1 if is_said and is_last else None


def _is_one_of_several(words: Sequence[str], i: int) -> bool:
    """True for "white" in "red and white"."""
    before = [word for word in words[max(0, i - 2) : i] if word not in ("and", ",")]
    return bool(before) and before[-1] in SPELLINGS
