"""Batch timings: how long the forwards of each batch configuration take, in this process.

Timings depend on the machine and its load, so they are not stored on disk (certificates are).
"""

from __future__ import annotations

from dataclasses import dataclass

from daguerre.engine.batching.certificates import BatchConfig

# Runs of a configuration before its time is known: the first one warms up, and the minimum of all
# counts. Not more than the number of checks, so that verification also measures.
NUM_TIMED = 3


@dataclass(slots=True)
class _Samples:
    num: int = 0
    min_s: float = float("inf")


class BatchTimings:
    """The minimum time of each configuration; one with a single job is a run alone."""

    def __init__(self) -> None:
        self._samples: dict[BatchConfig, _Samples] = {}

    def add(self, config: BatchConfig, seconds: float) -> bool:
        """Records a run; returns whether that changes a cost."""
        samples = self._samples.setdefault(config, _Samples())
        samples.num += 1
        is_change = samples.num <= NUM_TIMED or seconds < samples.min_s
        samples.min_s = min(samples.min_s, seconds)
        return is_change

    def has_times_alone(self, config: BatchConfig) -> bool:
        """Whether the time alone of each job is known, which a cost needs."""
        return self._alone_s(config) is not None

    def cost(self, config: BatchConfig) -> float | None:
        """Time of the batch in units of one job's time alone: 1.0 to the number of jobs.

        None until the batch and its jobs alone are measured.
        """
        batch_s, alone_s = self._min_s(config), self._alone_s(config)
        if batch_s is None or alone_s is None:
            return None
        # If the clock is too coarse to measure a run, the batch counts as no faster.
        return len(config.rows) * (batch_s / alone_s if alone_s else 1.0)

    def _alone_s(self, config: BatchConfig) -> float | None:
        """Sum of the jobs' times alone."""
        times_s = [self._min_s(config._replace(rows=(count,))) for count in config.rows]
        known_s = [seconds for seconds in times_s if seconds is not None]
        return sum(known_s) if len(known_s) == len(times_s) else None

    def _min_s(self, config: BatchConfig) -> float | None:
        samples = self._samples.get(config)
        return samples.min_s if samples and samples.num >= NUM_TIMED else None
