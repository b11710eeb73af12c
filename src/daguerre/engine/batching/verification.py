"""Batch-invariance checks: the batches that must give each job the bits it gets alone.

An exact batch gives a job the same bits at every position of the batch and with any neighbours.
The checks place the jobs' rows in order, then at other positions, then each next to noise. The
noise is loud, because a runtime that scales by a batch's largest value errs only near a loud row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from daguerre.engine.batching import arrays
from daguerre.engine.forward import ForwardRequest, Outputs

Placement: TypeAlias = list[int | None]  # job at each position of the batch; None is noise
NUM_CHECKS = 4


def is_same(one: Outputs, other: Outputs) -> bool:
    """Bitwise equality."""
    return len(one) == len(other) and all(map(arrays.is_same, one, other))


def placements(rows: Sequence[int]) -> list[Placement]:
    """The batch of each check, for jobs with these rows, which ascend."""
    jobs = range(len(rows))
    same_rows = [[job for job in jobs if rows[job] == count] for count in dict.fromkeys(rows)]
    rotated = [job for jobs_of in same_rows for job in (*jobs_of[1:], jobs_of[0])]
    return [
        [*jobs],
        [*rotated],
        [None if job % 2 else job for job in jobs],
        [job if job % 2 else None for job in jobs],
    ]


def noise(forward: ForwardRequest, generator: np.random.Generator) -> ForwardRequest:
    """A forward with the same signature and random values."""
    noisy = {name: arrays.noise(array, generator) for name, array in forward.arrays.items()}
    return ForwardRequest(forward.network, {**forward.inputs, **noisy}, forward.stage)
