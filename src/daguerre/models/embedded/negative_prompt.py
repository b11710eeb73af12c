"""Values of a scene's fields that a negative prompt excludes by name.

The network also reads the negative prompt, but if both prompts name the same thing, it follows the
prompt. Names in the negative prompt exclude things, places, rooms, hours, weather, the sun, the
moon and backgrounds strictly.
"""

from __future__ import annotations

from collections.abc import Mapping

from daguerre.models.embedded.drawing import things
from daguerre.models.embedded.drawing.palette import BACKS
from daguerre.models.embedded.fields import GLOWING_MUSHROOM, SCENE_FIELDS

# Other names of a field's values, in the singular.
_ALSO: dict[str, dict[str, tuple[str, ...]]] = {
    "terrain": {
        "mountains": ("mountain", "peak"),
        "hills": ("hill",),
        "desert": ("dune", "sand dune"),
        "forest": ("wood",),
        "meadow": ("field of flowers",),
        "jungle": ("rainforest",),
        "snowfield": ("snow", "snowy field"),
        "city": ("skyline", "skyscraper"),
        "sea": ("ocean",),
        "islands": ("island",),
        "underwater": ("sea floor",),
        "space": ("outer space",),
        "mushrooms": ("mushroom", "glowing mushroom"),
        "flowers": ("glowing flower",),
        "street": ("city street", "alley"),
        "park": ("playground",),
        "garden": ("backyard",),
        "waterfront": ("skyline",),
        "harbour": ("harbor", "port"),
        "moonscape": ("moon surface", "lunar landscape"),
    },
    "setting": {"cafe": ("coffee shop", "restaurant"), "stage": ("theatre", "theater")},
    "time": {
        "dawn": ("sunrise",),
        "day": ("daylight",),
        "dusk": ("twilight",),
        "night": ("night sky",),
    },
    "weather": {
        "cloudy": ("cloud",),
        "fog": ("mist",),
        "storm": ("thunderstorm", "lightning"),
        "aurora": ("northern lights",),
    },
    "background": {name: (f"{name} background",) for name in BACKS},
}
_NO_NAMES = {"", "clear", *BACKS}  # values that are ambiguous alone: "blue" is not a background


def excluded_values(negative_prompt: str) -> Mapping[str, frozenset[str]]:
    """Field (a key of `SCENE_FIELDS` or `OBJECT_FIELDS`) -> the values that the words name."""
    said = frozenset(things.phrases(negative_prompt))
    excluded = {
        field: frozenset(value for value in SCENE_FIELDS[field] if _is_said(field, value, said))
        for field in _ALSO
    }
    excluded |= {field: frozenset({"yes"} if field in said else ()) for field in ("sun", "moon")}
    mushrooms = {GLOWING_MUSHROOM} if "mushrooms" in excluded["terrain"] else set()
    excluded["name"] = things.named(negative_prompt) | mushrooms
    return {field: values for field, values in excluded.items() if values}


def _is_said(field: str, value: str, said: frozenset[str]) -> bool:
    names = set(_ALSO[field].get(value, ()))
    if value not in _NO_NAMES:
        names.add(value)
    return bool(names & said)
