"""Fields of a scene, their values, and the conversion between a `Scene` and tokens.

A scene has 6 slots: one for the whole (15 fields), and one for each of up to five objects (14
fields). A token is the index of a value in its field; the next index is `mask`, "undecided". The
layout's seed and palette are noise, not fields. Shapes in comments: R rows, F = 85 fields of a
scene, V values of one field.

Trained weights are restored by the names of fields and values. New values are appended to their
field, and new fields to their slot.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daguerre.models.embedded.drawing import SHAPES, Scene, SceneObject, dressing, things
from daguerre.models.embedded.drawing.furnished import FURNISHED
from daguerre.models.embedded.drawing.palette import BACKS, GLOWS, PALETTES
from daguerre.models.embedded.drawing.recolouring import COLOURS
from daguerre.models.embedded.drawing.scene import KINDS, LETTERINGS, RELATIONS, SPOTS, TERRAINS
from daguerre.models.embedded.drawing.style import FILTERS

MAX_OBJECTS = 5
GLOWING_MUSHROOM = "glowing mushroom"  # has a drawing, but no row in the table of things
YES = ("", "yes")
# Object sizes as shares of the short side: 24 steps of 11%.
SIZES = tuple(0.12 * 1.11**i for i in range(24))

SCENE_FIELDS: dict[str, tuple[str, ...]] = {
    "kind": KINDS,
    "terrain": ("", *TERRAINS),
    "setting": ("", "room", "table", "shelf", "window", *FURNISHED),
    "relation": ("", *RELATIONS),
    "style": ("", *FILTERS),
    "time": ("", *PALETTES),
    "weather": ("", "clear", "cloudy", "rain", "snow", "fog", "rainbow", "storm", "aurora"),
    "season": ("", "spring", "summer", "autumn", "winter"),
    "background": ("", *BACKS),
    "ground": ("", "plain", "gradient", "floor", "circle", "stripes", "dots", "checks", "dark"),
    "glow": ("", *GLOWS),
    "sun": YES,
    "moon": YES,
    "lettering": ("", *LETTERINGS),
    "lettering_colour": ("", *COLOURS),
}
OBJECT_FIELDS: dict[str, tuple[str, ...]] = {
    "name": ("", *(t.name for t in things.THINGS), GLOWING_MUSHROOM),
    "count": ("", "0", "1", "2", "3", "4", "5", "6", "7"),
    "stature": ("", "tiny", "small", "big", "giant"),
    "spot": ("", *SPOTS),
    "colour": ("", *dict.fromkeys((*COLOURS, *GLOWS))),
    "flies": YES,
    "is_reflected": YES,
    "glowing": YES,
    "look": ("", "0", "1", "2"),
    "size": ("", *(f"{size:.3f}" for size in SIZES)),
    "flip": YES,
    "pose": ("", *dressing.POSES),
    "outfit": ("", *dressing.OUTFITS),
    "hat": ("", *dressing.HATS),
}


@dataclass(frozen=True)
class Field:
    """One field of a slot; slot 0 is the whole, the others are the objects."""

    slot: int
    name: str
    values: tuple[str, ...]

    @property
    def mask(self) -> int:
        """The token for "undecided"."""
        return len(self.values)

    @cached_property
    def index(self) -> Mapping[str, int]:
        return {value: i for i, value in enumerate(self.values)}


FIELDS: tuple[Field, ...] = (
    *(Field(0, name, values) for name, values in SCENE_FIELDS.items()),
    *(
        Field(s, n, values)
        for s in range(1, MAX_OBJECTS + 1)
        for n, values in OBJECT_FIELDS.items()
    ),
)
AT: dict[tuple[int, str], int] = {(f.slot, f.name): i for i, f in enumerate(FIELDS)}
MASKED: NDArray[np.int64] = np.array([field.mask for field in FIELDS])  # (F,)
# Start of each field's values in the concatenated logits.
STARTS: NDArray[np.int64] = np.cumsum([0, *(len(field.values) for field in FIELDS)])
NUM_LOGITS = int(STARTS[-1])
# The order in which fields are decided: those that fill most of the picture first, and each
# after the fields that it depends on. A name without a number is a field of all slots.
_RANKS = (
    ("kind", "terrain", "name1", "setting", "relation", "name2", "name3", "name4", "name5")
    + ("lettering", "style", "count", "time", "stature", "spot", "pose", "outfit", "hat", "colour")
    + ("background", "weather", "ground", "glow", "season", "flies", "is_reflected", "glowing")
    + ("sun", "moon", "look", "size", "flip", "lettering_colour")
)


def _rank(i: int) -> tuple[int, int]:
    name, slot = FIELDS[i].name, FIELDS[i].slot
    return _RANKS.index(f"name{slot}" if name == "name" else name), slot


ORDER: tuple[int, ...] = tuple(sorted(range(len(FIELDS)), key=_rank))
SHAPE_INDEX = {shape: i for i, shape in enumerate(SHAPES)}


def encode(scene: Scene) -> NDArray[np.int64]:
    """The tokens (F,) of a scene."""
    tokens = np.zeros(len(FIELDS), np.int64)
    for i, field in enumerate(FIELDS):
        if field.slot == 0:
            value = getattr(scene, field.name)
            tokens[i] = field.index["yes" if value is True else value or ""]
        elif field.slot <= len(scene.objects):
            tokens[i] = field.index[_token_value(scene, scene.objects[field.slot - 1], field.name)]
    return tokens


def _token_value(scene: Scene, item: SceneObject, name: str) -> str:
    """The value of one field of an object."""
    if name == "look":
        looks = () if item.name == GLOWING_MUSHROOM else looks_in(item.name, scene.kind)
        return str(looks.index(item.look)) if looks else "0"
    if name == "size":
        nearest = int(np.abs(np.log(np.array(SIZES) / item.size)).argmin())
        return OBJECT_FIELDS["size"][1 + nearest]
    if name == "flies":
        return YES[item.place == "s" and _place(scene.terrain, scene.kind, item.name) != "s"]
    value = getattr(item, name)
    return YES[value] if isinstance(value, bool) else str(value)


@lru_cache(maxsize=2048)
def looks_of(name: str) -> tuple[tuple[str, str], ...]:
    """The looks of a thing by its name."""
    return things.looks(things.BY_NAME[name])


def looks_in(name: str, kind: str) -> tuple[tuple[str, str], ...]:
    """Its looks in a kind of scene; a token of `look` is an index of them."""
    return things.looks_in(things.BY_NAME[name], kind)


def _place(terrain: str, kind: str, name: str) -> str:
    """Where an object is that does not fly: its usual place, or the terrain's only one."""
    if kind == "mixed":
        only = {"space": "s", "underwater": "u"}.get(terrain)
        if only:
            return only
    return "g" if name == GLOWING_MUSHROOM else things.BY_NAME[name].place


