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
from daguerre.models.embedded.synonyms import SYNONYMS

_NO_NAMES = {"", "clear", *BACKS}  # values that are ambiguous alone: "blue" is not a background


def excluded_values(negative_prompt: str) -> Mapping[str, frozenset[str]]:
    """Field (a key of `SCENE_FIELDS` or `OBJECT_FIELDS`) -> the values that the words name."""
    said = frozenset(things.phrases(negative_prompt))
    excluded = {
        field: frozenset(value for value in SCENE_FIELDS[field] if _is_said(field, value, said))
        for field in SYNONYMS
    }
    excluded |= {field: frozenset({"yes"} if field in said else ()) for field in ("sun", "moon")}
    mushrooms = {GLOWING_MUSHROOM} if "mushrooms" in excluded["terrain"] else set()
    excluded["name"] = things.named(negative_prompt) | mushrooms
    return {field: values for field, values in excluded.items() if values}


def _is_said(field: str, value: str, said: frozenset[str]) -> bool:
    names = set(SYNONYMS[field].get(value, ()))
    if value not in _NO_NAMES:
        names.add(value)
    return bool(names & said)
