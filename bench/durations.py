"""Durations of a repeated call."""

from __future__ import annotations

import time
from collections.abc import Callable


def durations_s(run: Callable[[], object], *, seconds: float) -> list[float]:
    """Durations of the runs that fit into `seconds`, at least three, after a warm-up."""
    run()
    durations: list[float] = []
    end = time.perf_counter() + seconds
    while len(durations) < 3 or time.perf_counter() < end:
        started = time.perf_counter()
        run()
        durations.append(time.perf_counter() - started)
    return durations
