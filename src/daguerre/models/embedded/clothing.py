"""Clothes that a person or an animal in a prompt wears: fields of the wearer, not objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from daguerre.models.embedded.drawing.hatted import HEADS
from daguerre.models.embedded.drawing.people import PEOPLE
from daguerre.models.embedded.mentions import Mention, named_words

# The last words of the names of garments, and of hats, glasses and the like.
GARMENTS = frozenset(
    "dress suit coat armor armour uniform swimsuit bikini kimono hoodie spacesuit robe sweater"
    " jumper pullover shirt jacket gown apron overalls cape pyjamas raincoat clothes".split()
)
HATS = frozenset(
    "hat crown helmet cap beanie glasses eyeglasses sunglasses shades scarf bow headphones".split()
)
_JOINTS = frozenset("in wearing wears dressed with".split())
_MAX_ADJECTIVES = 2
_MAX_BETWEEN = 6  # words between the wearer and the clothes


def with_garments(words: Sequence[str], mentions: Sequence[Mention]) -> list[Mention]:
    """The mentions, and one without an object for each garment that is not an object."""
    named = named_words(mentions)
    others = [i for i, word in enumerate(words) if word in GARMENTS and i not in named]
    extra = [Mention(i, i + 1, frozenset()) for i in others]
    return sorted((*mentions, *extra), key=lambda mention: mention.start)


def worn(words: Sequence[str], mentions: Sequence[Mention]) -> Mapping[Mention, Mention]:
    """Each mention of worn clothes -> the mention of their wearer."""
    found: dict[Mention, Mention] = {}
    before: Mention | None = None  # the object before, or its last garment
    for mention in mentions:
        if before is not None and _is_worn(words, before, mention, before in found):
            found[mention] = found.get(before, before)
        before = mention
    return found


def is_garment(words: Sequence[str], mention: Mention) -> bool:
    return words[mention.end - 1] in GARMENTS


def is_worn(words: Sequence[str], start: int, end: int) -> bool:
    """True for the name of a garment or hat from `start` to `end` after "in a", "wearing" ..."""
    before = words[max(0, start - _MAX_ADJECTIVES - 2) : start]
    return words[end - 1] in GARMENTS | HATS and not _JOINTS.isdisjoint(before)


def _is_worn(words: Sequence[str], before: Mention, mention: Mention, is_clothed: bool) -> bool:
    """Whether a mention is of clothes, and follows a possible wearer or other clothes."""
    between = words[before.end : mention.start]
    last = words[mention.end - 1]
    if last not in GARMENTS | HATS or len(between) > _MAX_BETWEEN:
        return False
    if is_clothed:
        return not _JOINTS.isdisjoint(between) or "and" in between
    can_wear = PEOPLE.keys() if last in GARMENTS else PEOPLE.keys() | HEADS.keys()
    return not _JOINTS.isdisjoint(between) and not before.names.isdisjoint(can_wear)
