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

from daguerre.engine.forward import Array, Forward, Outputs

# Noise is this much louder than the largest value of the rows it stands for.
LOUDNESS = 16.0


def is_same(one: Outputs, other: Outputs) -> bool:
    """Bit for bit: unlike ==, tells 0.0 from -0.0, and finds a NaN equal to itself."""
    return len(one) == len(other) and all(
        a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
        for a, b in zip(one, other, strict=True)
    )


Seats: TypeAlias = list[int | None]  # place -> whose rows sit there; None is noise


def _in_order(rows: Sequence[int]) -> Seats:
    return list(range(len(rows)))


def _elsewhere(rows: Sequence[int]) -> Seats:
    """Each job at the next place that has as many rows."""
    seats: Seats = []
    for place, count in enumerate(rows):
        alike = [i for i, other in enumerate(rows) if other == count]
        seats.append(alike[(alike.index(place) + 1) % len(alike)])
    return seats


def _even_beside_noise(rows: Sequence[int]) -> Seats:
    return [None if place % 2 else place for place in range(len(rows))]


def _odd_beside_noise(rows: Sequence[int]) -> Seats:
    return [place if place % 2 else None for place in range(len(rows))]


TRIALS: tuple[Callable[[Sequence[int]], Seats], ...] = (
    _in_order,
    _elsewhere,
    _even_beside_noise,
    _odd_beside_noise,
)


def noise(forward: Forward, generator: np.random.Generator) -> Forward:
    """A forward of the same signature with other values that the network takes."""
    arrays = {name: _noisy(array, generator) for name, array in forward.arrays.items()}
    return Forward(forward.network, {**forward.inputs, **arrays}, forward.stage)


def _noisy(array: Array, generator: np.random.Generator) -> Array:
    if array.dtype.kind in "iub":
        # Whole numbers may be indices into a table: only values that were there are safe.
        return generator.permuted(array.ravel()).reshape(array.shape)
    values = np.abs(array.astype(np.float64))
    peak = np.max(values, initial=1.0, where=np.isfinite(values))
    with np.errstate(over="ignore"):
        loud: Array = (generator.standard_normal(array.shape) * peak * LOUDNESS).astype(array.dtype)
    return loud
