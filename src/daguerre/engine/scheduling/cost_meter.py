"""The cost meter: divides the engine's busy time among its jobs.

A job is charged for its rows' share of its forwards and for the time of its pipeline. The rest of
an iteration of the loop is divided evenly among the jobs that took part. Waiting is not charged, so
n jobs take n times the cost of one, whether they run one by one or in batches.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from daguerre.engine.job import Job


class CostMeter:
    """Charges jobs for the busy time. Used by one thread."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._since_s: float | None = None  # everything before is charged; None while idle
        self._charged_s = 0.0

    def charge(self, job: Job, cost_s: float) -> None:
        job.cost_s += cost_s
        self._charged_s += cost_s

    def start_iteration(self) -> None:
        """Starts an iteration of the loop; it includes the time since the last one, if not idle."""
        if self._since_s is None:
            self._since_s, self._charged_s = self._clock(), 0.0

    def end_iteration(self, jobs: Collection[Job]) -> None:
        """Divides the uncharged time among the jobs; without jobs the engine becomes idle."""
        assert self._since_s is not None, "the iteration was not started. This is a bug."
        now_s = self._clock()
        rest_s = max(0.0, now_s - self._since_s - self._charged_s)
        for job in jobs:
            job.cost_s += rest_s / len(jobs)
        self._since_s, self._charged_s = (now_s if jobs else None), 0.0

    def exclude(self, seconds: float) -> None:
        """Charges a part of the current iteration to no job, such as a warm-up."""
        if self._since_s is not None:
            self._since_s += seconds

    def reset(self) -> None:
        """Charges the time since the last iteration to no job."""
        self._since_s = None
