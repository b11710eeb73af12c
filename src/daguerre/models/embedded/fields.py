"""Fields of a scene, their values, and the conversion between a `Scene` and tokens.

A scene has 4 slots: one for the whole (13 fields), and one for each of up to three objects (11
fields). A token is the index of a value in its field; the next index is `mask`, "undecided". The
layout's seed and palette are noise, not fields. Shapes in comments: R rows, F = 46 fields of a
scene, V values of one field.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daguerre.models.embedded.drawing import SHAPES, Scene, SceneObject, things
from daguerre.models.embedded.drawing.palette import BACKS, GLOWS, PALETTES
from daguerre.models.embedded.drawing.picture import ELSEWHERE, LAND, WATER
from daguerre.models.embedded.drawing.recolouring import COLOURS
from daguerre.models.embedded.drawing.scene import KINDS, RELATIONS, SPOTS, TIMELESS
from daguerre.models.embedded.drawing.style import FILTERS

MAX_OBJECTS = 3
GLOWING_MUSHROOM = "glowing mushroom"  # has a drawing, but no row in the table of things
YES = ("", "yes")
# Object sizes as shares of the short side: 24 steps of 11%.
SIZES = tuple(0.12 * 1.11**i for i in range(24))

SCENE_FIELDS: dict[str, tuple[str, ...]] = {
    "kind": KINDS,
    "terrain": ("", *LAND, *WATER, *ELSEWHERE),
    "setting": ("", "room", "table", "shelf", "window"),
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
}
OBJECT_FIELDS: dict[str, tuple[str, ...]] = {
    "name": ("", *(t.name for t in things.THINGS), GLOWING_MUSHROOM),
    "count": ("", "0", "1", "2", "3", "4", "5"),
    "stature": ("", "tiny", "small", "big", "giant"),
    "spot": ("", *SPOTS),
    "colour": ("", *dict.fromkeys((*COLOURS, *GLOWS))),
    "flies": YES,
    "is_reflected": YES,
    "glowing": YES,
    "look": ("", "0", "1", "2"),
    "size": ("", *(f"{size:.3f}" for size in SIZES)),
    "flip": YES,
}


@dataclass(frozen=True)
class Field:
    """One field of a slot; slot 0 is the whole, slots 1 to 3 are the objects."""

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
# after the fields that it depends on. No two objects are named at one step, which could name
# one twice. A name without a number is a field of all slots.
_RANKS = (
    ("kind", "terrain", "name1", "setting", "relation", "name2", "name3", "style", "count")
    + ("time", "stature", "spot", "colour", "background", "weather", "ground", "glow", "season")
    + ("flies", "is_reflected", "glowing", "sun", "moon", "look", "size", "flip")
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
        looks = () if item.name == GLOWING_MUSHROOM else _looks(item.name)
        return str(looks.index(item.look)) if looks else "0"
    if name == "size":
        nearest = int(np.abs(np.log(np.array(SIZES) / item.size)).argmin())
        return OBJECT_FIELDS["size"][1 + nearest]
    if name == "flies":
        return YES[item.place == "s" and _place(scene.terrain, scene.kind, item.name) != "s"]
    value = getattr(item, name)
    return YES[value] if isinstance(value, bool) else str(value)


@lru_cache(maxsize=2048)
def _looks(name: str) -> tuple[tuple[str, str], ...]:
    return things.looks(things.BY_NAME[name])


def _place(terrain: str, kind: str, name: str) -> str:
    """Where an object is that does not fly: its usual place, or the terrain's only one."""
    if kind == "mixed" and terrain in TIMELESS:
        return {"space": "s", "underwater": "u"}[terrain]
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
    width, height = shape
    return Scene(**whole, width=width, height=height, seed=seed, palette=palette, objects=items)


def _object_from_values(whole: Mapping[str, str], said: Mapping[str, str]) -> SceneObject:
    name = said["name"]
    place = "s" if said["flies"] else _place(whole["terrain"], whole["kind"], name)
    size = float(said["size"] or "0.3")
    count = int(said["count"] or "1")
    flags = {key: said[key] == "yes" for key in ("flip", "glowing", "is_reflected")}
    if name == GLOWING_MUSHROOM:
        colour = said["colour"] if said["colour"] in GLOWS else "blue"
        return SceneObject(name, ("glow", "mushroom"), colour, place, count, size, False, True)
    looks = _looks(name)
    look = looks[int(said["look"] or "0") % len(looks)]
    colour = said["colour"] if things.BY_NAME[name].recolourable else ""
    stature, spot = said["stature"], said["spot"]
    return SceneObject(name, look, colour, place, count, size, stature=stature, spot=spot, **flags)


