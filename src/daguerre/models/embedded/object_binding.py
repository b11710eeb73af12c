"""Reads objects and their sides that a prompt states beyond doubt.

"A bench to the left of a bear" names two objects and the side of the first. The network knows most
of such prompts, but sometimes takes a similar object, or the other side. So these objects are fixed
in their order, and so is their side. All other names that the prompt has are preferred where the
network names an object.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from itertools import pairwise, takewhile

from daguerre.models.embedded.clothing import worn
from daguerre.models.embedded.count_binding import (
    ARTICLES,
    NUMBERS,
    Counts,
    bound_counts,
    phrase_start,
)
from daguerre.models.embedded.drawing import things
from daguerre.models.embedded.drawing.plurals import SAME
from daguerre.models.embedded.fields import MAX_OBJECTS
from daguerre.models.embedded.mentions import (
    SPELLINGS,
    Mention,
    find_mentions,
    is_adjective,
    is_complete,
    named_words,
    words_of,
)
from daguerre.models.embedded.negation import negated
from daguerre.models.embedded.place_phrases import is_on_the_moon
from daguerre.models.embedded.relation_phrases import (
    ACTS,
    ANY,
    APART,
    PLACES,
    Relations,
    has_relation,
    is_act,
    possible_relations,
    relations,
)
from daguerre.models.embedded.stature_binding import bound_statures
from daguerre.models.embedded.style_phrases import without_clauses, without_style_phrases
from daguerre.models.embedded.style_tags import tags_of, without_style_tags

_OF = ("left", "right", "side")  # words before "of"
# Names that, before a colour, are a part of it: "a cherry red car".
_SHADES = frozenset(
    "apple blood cherry chocolate coal coffee lemon lime mint olive peach peacock rose salmon snow"
    " strawberry".split()
)
# Words after the last object that may introduce further ones, which have no known name.
_MORE = frozenset(
    "a an with without wearing holding carrying riding eating playing on near next beside behind"
    " under over above below between surrounded full some many several".split()
)
_PORTRAITS = frozenset("close closeup portrait face head".split())  # of an animal: another object
# Words directly after the last object that do not lead to further ones.
_AFTER = frozenset(
    ", . ; : ! ? - | ( by in at from for as during that which seen viewed depicted rendered painted"
    " drawn photographed illustrated imagined shot filmed made crafted".split()
)
# Last words of what describes the whole picture: "with dramatic lighting", "on a plain background".
_LOOKS = frozenset(
    "lighting light lights lit colors colours palette tones shadows shading contrast detail details"
    " texture textures background backdrop style mood atmosphere vibe vibes feel feeling look"
    " aesthetic composition angle perspective view lens bokeh blur focus grain finish effects"
    " resolution quality lines outlines strokes brushwork masterpiece".split()
)
# Words before the first object: "a photo of", "draw me".
_LEADS = frozenset(
    "of is are draw paint me see want need like imagine create generate make show shows showing"
    " depicts please : !".split()
)
_SIDES = frozenset("and left right side top bottom front middle half part".split())
_OTHERS = _SIDES | _MORE - {"a", "an"}
# Verbs that are names, after a plural: "birds fly", "people watch".
_VERBS = frozenset("fly fish watch saw rock box cook ring swing duck drill hook wave".split())
# One name, several people.
_GROUPS = frozenset("family couple people friends children group".split())


@dataclass(frozen=True)
class BoundObjects:
    """What a prompt states: the possible names of the first objects in order, their relations.

    `counts` and `statures` are the possible ones by name. `said` are all names that the prompt has.
    `max_number` is the number of objects, if the prompt has nothing but them and words of style.
    """

    names: tuple[frozenset[str], ...] = ()
    relations: Relations = ANY
    counts: Mapping[str, Counts] = field(default_factory=dict)
    statures: Mapping[str, Collection[str]] = field(default_factory=dict)
    said: frozenset[str] = frozenset()
    max_number: int = MAX_OBJECTS


NO_OBJECTS = BoundObjects()


def bound_objects(prompt: str, excluded: Collection[str] = ()) -> BoundObjects:
    """The objects that a prompt states; nothing is bound if one of them is excluded."""
    words = without_style_tags(without_style_phrases(words_of(prompt)))
    words = without_clauses(words, [mention.end for mention in find_mentions(words)])
    found = _heads(words, list(find_mentions(words)))
    clothes = worn(words, found)
    absent = negated(words, found)
    shown = [mention for mention in found if _is_shown(words, mention)]
    mentions = [m for m in shown if m not in clothes and m not in absent]
    said = frozenset().union(*(m.names for m in mentions))
    if not said.isdisjoint(excluded):
        return BoundObjects(said=said.difference(excluded))
    counts = bound_counts(words, mentions)
    names, found_relations = _stated(words, _clothed(mentions, clothes))
    number = _max_number(words, mentions, names) if mentions == found else MAX_OBJECTS
    if number == 1 and _is_certain(words, mentions[0]):
        names = (mentions[0].names,)
    found_relations &= possible_relations(words, found)
    statures = bound_statures(words, mentions)
    return BoundObjects(names, found_relations, counts, statures, said, number)


def _heads(words: Sequence[str], mentions: Sequence[Mention]) -> Sequence[Mention]:
    """The mentions without those that describe the next one ("a baby dragon"), and without verbs.

    In "a fairy flies", the second name is a verb: it would be a plural after a singular. Some are
    also verbs after a plural ("birds fly"). A word with equal singular and plural describes ("a
    deer statue").
    """
    plural = {m for m in mentions if things.plural_meanings(" ".join(words[m.start : m.end]))}
    plural -= {m for m in mentions if words[m.end - 1] in SAME}
    left_out: set[Mention] = set()
    for first, second in pairwise(mentions):
        if first.end != second.start or first in left_out:
            continue
        verbs = _VERBS if first in plural else ("saw",)
        if words[second.start] in verbs and _is_alive(first):
            left_out.add(second)
        elif first not in plural:
            is_verb = second in plural and words[second.end - 1].endswith("s")
            left_out.add(second if is_verb else first)
    return [mention for mention in mentions if mention not in left_out]


def _is_alive(mention: Mention) -> bool:
    return all(things.BY_NAME[name].kind in ("a", "p") for name in mention.names)


def _clothed(mentions: Sequence[Mention], clothes: Mapping[Mention, Mention]) -> Sequence[Mention]:
    """The mentions with the clothes after them."""
    ends: dict[Mention, int] = {}
    for garment, wearer in clothes.items():
        ends[wearer] = max(ends.get(wearer, wearer.end), garment.end)
    return [replace(mention, end=ends.get(mention, mention.end)) for mention in mentions]


def _max_number(
    words: Sequence[str], mentions: Sequence[Mention], names: Sequence[frozenset[str]]
) -> int:
    """The number of objects, if only style follows them: "a cat, oil painting, 8k"."""
    rest = words[mentions[-1].end :] if mentions else []
    is_known = len(names) == len(mentions) > 0 or (
        len(mentions) == 1 and _GROUPS.isdisjoint(words) and _is_first(words, mentions[0])
    )
    tags = [rest[start:end] for start, end in tags_of(rest)]
    is_style = not rest or rest[0] in _AFTER or not _LOOKS.isdisjoint(tags[0][-1:])
    adds_none = all(_MORE.isdisjoint(tag) or tag[-1] in _LOOKS for tag in tags if tag)
    return len(mentions) if is_known and is_style and adds_none else MAX_OBJECTS


def _is_certain(words: Sequence[str], mention: Mention) -> bool:
    """True for a whole object with an article or a number that is not a landscape."""
    is_determined = _start(words, mention, frozenset()) is not None
    is_whole = is_complete(words, mention) and _PORTRAITS.isdisjoint(words)
    return is_determined and is_whole and PLACES.isdisjoint(mention.names)


def _is_shown(words: Sequence[str], mention: Mention) -> bool:
    """False for "a painting of", colours ("cherry red") and the ground of "on the moon"."""
    after = "".join(words[mention.end : mention.end + 1])
    if words[mention.start : mention.end] == ["moon"] and is_on_the_moon(words, mention.start):
        return False
    return after != "of" and not (words[mention.end - 1] in _SHADES and after in SPELLINGS)


def _stated(
    words: Sequence[str], mentions: Sequence[Mention]
) -> tuple[tuple[frozenset[str], ...], Relations]:
    """The names in order and the relation, if no other object is determined."""
    nothing: tuple[tuple[frozenset[str], ...], Relations] = ((), ANY)
    named = named_words(mentions)
    determined = [
        m for m in mentions if _start(words, m, named) is not None or has_relation(words, m.end)
    ]
    if not 2 <= len(determined) <= MAX_OBJECTS or not is_complete(words, determined[-1]):
        return nothing
    if not _is_first(words, determined[0], named):
        return nothing
    pairs = list(pairwise(determined))
    found = [_relation(words, first, second, named) for first, second in pairs]
    known = list(takewhile(lambda relations: relations is not None, found))
    together = ANY.intersection(*filter(None, known))
    is_fixed = together < APART and not together <= ACTS
    if not known or (is_fixed and len(pairs) > 1) or "middle" in words:
        return nothing
    names = tuple(mention.names for mention in determined[: len(known) + 1])
    if any(not a.isdisjoint(b) for i, a in enumerate(names) for b in names[:i]):
        return nothing
    return names, together


def _is_first(words: Sequence[str], mention: Mention, named: Set[int] = frozenset()) -> bool:
    """True if no word before an object may name another one."""
    start = mention.start
    while start > 0 and start - 1 not in named and is_adjective(words[start - 1]):
        if words[start - 1] in _LEADS or words[start - 1] in NUMBERS:
            break
        start -= 1
    while start > 0 and (words[start - 1] in ARTICLES or words[start - 1] in NUMBERS):
        start -= 1
    before = [word for word in words[:start] if word not in ("a", "an")]
    is_led = not before or before[-1] in _LEADS
    return is_led and len(words[:start]) - len(before) < 2 and _OTHERS.isdisjoint(before)


def _relation(
    words: Sequence[str], first: Mention, second: Mention, named: Set[int]
) -> Relations | None:
    """What the words between two objects say; None if they say something else."""
    start = _start(words, second, named)
    return None if start is None else relations(first, words[first.end : start], second)


def _start(words: Sequence[str], mention: Mention, named: Set[int]) -> int | None:
    """Where the article or number of a mention is, or its first word after a side; or None."""
    start = phrase_start(words, mention, named)
    before, side = words[start - 1] if start else "", words[start - 2] if start > 1 else ""
    if before in ARTICLES or before in NUMBERS:
        return start - 1
    is_second = before in ("above", "below") or (before == "of" and side in _OF)
    is_acted_on = is_act(words[start - 1 : start]) or is_act(words[start - 2 : start])
    return (
        start
        if is_second or (is_acted_on and not named.isdisjoint((start - 2, start - 3)))
        else None
    )
