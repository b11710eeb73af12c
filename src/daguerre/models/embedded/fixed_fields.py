"""Values of a scene's fields that the words of a prompt fix, in place of the network."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from daguerre.models.embedded.compatibility import CompatibilityTables
from daguerre.models.embedded.fields import AT, FIELDS, MAX_OBJECTS
from daguerre.models.embedded.object_binding import BoundObjects
from daguerre.models.embedded.relation_phrases import ANY

Mask = NDArray[np.bool_]
# Fields that are decided before the objects, and must permit what is fixed.
_BEFORE = ("kind", "terrain", "setting", "relation")
# Added to the logits of names that the prompt has, where the network chooses among names.
PREFERENCE = 3.0


class FixedFields:
    """What `objects` and `colours` (object -> colour) fix; both come from the same prompt."""

    def __init__(
        self, rules: CompatibilityTables, colours: Mapping[str, str], objects: BoundObjects
    ) -> None:
        exact = {name: frozenset({colour}) for name, colour in colours.items()}
        self._by_name = {"colour": exact, "count": objects.counts, "stature": objects.statures}
        self._masks = dict(_stated(objects))
        fixed = list(self._masks.items())
        for before in (AT[0, name] for name in _BEFORE):
            for field, mask in fixed:  # as many as the tables permit together
                permitted = rules.permitting(before, field, mask)
                narrowed = permitted & self._masks.get(before, permitted)
                if narrowed.any():
                    self._masks[before] = narrowed
        self._said = _mask(AT[1, "name"], objects.said)

    def values(self, field: int, tokens: NDArray[np.int64]) -> Mask | None:
        """(V,) bool: the fixed values of a field; None if it is free."""
        by_name = self._by_name.get(FIELDS[field].name)
        if by_name is None:
            return self._masks.get(field)
        names = FIELDS[AT[FIELDS[field].slot, "name"]]
        token = tokens[AT[names.slot, "name"]]
        values = by_name.get(names.values[token]) if token != names.mask else None
        return None if values is None else _mask(field, values)

    def preferred(self, field: int, scores: NDArray[np.floating]) -> NDArray[np.floating]:
        """The scores (V,) of a field; names that the prompt has are raised if any name wins."""
        if FIELDS[field].name != "name" or scores.argmax() == 0:
            return scores
        raised: NDArray[np.floating] = scores + PREFERENCE * self._said
        return raised


def _stated(objects: BoundObjects) -> Iterator[tuple[int, Mask]]:
    """The fields of the relation, the names, also of those that stay empty, and their counts."""
    if objects.relations != ANY:
        field = AT[0, "relation"]
        yield field, _mask(field, objects.relations)
    for slot, names in enumerate(objects.names, 1):
        field = AT[slot, "name"]
        yield field, _mask(field, names)
    for slot, numbers in enumerate(_numbers(objects), 1):
        if numbers:
            field = AT[slot, "count"]
            yield field, _mask(field, numbers)
    for slot in range(objects.max_number + 1, MAX_OBJECTS + 1):
        field = AT[slot, "name"]
        yield field, _mask(field, {""})


def _numbers(objects: BoundObjects) -> Iterator[frozenset[str]]:
    """The number of each object in order; the first one of an unknown order has any that is said.

    Kinds of scenes with one object do not permit several copies. A plural alone ("mountains at
    sunset", "a pattern of lemons") leaves the kind open.
    """
    numbers = {name: found for name, found in objects.counts.items() if len(found) == 1}
    for names in objects.names:
        is_stated = names <= numbers.keys()
        yield frozenset().union(*map(numbers.__getitem__, names)) if is_stated else frozenset()
    if not objects.names:
        yield frozenset().union(*(found for found in numbers.values() if "1" not in found))


def _mask(field: int, values: Collection[str]) -> Mask:
    found = np.zeros(len(FIELDS[field].values), bool)
    found[[FIELDS[field].index[value] for value in values]] = True
    return found
