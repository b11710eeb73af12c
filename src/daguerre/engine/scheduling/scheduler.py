"""The scheduler: chooses the jobs of the next forward.

Jobs of one batch class, such as one model and image size, ask for the same networks and shapes. The
class that has waited longest gets the next forward, so a class waits for at most one forward of
each other class.

Within a class, jobs run first come, first served, with tenants alternating. The next forward is
that of the first job, in a batch with other jobs that wait for the same key, if that is exact and
fast enough. Where batching does not help, the first job thus runs to its end: n jobs end after 1,
2 ... n times a job's time, and not all after about n times. If the batch of the first job can hold
another one, encode forwards of other jobs run before it, so that the next step can batch them.

A job that costs n times the usual uses n turns: other tenants' jobs then run between its forwards.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from daguerre.engine.scheduling.fair_queue import FairQueue, VirtualClock
from daguerre.engine.scheduling.usual_cost import UsualCosts


@dataclass(frozen=True, slots=True)
class PendingForward:
    """A forward that a job waits for; those with equal keys fit into one batch."""

    batch_key: Hashable
    rows: int
    is_encode: bool = False


# (batch key, rows of each job that waits for it, first job first) -> how many jobs form the batch
NumBatchJobs: TypeAlias = Callable[[Hashable, Sequence[int]], int]


@dataclass(slots=True)
class _JobState:
    tenant: str
    batch_class: Hashable
    turn: int = 0
    num_turns: int = 1  # that its cost has used so far
    pending: PendingForward | None = None
    has_begun: bool = False


class Scheduler:
    """Queues jobs, runs up to `max_running_jobs` of them, and batches their forwards.

    Jobs are numbers that increase with arrival.
    """

    def __init__(self, max_running_jobs: int, num_batch_jobs: NumBatchJobs) -> None:
        self._max_running = max_running_jobs
        self._num_batch_jobs = num_batch_jobs
        self._states: dict[int, _JobState] = {}
        self._queue = FairQueue()
        self._running: list[int] = []  # by turn, then by arrival
        self._clock = VirtualClock()  # of the running jobs
        self._usual_costs = UsualCosts()
        self._last_served: dict[Hashable, int] = {}  # batch class -> number of its last forward
        self._num_forwards = 0

    def add(self, job: int, tenant: str = "", batch_class: Hashable = None) -> None:
        self._states[job] = _JobState(tenant, batch_class)
        self._queue.add(job, tenant)
        self._last_served.setdefault(batch_class, self._num_forwards)

    def start_queued(self) -> list[int]:
        """Moves queued jobs to the running ones, up to the limit, and returns them."""
        started = []
        while len(self._running) < self._max_running and (job := self._queue.pop()) is not None:
            self._states[job].turn = self._clock.take_turn(self._states[job].tenant)
            self._running.append(job)
            started.append(job)
        self._sort_running()
        return started

    def set_pending(self, job: int, forward: PendingForward) -> None:
        """Sets the forward that a running job waits for."""
        self._states[job].pending = forward

    def charge(self, job: int, cost_s: float) -> None:
        """Charges the tenant for what the job has cost so far; does nothing if it has ended."""
        state = self._states.get(job)
        if state is None:
            return
        extra = self._usual_costs.num_turns(state.batch_class, cost_s) - state.num_turns
        if extra > 0:
            state.num_turns += extra
            self._clock.delay(state.tenant, extra)
            self._queue.delay(state.tenant, extra)
            for other in self._running:  # all of them, so the tenant's jobs stay in order
                if self._states[other].tenant == state.tenant:
                    self._states[other].turn += extra
            self._sort_running()

    def record_cost(self, job: int, cost_s: float) -> None:
        """Records the cost of a job that has succeeded."""
        self._usual_costs.add(self._states[job].batch_class, cost_s)

    def remove(self, job: int) -> None:
        """Removes a queued or running job; does nothing if there is no such job."""
        state = self._states.pop(job, None)
        if state is None:
            return
        self._queue.remove(job)
        if job in self._running:
            self._running.remove(job)
            if not state.has_begun:
                self._clock.return_turn(state.tenant)
        if all(other.batch_class != state.batch_class for other in self._states.values()):
            del self._last_served[state.batch_class]

    def schedule(self) -> list[int]:
        """The jobs of the next forward, by ascending rows; empty if no job waits for one."""
        waiting = {job: pending for job in self._running if (pending := self._states[job].pending)}
        if not waiting:
            return []
        # The first job of those whose batch class has waited longest.
        first = min(waiting, key=lambda job: self._last_served[self._states[job].batch_class])
        batch_class = self._states[first].batch_class
        own = {job: f for job, f in waiting.items() if self._states[job].batch_class == batch_class}
        self._clock.advance_to(self._states[first].turn)
        if not own[first].is_encode and self._has_capacity(own[first], waiting):
            ahead = (job for job, forward in own.items() if forward.is_encode)
            first = next((job for job in ahead if self._states[job].num_turns == 1), first)
        # Jobs of other batch classes with the same key follow those of this class.
        rows = _rows_by_job(own[first].batch_key, {**own, **waiting})
        batch = list(rows)[: self._num_batch_jobs(own[first].batch_key, list(rows.values()))]
        self._num_forwards += 1
        for job in batch:
            self._states[job].has_begun = True
            self._last_served[self._states[job].batch_class] = self._num_forwards
        return sorted(batch, key=lambda job: (rows[job], job))

    def _sort_running(self) -> None:
        self._running.sort(key=lambda job: (self._states[job].turn, job))

    def _has_capacity(self, first: PendingForward, waiting: dict[int, PendingForward]) -> bool:
        """Whether the batch of the first job can hold one more job like it."""
        rows = [*_rows_by_job(first.batch_key, waiting).values(), first.rows]
        return self._num_batch_jobs(first.batch_key, rows) == len(rows)


def _rows_by_job(batch_key: Hashable, waiting: dict[int, PendingForward]) -> dict[int, int]:
    return {job: forward.rows for job, forward in waiting.items() if forward.batch_key == batch_key}
