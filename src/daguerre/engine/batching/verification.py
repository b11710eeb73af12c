"""The comparisons that prove a merge: who sits where among the rows, and beside what.

An exact merge gives each job the bits it gets alone, at whatever place among the rows and whatever
its neighbours' values are. So the jobs' real rows are evaluated in order, then at other places,
then each beside noise; the noise is loud, because a runtime that scales by the largest value of a
batch errs beside a loud neighbour only. Knows nothing of networks, time or files.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from daguerre.engine.batching import arrays
from daguerre.engine.forward import ForwardRequest, Outputs


def is_same(one: Outputs, other: Outputs) -> bool:
    """Bit for bit."""
    return len(one) == len(other) and all(map(arrays.is_same, one, other))


Placement: TypeAlias = list[int | None]  # place -> whose rows sit there; None is noise


def _in_order(rows: Sequence[int]) -> Placement:
    return list(range(len(rows)))


def _elsewhere(rows: Sequence[int]) -> Placement:
    """Each job at the next place that has as many rows."""
    seats: Placement = []
    for place, count in enumerate(rows):
        alike = [i for i, other in enumerate(rows) if other == count]
        seats.append(alike[(alike.index(place) + 1) % len(alike)])
    return seats


def _even_beside_noise(rows: Sequence[int]) -> Placement:
    return [None if place % 2 else place for place in range(len(rows))]


def _odd_beside_noise(rows: Sequence[int]) -> Placement:
    return [place if place % 2 else None for place in range(len(rows))]


CHECKS: tuple[Callable[[Sequence[int]], Placement], ...] = (
    _in_order,
    _elsewhere,
    _even_beside_noise,
    _odd_beside_noise,
)


def noise(forward: ForwardRequest, generator: np.random.Generator) -> ForwardRequest:
    """A forward of the same signature with other values that the network takes."""
    noisy = {name: arrays.noise(array, generator) for name, array in forward.arrays.items()}
    return ForwardRequest(forward.network, {**forward.inputs, **noisy}, forward.stage)
