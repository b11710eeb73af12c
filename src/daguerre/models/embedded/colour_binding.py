"""Binds the colour words of a prompt to the objects that they describe.

The network often gives a colour to the wrong one of two objects, or to none. "A red cup and a blue
cat" and "the cup is red" leave no doubt, so these colours are fixed. The network decides all
others. The colour of clothes is the colour of their wearer.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from daguerre.models.embedded.clothing import is_garment, with_garments, worn
from daguerre.models.embedded.drawing.people import PEOPLE
from daguerre.models.embedded.mentions import (
    SPELLINGS,
    Mention,
    find_mentions,
    is_adjective,
    named_words,
    words_of,
)
from daguerre.models.embedded.negation import negated

# Kinds whose name has a colour word: they have their own colours, not that of the word.
_KINDS = frozenset(
    f"{colour} {noun}"
    for colour, nouns in {
        "red": "deer fox kangaroo onion panda squirrel wine wolf",
        "blue": "cheese whale",
        "white": "bread grape grapes rice shark tea wine",
        "black": "coffee tea",
        "green": "onion",
        "orange": "juice tree",
    }.items()
    for noun in nouns.split()
)
# Before these nouns, these colours are those of the skin.
_PERSON_NOUNS = frozenset("man woman boy girl person child baby family".split())
_SKINS = ("black", "white", "brown")
# Places and grounds; their colours belong to no object.
_PLACES = frozenset(
    "background backdrop wall sky sunset sunrise sea ocean water lake river grass meadow field hill"
    " mountain forest sand desert beach snow moonlight light floor ground carpet room".split()
)
# Nouns of a part, or of a name with a colour: "a red roof house", "a white wine bottle".
_PARTS = frozenset(
    "hair beard moustache mustache lipstick roof sleeve brim stripe stripes handle wine sugar"
    " pepper thumb collar laser neon".split()
)
# What may follow the colour in "the cup is red".
_ENDS = ("", ".", ";", "!", "while", "but")
_JOINTS = ("and", ",", "or", "a", "an", "the", "one")
_MAX_BETWEEN = 2  # adjectives between a colour and its object


def bound_colours(prompt: str) -> Mapping[str, str]:
    """Object -> its colour in the prompt; "" if it has its own colours.

    It has them if all colours of the prompt belong to other objects, to places or to clothes, or to
    the name of its kind ("a red fox"). An object is missing if its colour is not certain.
    """
    words = words_of(prompt)
    mentions = with_garments(words, list(find_mentions(words)))
    named = named_words(mentions)
    clothes = worn(words, mentions)
    open_ones = negated(words, mentions) | _compounds(mentions)
    at = {m: _colour_at(words, m, named) for m in mentions if m not in open_ones}
    kinds = {name for m in at if m not in clothes and _is_kind(words, m) for name in m.names}
    found: dict[str, set[str]] = defaultdict(set)
    for mention in mentions:
        if mention in open_ones:
            for name in mention.names:
                found[name].update(SPELLINGS)
        elif mention not in clothes:
            for name in mention.names:
                found[name].add(_colour_of(name, words, mention, at[mention]))
        elif (i := at[mention]) is not None and is_garment(words, mention):
            for name in clothes[mention].names & PEOPLE.keys():
                found[name].add(SPELLINGS[words[i]])
    colour_words = {i for i, word in enumerate(words) if word in SPELLINGS}
    are_all_used = {*at.values(), *named, *_of_places(words)} >= colour_words
    # "A car. The car is red." says nothing about the first mention, and red about the second.
    found = {name: colours - {""} or colours for name, colours in found.items()}
    certain = {name: colours.pop() for name, colours in found.items() if len(colours) == 1}
    return {
        name: colour
        for name, colour in certain.items()
        if colour or name in kinds or (colour_words and are_all_used)
    }


def _of_places(words: Sequence[str]) -> Iterator[int]:
    """The indices of colours directly before a place, the sky or the background."""
    for i, after in enumerate(words[1:]):
        if words[i] in SPELLINGS and (after in _PLACES or after.removesuffix("s") in _PLACES):
            yield i


def _is_kind(words: Sequence[str], mention: Mention) -> bool:
    return " ".join(words[max(0, mention.start - 1) : mention.end]) in _KINDS


def _colour_of(name: str, words: Sequence[str], mention: Mention, at: int | None) -> str:
    """The colour of an object whose colour word is at an index; "" for its own colours."""
    colour = "" if at is None or _is_kind(words, mention) else SPELLINGS[words[at]]
    return "" if name.split()[-1] in _PERSON_NOUNS and colour in _SKINS else colour


def _colour_at(words: Sequence[str], mention: Mention, named: set[int]) -> int | None:
    """The index of the colour word that describes a mention, before or after it."""
    before = _colour_before(words, mention.start, named)
    return _colour_after(words, mention.end) if before is None else before


def _colour_before(words: Sequence[str], start: int, named: set[int]) -> int | None:
    """The index of the colour word that describes the object at `start`."""
    for i in range(start - 1, max(-1, start - 2 - _MAX_BETWEEN), -1):
        if words[i] in SPELLINGS:
            is_of_part = not _PARTS.isdisjoint(words[i + 1 : start])
            return None if is_of_part or _is_one_of_several(words, i, named) else i
        if i in named or not is_adjective(words[i]):
            return None
    return None


def _colour_after(words: Sequence[str], end: int) -> int | None:
    """The index of the colour that a sentence says of the object before `end`: "is red"."""
    verb, colour, *after = (*words[end : end + 4], "", "", "")[:4]
    is_said = verb in ("is", "are") and colour in SPELLINGS
    is_last = after[0] in _ENDS or (after[0] in ("and", ",") and after[1] not in SPELLINGS)
    return end + 1 if is_said and is_last else None


def _is_one_of_several(words: Sequence[str], i: int, named: set[int]) -> bool:
    """True for "white" in "red and white", and for "red" in "a blue and a red car"."""
    at = next((k for k in range(i - 1, max(-1, i - 5), -1) if words[k] not in _JOINTS), None)
    if at is None or at in named or words[at] not in SPELLINGS:
        return False
    return words[max(0, at - 1)] not in ("is", "are")


def _compounds(mentions: Sequence[Mention]) -> frozenset[Mention]:
    """Mentions without a word between them, such as both of "brick house"."""
    pairs = [pair for pair in pairwise(mentions) if pair[0].end == pair[1].start]
    return frozenset(mention for pair in pairs for mention in pair)
