"""Who runs next. Pure Python: jobs are numbers that grow with arrival, forwards are
`PendingForward`s.

Jobs that are alike, such as those of one model and size, are a lane. The lane that has waited
longest has the next forward, so that none is held up by another for more than a forward of each.

Within a lane it is first come, first served, owners in turns: the next forward is that of the first
job, and the others that ask for the same key join it as far as sharing is exact and pays. Where it
brings nothing, as on few cores, the first job thus runs to its end: with n jobs taking turns all
would end at about n times a job's time, while one after the other they end at 1, 2 ... n times it,
half of that on average, and the last no later. No job starves, because each is the first in time:
no owner has two jobs of one turn. And none waits for a key, because whatever a running job asks for
may be next.

One thing is put before the first: where its forward has room, the short encode forwards of others,
so that these can join it at the next step; a job has few of them, so the delay is bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from daguerre.engine.scheduling.fair_queue import FairQueue, VirtualClock


@dataclass(frozen=True, slots=True)
class PendingForward:
    """A forward that a job waits for; those with equal keys fit into one evaluation."""

    key: Hashable
    rows: int
    is_encode: bool = False


# (key, rows of the jobs that ask for it, the first one first) -> how many take it together
BatchSizePolicy: TypeAlias = Callable[[Hashable, Sequence[int]], int]


@dataclass(slots=True)
class _JobState:
    owner: str
    batch_class: Hashable
    turn: int = 0
    ask: PendingForward | None = None
    has_begun: bool = False


class Scheduler:
    """Jobs wait, run when one of `max_running_jobs` places is free, and leave when they are
    removed.
    """

    def __init__(self, max_running_jobs: int, num_sharing: BatchSizePolicy) -> None:
        self._max_running = max_running_jobs
        self._num_sharing = num_sharing
        self._places: dict[int, _JobState] = {}
        self._waiting = FairQueue()
        self._running: list[int] = []  # by turn, then by arrival
        self._turns = VirtualClock()  # of those that run
        self._served: dict[Hashable, int] = {}  # lane -> its last forward, or when it came up
        self._num_forwards = 0

    def add(self, job: int, owner: str = "", batch_class: Hashable = None) -> None:
        self._places[job] = _JobState(owner, batch_class)
        self._waiting.add(job, owner)
        self._served.setdefault(batch_class, self._num_forwards)

    def admit(self) -> list[int]:
        """The waiting jobs that get a place now."""
        num_free = min(self._max_running - len(self._running), len(self._waiting))
        admitted = [self._waiting.pop() for _ in range(num_free)]
        for job in admitted:
            place = self._places[job]
            place.turn = self._turns.take(place.owner)
            self._running.append(job)
        self._running.sort(key=lambda job: (self._places[job].turn, job))
        return admitted

    def ask(self, job: int, ask: PendingForward) -> None:
        """A running job waits for this forward."""
        self._places[job].ask = ask

    def remove(self, job: int) -> None:
        """Wherever the job is, it is gone at once, and its place is free."""
        place = self._places.pop(job, None)
        self._waiting.remove(job)
        if place is not None and job in self._running:
            self._running.remove(job)
            if not place.has_begun:
                self._turns.give_back(place.owner)
        if place is not None and all(
            other.batch_class != place.batch_class for other in self._places.values()
        ):
            del self._served[place.batch_class]

    def schedule(self) -> list[int]:
        """The jobs of the next forward, by ascending rows; none when nobody asks."""
        asks = {job: ask for job in self._running if (ask := self._places[job].ask)}
        if not asks:
            return []
        mine = self._of_next_lane(asks)
        first = next(iter(mine))
        self._turns.reach(self._places[first].turn)
        if not mine[first].is_encode and self._has_room(mine[first], asks):
            first = next((job for job, ask in mine.items() if ask.is_encode), first)
        # Others that fit join those of the lane, and do not take their places.
        jobs = _asking(mine[first].key, {**mine, **asks})
        group = list(jobs)[: self._num_sharing(mine[first].key, list(jobs.values()))]
        self._num_forwards += 1
        for job in group:
            self._places[job].has_begun = True
            self._served[self._places[job].batch_class] = self._num_forwards
        return sorted(group, key=lambda job: (jobs[job], job))

    def _of_next_lane(self, asks: dict[int, PendingForward]) -> dict[int, PendingForward]:
        """Of lanes that waited equally long, that of the first job."""
        batch_class = self._places[
            min(asks, key=lambda job: self._served[self._places[job].batch_class])
        ].batch_class
        return {
            job: ask for job, ask in asks.items() if self._places[job].batch_class == batch_class
        }

    def _has_room(self, first: PendingForward, asks: dict[int, PendingForward]) -> bool:
        """Whether one more job like the first would join its forward."""
        rows = [*_asking(first.key, asks).values(), first.rows]
        return self._num_sharing(first.key, rows) == len(rows)


def _asking(key: Hashable, asks: dict[int, PendingForward]) -> dict[int, int]:
    """Job -> rows."""
    return {job: ask.rows for job, ask in asks.items() if ask.key == key}
