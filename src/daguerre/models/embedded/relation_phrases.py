"""Words between two objects of a prompt, and the relations of the first to the second."""

from __future__ import annotations

from collections.abc import Sequence

from daguerre.models.embedded.drawing import things
from daguerre.models.embedded.drawing.mounts import RIDEABLE
from daguerre.models.embedded.drawing.people import PEOPLE
from daguerre.models.embedded.drawing.scene import RELATIONS, TERRAINS
from daguerre.models.embedded.drawing.vessels import CROWNS, GLASSES, VESSELS
from daguerre.models.embedded.mentions import Mention
from daguerre.models.embedded.synonyms import SYNONYMS

Relations = frozenset[str]
ANY: Relations = frozenset(("", *RELATIONS))
APART = ANY - {"in"}  # what the network may choose for other verbs: "a cat chasing a butterfly"
# Objects that others can be in.
CONTAINERS = frozenset((*VESSELS, *GLASSES, *CROWNS))
_INSIDE = ("in", "inside", "into", "within", "from")
ACTS = Relations({"riding", "holding"})
_PHRASES: dict[tuple[str, ...], Relations] = {
    **{(joint,): ANY for joint in ("and", ",", "&", "plus")},
    (",", "and"): ANY,
    **{
        (*before, side, "of"): Relations({side})
        for side in ("left", "right")
        for before in ((), ("to", "the"), ("on", "the"), ("at", "the"))
    },
    **{
        (place, "the", side, "side", "of"): Relations({side})
        for side in ("left", "right")
        for place in ("on", "to", "at")
    },
    **{
        (*before, side): Relations({side})
        for side in ("above", "below")
        for before in ((), ("directly",))
    },
    **{
        (*before, verb): Relations({"holding"})
        for verb in ("holding", "carrying")
        for before in ((), ("who",))
    },
    **{("hatching", *place): Relations({"in"}) for place in (("from",), ("out", "of"))},
}
# Where the second object is; the network chooses the relation.
_NEAR = frozenset(
    (*before, *place)
    for place in (
        *(("next", "to"), ("beside",), ("near",), ("close", "to"), ("behind",), ("under",)),
        *(("underneath",), ("in", "front", "of")),
    )
    for before in ((), ("right",))
)
_RIDING = frozenset(
    (*before, *verb)
    for verb in (("riding",), ("riding", "on"), ("flying", "on"), ("on",))
    for before in ((), ("who",))
)
# Objects whose name is also that of a landscape or a view.
PLACES = frozenset("window coral wave earth moon star sun".split() + ["desert island"]).union(
    name
    for terrain in ("", *TERRAINS)
    for word in (terrain, *SYNONYMS["terrain"].get(terrain, ()))
    for name in things.meanings(word)
)
_SIDES = [phrase for phrase, found in _PHRASES.items() if len(found) == 1]
_STANDING = frozenset("is are was sits lies placed sitting standing located positioned".split())
_PRONOUNS = ("who", "that", "which")
# Before the second object, after a verb: "hatching from an egg".
_PREPOSITIONS = ("from", "at", "with", "after", "towards", "toward")
# Verbs whose object is worn, written, or a picture.
_OTHER_VERBS = frozenset(
    "wearing including containing featuring showing depicting displaying resembling being looking"
    " overlooking having saying during surrounding evening morning bearing waving raising".split()
)


def is_act(words: Sequence[str]) -> bool:
    """True for a verb with "-ing", and perhaps a preposition: "chasing", "playing with"."""
    verb, *after = [word for word in words if word not in _PRONOUNS] or [""]
    is_verb = verb.endswith("ing") and len(verb) > 4 and verb not in _OTHER_VERBS
    return is_verb and (not after or (len(after) == 1 and after[0] in _PREPOSITIONS))


def has_relation(words: Sequence[str], end: int) -> bool:
    """True if words of a relation follow the object before `end`: "broccoli left of a cup"."""
    return is_act(words[end : end + 1]) or any(
        tuple(words[end : end + len(phrase)]) == phrase for phrase in _SIDES
    )


def possible_relations(words: Sequence[str], mentions: Sequence[Mention]) -> Relations:
    """Any relation, but "in" only if one of several objects is a container, or is said to be."""
    starts = [words[max(0, m.start - 4) : m.start] for m in mentions]
    is_inside = any(word in _INSIDE for before in starts for word in before)
    is_inside |= any(not m.names.isdisjoint(CONTAINERS) for m in mentions)
    return ANY if is_inside or len(mentions) < 2 else APART


def relations(first: Mention, words: Sequence[str], second: Mention) -> Relations | None:
    """The possible relations by the words between two objects; None if they say something else."""
    between = tuple(word for word in words if word not in _STANDING)
    if between in _PHRASES:
        is_vessel = not first.names.isdisjoint(CONTAINERS)
        return None if is_vessel and _PHRASES[between] <= ACTS else _PHRASES[between]
    if between in _RIDING and (between != ("on",) or not first.names.isdisjoint(PEOPLE)):
        if not second.names.isdisjoint(RIDEABLE):
            return Relations({"riding"})
        return None if between[-1] == "on" else ANY  # riders of a bus are not drawn on it
    if between in _NEAR or is_act([word for word in words if word not in ("is", "are")]):
        found = ANY if between[-1] == "from" else APART  # "hatching from an egg"
        return found if second.names.isdisjoint(PLACES) else None
    return None
