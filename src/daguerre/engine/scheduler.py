"""Who runs next. Pure Python: jobs are numbers that grow with arrival, forwards are `Ask`s.

Jobs that are alike, such as those of one model and size, are a lane. The lane that has waited
longest has the next forward, so that none is held up by another for more than a forward of each.

Within a lane it is first come, first served: the next forward is that of the oldest job, and the
others that ask for the same key join it as far as sharing is exact and pays. Where it brings
nothing, as on few cores, the oldest job thus runs to its end: with n jobs taking turns all would
end at about n times a job's time, while one after the other they end at 1, 2 ... n times it, half
of that on average, and the last no later. No job starves, because each is the oldest in time, and
none waits for a key, because whatever a running job asks for may be the next forward.

One thing is put before the oldest: where its forward has room, the short encode forwards of younger
jobs, so that these can join it at the next step; a job has few of them, so the delay is bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Ask:
    """A forward that a job waits for; those with equal keys fit into one evaluation."""

    key: Hashable
    rows: int
    is_encode: bool = False


# (key, rows of the jobs that ask for it, oldest first) -> how many of them take it together
NumSharing: TypeAlias = Callable[[Hashable, Sequence[int]], int]


class Scheduler:
    """Jobs wait, run when one of `max_running` places is free, and leave when they are removed."""

    def __init__(self, max_running: int, num_sharing: NumSharing) -> None:
        self._max_running = max_running
        self._num_sharing = num_sharing
        self._waiting: dict[int, None] = {}  # both are in order of arrival
        self._running: dict[int, Ask | None] = {}
        self._lanes: dict[int, Hashable] = {}  # of every job
        self._served: dict[Hashable, int] = {}  # lane -> its last forward, or when it came up
        self._num_forwards = 0

    def add(self, job: int, lane: Hashable = None) -> None:
        self._waiting[job] = None
        self._lanes[job] = lane
        self._served.setdefault(lane, self._num_forwards)

    def admit(self) -> list[int]:
        """The waiting jobs that get a place now."""
        num_free = self._max_running - len(self._running)
        admitted = list(self._waiting)[:num_free]
        for job in admitted:
            del self._waiting[job]
            self._running[job] = None
        return admitted

    def ask(self, job: int, ask: Ask) -> None:
        """A running job waits for this forward."""
        self._running[job] = ask

    def remove(self, job: int) -> None:
        """Wherever the job is, it is gone at once, and its place is free."""
        self._waiting.pop(job, None)
        self._running.pop(job, None)
        lane = self._lanes.pop(job, None)
        if lane not in self._lanes.values():
            self._served.pop(lane, None)

    def schedule(self) -> list[int]:
        """The jobs of the next forward, by ascending rows; none when nobody asks."""
        asks = self._asks_of_next_lane()
        if not asks:
            return []
        oldest = asks[0]
        if not oldest.is_encode and self._has_room(oldest):
            oldest = next((ask for ask in asks if ask.is_encode), oldest)
        jobs = self._asking(oldest.key)
        group = list(jobs)[: self._num_sharing(oldest.key, list(jobs.values()))]
        self._num_forwards += 1
        for job in group:
            self._served[self._lanes[job]] = self._num_forwards
        return sorted(group, key=lambda job: (jobs[job], job))

    def _asks_of_next_lane(self) -> list[Ask]:
        """By arrival. Of lanes that waited equally long, that of the oldest job."""
        asking = {job: ask for job, ask in self._running.items() if ask is not None}
        if not asking:
            return []
        lane = self._lanes[min(asking, key=lambda job: self._served[self._lanes[job]])]
        return [ask for job, ask in asking.items() if self._lanes[job] == lane]

    def _asking(self, key: Hashable) -> dict[int, int]:
        """Job -> rows."""
        return {job: ask.rows for job, ask in self._running.items() if ask and ask.key == key}

    def _has_room(self, oldest: Ask) -> bool:
        """Whether one more job like the oldest would join its forward."""
        rows = [*self._asking(oldest.key).values(), oldest.rows]
        return self._num_sharing(oldest.key, rows) == len(rows)
