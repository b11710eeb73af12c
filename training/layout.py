"""The layout of exported weights: the field and value of each row in their tables.

`fields.json` beside the weights describes it, so that weights can be restored by the names of
fields and values after the fields have grown. The server does not read it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from daguerre.models.embedded.fields import MAX_OBJECTS, OBJECT_FIELDS, SCENE_FIELDS

FILE = "fields.json"
MASK = "(mask)"  # the row of "undecided", after the values of a field
Values = Mapping[str, tuple[str, ...]]  # of each field
Row = tuple[int, str, str]  # slot, field, value


@dataclass(frozen=True)
class Layout:
    """The fields of the whole and of each object."""

    scene: Values
    objects: Values
    num_objects: int

    @classmethod
    def current(cls) -> Layout:
        return cls(SCENE_FIELDS, OBJECT_FIELDS, MAX_OBJECTS)

    @classmethod
    def read(cls, folder: Path) -> Layout:
        facts = json.loads((folder / FILE).read_text(encoding="utf-8"))
        scene, objects = (
            {name: tuple(values) for name, values in facts[key].items()}
            for key in ("scene", "objects")
        )
        return cls(scene, objects, facts["num_objects"])

    def write(self, folder: Path) -> None:
        facts = {"num_objects": self.num_objects, "scene": self.scene, "objects": self.objects}
        (folder / FILE).write_text(json.dumps(facts, ensure_ascii=False) + "\n", encoding="utf-8")

    def of_slot(self, slot: int) -> Values:
        return self.objects if slot else self.scene

    def rows(self) -> list[Row]:
        """The values of all fields in order, as in the tables of compatible values."""
        return [row for slot in range(1 + self.num_objects) for row in self._rows(slot)]

    def plain_rows(self, slot: int, *, masks: bool = False) -> list[Row]:
        """The values of a slot's fields without the names; with `masks`, also each mask."""
        return [row for row in self._rows(slot, masks) if row[1] != "name"]

    def embedded_rows(self) -> list[Row]:
        """The values and masks of all fields without the names."""
        slots = range(1 + self.num_objects)
        return [row for slot in slots for row in self.plain_rows(slot, masks=True)]

    def _rows(self, slot: int, masks: bool = False) -> Iterator[Row]:
        for name, values in self.of_slot(slot).items():
            yield from ((slot, name, value) for value in (*values, *([MASK] if masks else [])))


@dataclass(frozen=True)
class Transfer:
    """Rows of one layout found in another; a new slot is found as the other's last one."""

    source: Layout
    target: Layout

    def places(self, known: list[Row], wanted: list[Row]) -> NDArray[np.int64]:
        """(len(wanted),): where each row is among the known ones; -1 for a new value."""
        at = {row: i for i, row in enumerate(known)}
        last = self.source.num_objects
        found = [at.get((min(slot, last), name, value), -1) for slot, name, value in wanted]
        return np.array(found, np.int64)

    def is_known(self, slot: int, name: str) -> bool:
        return name in self.source.of_slot(slot)
