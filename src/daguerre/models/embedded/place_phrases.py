"""The places that the phrases of a prompt state or exclude: "a fox in the snow"."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

from daguerre.models.embedded.drawing.scene import TERRAINS
from daguerre.models.embedded.fields import OBJECT_FIELDS, SCENE_FIELDS
from daguerre.models.embedded.mentions import find_mentions, is_adjective, words_of
from daguerre.models.embedded.synonyms import SYNONYMS
from daguerre.models.embedded.weather_phrases import COMPOUNDS

_SNOW = {("in", "the", "snow"), ("in", "snow"), ("in", "deep", "snow"), ("in", "fresh", "snow")} | {
    ("in", "the", depth, "snow") for depth in ("deep", "fresh", "white")
}
_NEGATIONS = frozenset("not never".split())
_MAX_BETWEEN = 2  # words between an object and where it is: "a fox sleeping in the snow"
# Nouns of places that no caption has -> the most similar place.
_LIKE = {
    **dict.fromkeys(("pond", "lagoon"), "lake"),
    **dict.fromkeys(("creek", "stream", "brook", "canal"), "river"),
    **dict.fromkeys(("prairie", "pasture", "grassland"), "meadow"),
    **dict.fromkeys(("woodland", "grove"), "forest"),
    **dict.fromkeys(("gorge", "ravine"), "canyon"),
    **dict.fromkeys(("boulevard", "avenue"), "street"),
    **dict.fromkeys(("seashore", "cove"), "beach"),
    **{"metropolis": "city", "hamlet": "village", "tundra": "snowy field"},
}
_PLACE = re.compile(
    rf"\b(in|on|at|by|over|near|along|across|beside) (an?|the) ({'|'.join(_LIKE)})\b", re.I
)
# Words of any other place.
_PLACES = frozenset(
    word
    for name in (*TERRAINS, *SCENE_FIELDS["setting"])
    for phrase in (name, *SYNONYMS["terrain"].get(name, ()), *SYNONYMS["setting"].get(name, ()))
    for word in phrase.split()
    if name != "snowfield" and word not in ("of", "field", "glowing", "outer", "sky")
).union("town yard avenue path trail track woods roof valley indoors window".split())
_ON_THE_MOON = re.compile(
    r"\b(?:on the moon|(?:surface|ground) of the moon|moon'?s? (?:surface|base|landing|rock|rover)"
    r"|moonscapes?|lunar|craters?|astronauts?|cosmonauts?|aliens?|space|rovers?|rockets?|ufos?)\b"
)
_OUT_OF_WATER = re.compile(r"\b(?:out of|above|over|on) (?:the )?(?:water|waves|sea|ocean)\b")


def with_known_places(prompt: str) -> str:
    """The prompt with places that the network knows: "on a lake" in place of "on a pond"."""
    return _PLACE.sub(lambda found: f"{found[1]} {found[2]} {_LIKE[found[3].lower()]}", prompt)


def stated_terrain(prompt: str, excluded: Collection[str] = ()) -> Mapping[str, str]:
    """The field of the terrain, if an object is in the snow and the prompt has no other place."""
    words = words_of(prompt)
    if "snowfield" in excluded:
        return {}
    if any(word in _PLACES or word.removesuffix("s") in _PLACES for word in words):
        return {}
    for mention in find_mentions(words):
        start, last = mention.end, min(mention.end + _MAX_BETWEEN, len(words))
        while start < last and is_adjective(words[start]):
            start += 1
        is_negated = not _NEGATIONS.isdisjoint(words[mention.end : start])
        if not is_negated and any(_is_at(words, start, phrase) for phrase in _SNOW):
            return {"terrain": "snowfield"}
    return {}


def _is_at(words: Sequence[str], start: int, phrase: Sequence[str]) -> bool:
    """Whether a phrase is at `start`, and not a part of another name: "in the snow globe"."""
    end = start + len(phrase)
    after = "".join(words[end : end + 1])
    return tuple(words[start:end]) == phrase and not re.fullmatch(COMPOUNDS, after)


def is_on_the_moon(words: Sequence[str], moon: int) -> bool:
    """True for "on the moon", a place, at the index of its noun."""
    return [*words[max(0, moon - 2) : moon]] == ["on", "the"]


def excluded_moons(prompt: str) -> frozenset[str]:
    """The objects that are moons, if the prompt is about somebody on the moon."""
    words = words_of(prompt)
    if not any(word == "moon" and is_on_the_moon(words, i) for i, word in enumerate(words)):
        return frozenset()
    return frozenset(name for name in OBJECT_FIELDS["name"] if "moon" in name.split())


def excluded_terrains(prompt: str) -> frozenset[str]:
    """The surface of the moon if the prompt does not name it, and the sea floor above water."""
    text = " ".join(words_of(prompt))
    is_dry = _OUT_OF_WATER.search(text) is not None
    found = {"moonscape": not _ON_THE_MOON.search(text), "underwater": is_dry}
    return frozenset(terrain for terrain, is_excluded in found.items() if is_excluded)
