"""The weather that the phrases of a prompt state: "a cat in the rain"."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

_OF = {
    "rain": "rain",
    "downpour": "rain",
    "rainy": "rain",
    "raining": "rain",
    "snow": "snow",
    "blizzard": "snow",
    "snowstorm": "snow",
    "snowing": "snow",
    "fog": "fog",
    "mist": "fog",
    "foggy": "fog",
    "misty": "fog",
    "storm": "storm",
    "thunderstorm": "storm",
    "stormy": "storm",
}
_PHRASE = re.compile(
    r"(?<!not )\b(?:"
    r"(?:in|during) (?:(?:a|the) )?(?:(?:deep|fresh|falling|heavy|light|pouring|thick|dense) )?"
    r"(rain|downpour|snow|blizzard|snowstorm|fog|mist|storm|thunderstorm)"
    r"|on a (rainy|foggy|misty|stormy) (?:day|night|morning|evening)"
    r"|(?:it is|it's|while it is|while it's) (raining|snowing)"
    r")\b(?! (?:boots?|jackets?|coats?|globes?|suits?|storm))"
)


def stated_weather(prompt: str, excluded: Collection[str] = ()) -> Mapping[str, str]:
    """The field of the weather, if the prompt states one that is not excluded."""
    words = " ".join(prompt.lower().replace("’", "'").split())
    found = {_OF[next(filter(None, groups))] for groups in _PHRASE.findall(words)}
    return {"weather": found.pop()} if len(found) == 1 and found.isdisjoint(excluded) else {}
