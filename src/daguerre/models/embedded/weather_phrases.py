"""The weather that the phrases of a prompt state: "a cat in the rain"."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence

from daguerre.models.embedded.mentions import Mention, find_mentions, words_of
from daguerre.models.embedded.negation import negated
from daguerre.models.embedded.synonyms import SYNONYMS

_NOUNS = {
    noun: weather
    for weather in ("rain", "snow", "fog", "storm")
    for noun in (weather, *SYNONYMS["weather"][weather])
}
_ADJECTIVES = {"rainy": "rain", "snowy": "snow", "foggy": "fog", "misty": "fog", "stormy": "storm"}
_VERBS = {"raining": "rain", "snowing": "snow"}
_VALUES = {**_NOUNS, **_ADJECTIVES, **_VERBS}
# Words after a noun of weather that make it a part of another name, or a metaphor ("storm of").
COMPOUNDS = (
    r"of|boots?|jackets?|coats?|globes?|suits?|gear|ponchos?|hats?|forests?|drops?|flakes?|clouds?"
    r"|white|leopard'?s?|machines?|angels?|queen'?s?|troopers?|drains?"
)
_PHRASE = re.compile(
    r"(?<!\S)(?:"
    r"(?:in|during) (?:(?:a|the) )?(?:(?:deep|fresh|falling|heavy|light|pouring|thick|dense) )?"
    rf"({'|'.join(_NOUNS)})(?! (?:{COMPOUNDS})(?!\S))"
    rf"|on a ({'|'.join(_ADJECTIVES)}) (?:day|night|morning|afternoon|evening)"
    rf"|(?:it is|it's) ({'|'.join(_VERBS)})"
    r")(?!\S)"
)


def stated_weather(prompt: str, excluded: Collection[str] = ()) -> Mapping[str, str]:
    """The field of the weather, if the prompt states one that is not excluded."""
    words = words_of(prompt)
    phrases = dict(_phrases(words))
    if not phrases:
        return {}
    mentions = sorted((*phrases, *find_mentions(words)), key=lambda mention: mention.start)
    stated = {phrases[phrase] for phrase in phrases.keys() - negated(words, mentions)}
    return {"weather": stated.pop()} if len(stated) == 1 and stated.isdisjoint(excluded) else {}


def _phrases(words: Sequence[str]) -> Iterator[tuple[Mention, str]]:
    """The phrases of weather, as mentions without an object, and their values."""
    text = " ".join(words)
    for found in _PHRASE.finditer(text):
        start, end = (text.count(" ", 0, at) for at in found.span())
        yield Mention(start, end + 1, frozenset()), _VALUES[found[found.lastindex or 0]]
