"""What a job costs the engine: all the time in which it is busy, divided among the jobs.

A job is charged its rows' share of its forwards and its own pipeline's time; what lies between, as
passing events on, or not getting the processor, is shared by those of the turn. Waits for others
are not in it, so that n jobs take n times a job's cost, side by side or not.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from daguerre.engine.job import Job


class CostMeter:
    """Called by one thread."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._since_s: float | None = None  # all until then is charged
        self._charged_s = 0.0

    def charge(self, job: Job, cost_s: float) -> None:
        job.cost_s += cost_s
        self._charged_s += cost_s

    def begin(self) -> None:
        """A turn begins; the time since the last one is its, too, if there was work."""
        if self._since_s is None:
            self._since_s, self._charged_s = self._clock(), 0.0

    def end(self, jobs: Collection[Job]) -> None:
        """Of a turn for these jobs; with none left the engine is idle from now on."""
        assert self._since_s is not None, "a turn that was not begun. This is a bug."
        now_s = self._clock()
        rest_s = max(0.0, now_s - self._since_s - self._charged_s)
        for job in jobs:
            job.cost_s += rest_s / len(jobs)
        self._since_s, self._charged_s = (now_s if jobs else None), 0.0

    def leave_out(self, seconds: float) -> None:
        """Of the present turn, for something that is done once and charged to nobody."""
        if self._since_s is not None:
            self._since_s += seconds

    def pause(self) -> None:
        """What happened since the last turn is charged to nobody."""
        self._since_s = None
