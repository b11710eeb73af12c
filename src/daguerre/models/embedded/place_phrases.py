"""The places that the phrases of a prompt state or exclude: "a fox in the snow"."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

from daguerre.models.embedded.drawing.scene import TERRAINS
from daguerre.models.embedded.fields import SCENE_FIELDS
from daguerre.models.embedded.mentions import find_mentions, is_adjective, words_of
from daguerre.models.embedded.synonyms import SYNONYMS
from daguerre.models.embedded.weather_phrases import COMPOUNDS

_SNOW = {("in", "the", "snow"), ("in", "snow"), ("in", "deep", "snow"), ("in", "fresh", "snow")} | {
    ("in", "the", depth, "snow") for depth in ("deep", "fresh", "white")
}
_NEGATIONS = frozenset("not never".split())
_MAX_BETWEEN = 2  # words between an object and where it is: "a fox sleeping in the snow"
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


def excluded_terrains(prompt: str) -> frozenset[str]:
    """The surface of the moon if the prompt does not name it, and the sea floor above water."""
    text = " ".join(words_of(prompt))
    is_dry = _OUT_OF_WATER.search(text) is not None
    found = {"moonscape": not _ON_THE_MOON.search(text), "underwater": is_dry}
    return frozenset(terrain for terrain, is_excluded in found.items() if is_excluded)
