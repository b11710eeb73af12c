"""Batch timings: how long the forwards of each batch configuration take, in this process.

Timings depend on the machine and its load, so they are not stored on disk (certificates are).
"""

from __future__ import annotations

from daguerre.engine.batching.certificates import BatchConfig

# Runs of a configuration before its time is known: the first one warms up, and the minimum of all
# counts. Not more than the number of checks, so that verification also measures.
NUM_TIMED = 3


class BatchTimings:
    """The minimum time of each configuration; that of a job alone has one entry in `rows`."""

    def __init__(self) -> None:
        self._samples: dict[BatchConfig, tuple[int, float]] = {}  # number of runs, minimum time

    def add(self, config: BatchConfig, seconds: float) -> bool:
        """Records a run; returns whether that changes a cost."""
        num, min_s = self._samples.get(config, (0, float("inf")))
        self._samples[config] = num + 1, min(seconds, min_s)
        return num < NUM_TIMED or seconds < min_s

    def cost(self, config: BatchConfig) -> float | None:
        """Time of the batch in units of one job's time alone: 1.0 to the number of jobs.

        None until the batch and its jobs alone are measured.
        """
        batch_s, alone_s = self._min_s(config), self.alone_s(config)
        if batch_s is None or alone_s is None:
            return None
        # If the clock is too coarse to measure a run, the batch counts as no faster.
        return len(config.rows) * (batch_s / alone_s if alone_s else 1.0)

    def alone_s(self, config: BatchConfig) -> float | None:
        """Sum of the jobs' times alone; None if any is unknown."""
        times_s = [self._min_s(config._replace(rows=(count,))) for count in config.rows]
        known_s = [seconds for seconds in times_s if seconds is not None]
        return sum(known_s) if len(known_s) == len(times_s) else None

    def _min_s(self, config: BatchConfig) -> float | None:
        num, min_s = self._samples.get(config, (0, 0.0))
        return min_s if num >= NUM_TIMED else None