class CompatibilityTables:
    """Which values of different fields occur together, learned from training scenes.

    `together[c][t, f]`, (V of c, NUM_LOGITS) bool: whether value t of field c permits value f.
    Names and colours of objects are permitted wherever any are, so the model may put a known object
    into a landscape that had none like it.
    """

    CONTROLLERS = ("kind", "terrain", "setting", "relation", "style", "time", "weather", "ground")

    def __init__(self, together: Mapping[int, NDArray[np.bool_]]) -> None:
        self._together = dict(together)

    @classmethod
    def learn(cls, tokens: NDArray[np.int64]) -> CompatibilityTables:
        """Learns the tables from tokens (n, F) of many scenes."""
        chosen = [AT[0, name] for name in cls.CONTROLLERS]
        chosen += [AT[s, n] for s in range(1, MAX_OBJECTS + 1) for n in ("stature", "spot")]
        flat = tokens + STARTS[:-1]  # (n, F) indices into the logits
        tables = {}
        for c in chosen:
            table = np.zeros((len(FIELDS[c].values), NUM_LOGITS), bool)
            for value in range(len(table)):
                table[value, np.unique(flat[tokens[:, c] == value])] = True
            tables[c] = generalized(table)
        return cls(tables)

    def allowed(self, field: int, tokens: NDArray[np.int64]) -> NDArray[np.bool_]:
        """(V,) bool: values of a field that are compatible with the decided ones in tokens (F,).

        If no value is left, later fields are ignored.
        """
        span = slice(STARTS[field], STARTS[field + 1])
        allowed = _of_the_thing(field, tokens)
        for c, table in self._together.items():
            if c != field and tokens[c] != FIELDS[c].mask:
                narrowed = allowed & table[tokens[c], span]
                if narrowed.any():
                    allowed = narrowed
        return allowed

    def arrays(self) -> dict[str, NDArray[np.bool_]]:
        """The tables as they are stored in rules.npz."""
        return {_stored_name(FIELDS[c]): table for c, table in self._together.items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.bool_]]) -> CompatibilityTables:
        """Reads what `arrays` returns."""
        fields = {_stored_name(field): i for i, field in enumerate(FIELDS)}
        return cls({fields[name]: array for name, array in arrays.items()})


def generalized(table: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """A table (V, NUM_LOGITS) that permits all names, or colours, of an object where it had any."""
    found = table.copy()
    for slot, name in product(range(1, MAX_OBJECTS + 1), ("name", "colour")):
        values = slice(STARTS[AT[slot, name]] + 1, STARTS[AT[slot, name] + 1])
        found[:, values] = table[:, values].any(axis=1, keepdims=True)
    return found


def _stored_name(field: Field) -> str:
    """The weights, which are fixed by their digest, call the style "manner"."""
    return f"{field.slot}-{'manner' if field.name == 'style' else field.name}"


def _of_the_thing(field: int, tokens: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(V,) bool: the values that the table of things and the art permit for the field."""
    values = FIELDS[field].values
    every_value = np.ones(len(values), bool)
    slot, kind = FIELDS[field].slot, FIELDS[field].name
    if slot == 0:
        return every_value
    if kind == "name":
        return _drawable() & ~_named(field, tokens)
    token = tokens[AT[slot, "name"]]
    if token == FIELDS[AT[slot, "name"]].mask:
        return every_value
    name = FIELDS[AT[slot, "name"]].values[token]
    if not name:
        return np.array([not value for value in values])
    permitted = _values_of(name).get(kind)
    return every_value if permitted is None else np.array([value in permitted for value in values])


def _named(field: int, tokens: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(V,) bool: the names of the scene's other objects."""
    is_named = np.zeros(len(FIELDS[field].values), bool)
    for slot in range(1, MAX_OBJECTS + 1):
        other = AT[slot, "name"]
        if other != field and 0 < tokens[other] < FIELDS[other].mask:
            is_named[tokens[other]] = True
    return is_named


@lru_cache(maxsize=1)
def _drawable() -> NDArray[np.bool_]:
    """(V,) bool: the names that have art, and the empty name."""
    undrawn = ("", GLOWING_MUSHROOM)
    return np.array([name in undrawn or bool(_looks(name)) for name in OBJECT_FIELDS["name"]])


@lru_cache(maxsize=2048)
def _values_of(name: str) -> Mapping[str, Sequence[str]]:
    """The fields whose values depend on a thing, with those values."""
    some = {kind: OBJECT_FIELDS[kind][1:] for kind in ("count", "size")}
    if name == GLOWING_MUSHROOM:
        return {**some, "colour": tuple(GLOWS), "look": ("0",), "glowing": YES[1:], "flip": YES[:1]}
    row = things.BY_NAME[name]
    return {
        **some,
        "colour": ("", *COLOURS) if row.recolourable else ("",),
        "look": tuple(str(i) for i in range(len(_looks(name)))),
        "flip": YES if row.kind in "av" else YES[:1],
    }