def decode(tokens: NDArray[np.int64], shape: tuple[int, int], seed: int, palette: int) -> Scene:
    """The scene of tokens (F,) without masks, in one of `SHAPES`; `seed` decides its layout."""
    values = {(f.slot, f.name): f.values[t] for f, t in zip(FIELDS, tokens.tolist(), strict=True)}
    whole: dict[str, Any] = {name: values[0, name] for name in SCENE_FIELDS}
    whole |= {name: values[0, name] == "yes" for name in ("sun", "moon")}
    items = tuple(
        _object_from_values(whole, {name: values[slot, name] for name in OBJECT_FIELDS})
        for slot in range(1, MAX_OBJECTS + 1)
        if values[slot, "name"]
    )
    if len(items) < (1 if whole["lettering"] else 2):  # a surface can be the other object
        whole["relation"] = ""
    width, height = shape
    return Scene(**whole, width=width, height=height, seed=seed, palette=palette, objects=items)


def _object_from_values(whole: Mapping[str, str], said: Mapping[str, str]) -> SceneObject:
    name = said["name"]
    place = "s" if said["flies"] else _place(whole["terrain"], whole["kind"], name)
    size = float(said["size"] or "0.3")
    count = int(said["count"] or "1")
    flags: dict[str, Any] = {key: said[key] == "yes" for key in ("flip", "glowing", "is_reflected")}
    if name == GLOWING_MUSHROOM:
        colour = said["colour"] if said["colour"] in GLOWS else "blue"
        return SceneObject(name, ("glow", "mushroom"), colour, place, count, size, False, True)
    looks = looks_in(name, whole["kind"])
    look = looks[int(said["look"] or "0") % len(looks)]
    colour = said["colour"] if things.BY_NAME[name].recolourable else ""
    words: dict[str, Any] = {key: said[key] for key in ("stature", "spot", "pose", "outfit", "hat")}
    return SceneObject(name, look, colour, place, count, size, **flags, **words)
