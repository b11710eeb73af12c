"""Batch-invariance checks: the batches that must give each job the bits it gets alone.

An exact merge gives a job the same bits at every position of the batch and with any neighbours.
The checks place the jobs' rows in order, then at other positions, then each next to noise. The
noise is loud, because a runtime that scales by a batch's largest value errs only near a loud row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from daguerre.engine.batching import arrays
from daguerre.engine.forward import ForwardRequest, Outputs

Placement: TypeAlias = list[int | None]  # job at each position of the batch; None is noise


def is_same(one: Outputs, other: Outputs) -> bool:
    """Bitwise equality."""
    return len(one) == len(other) and all(map(arrays.is_same, one, other))


def _in_order(rows: Sequence[int]) -> Placement:
    return list(range(len(rows)))


def _rotated(rows: Sequence[int]) -> Placement:
    """Moves each job to the next position with the same number of rows."""
    placement: Placement = []
    for position, count in enumerate(rows):
        candidates = [i for i, other in enumerate(rows) if other == count]
        placement.append(candidates[(candidates.index(position) + 1) % len(candidates)])
    return placement


def _even_with_noise(rows: Sequence[int]) -> Placement:
    return [None if position % 2 else position for position in range(len(rows))]


def _odd_with_noise(rows: Sequence[int]) -> Placement:
    return [position if position % 2 else None for position in range(len(rows))]


CHECKS: tuple[Callable[[Sequence[int]], Placement], ...] = (
    _in_order,
    _rotated,
    _even_with_noise,
    _odd_with_noise,
)


def noise(forward: ForwardRequest, generator: np.random.Generator) -> ForwardRequest:
    """A forward with the same signature and random values."""
    noisy = {name: arrays.noise(array, generator) for name, array in forward.arrays.items()}
    return ForwardRequest(forward.network, {**forward.inputs, **noisy}, forward.stage)
