"""Which values of different fields may occur together: by the table of things, and as learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import product

import numpy as np
from numpy.typing import NDArray

from daguerre.models.embedded.drawing import figures, things
from daguerre.models.embedded.drawing.hatted import hats_of
from daguerre.models.embedded.drawing.palette import GLOWS
from daguerre.models.embedded.drawing.recolouring import COLOURS
from daguerre.models.embedded.fields import (
    AT,
    FIELDS,
    GLOWING_MUSHROOM,
    MAX_OBJECTS,
    NUM_LOGITS,
    OBJECT_FIELDS,
    STARTS,
    YES,
    Field,
    looks_of,
)


class CompatibilityTables:
    """Which values of different fields occur together, learned from training scenes.

    `together[c][t, f]`, (V of c, NUM_LOGITS) bool: whether value t of field c permits value f.
    Names and colours of objects are permitted wherever any are, so the model may put a known object
    into a landscape that had none like it.
    """

    CONTROLLERS = (
        *("kind", "terrain", "setting", "relation", "style", "time", "weather", "ground"),
        "lettering",
    )

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
        if np.count_nonzero(allowed) == 1:  # as for an absent object
            return allowed
        for c, table in self._together.items():
            if c != field and tokens[c] != FIELDS[c].mask:
                narrowed = allowed & table[tokens[c], span]
                if narrowed.any():
                    allowed = narrowed
        return allowed

    def permitting(
        self, controller: int, field: int, wanted: NDArray[np.bool_]
    ) -> NDArray[np.bool_]:
        """(V of the controller,) bool: its values that permit any of the wanted (V,) of a field."""
        table = self._together.get(controller)
        if table is None or controller == field:
            return np.ones(len(FIELDS[controller].values), bool)
        permits = table[:, STARTS[field] : STARTS[field + 1]] & wanted
        return np.asarray(permits.any(axis=1))

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
    return f"{field.slot}-{field.name}"


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
    return np.array([name in undrawn or bool(looks_of(name)) for name in OBJECT_FIELDS["name"]])


@lru_cache(maxsize=2048)
def _values_of(name: str) -> Mapping[str, Sequence[str]]:
    """The fields whose values depend on a thing, with those values."""
    some: dict[str, Sequence[str]] = {kind: OBJECT_FIELDS[kind][1:] for kind in ("count", "size")}
    if name == GLOWING_MUSHROOM:
        return {**some, "colour": tuple(GLOWS), "look": ("0",), "glowing": YES[1:], "flip": YES[:1]}
    row = things.BY_NAME[name]
    if not any(look[0] == figures.FIGURE for look in looks_of(name)):
        some |= {"pose": ("",), "outfit": ("",), "hat": ("", *hats_of(name))}
    return {
        **some,
        "colour": ("", *COLOURS) if row.recolourable else ("",),
        "look": tuple(str(i) for i in range(len(looks_of(name)))),
        "flip": YES if row.kind in "av" else YES[:1],
    }
