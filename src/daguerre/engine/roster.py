"""Which jobs the engine's process has, which wait, and which it may have died of.

Pure Python: jobs are numbers in order of arrival. A process holds as many jobs as may run at a
time; the others wait here, their owners in turns, and are never in danger. When it dies, the jobs
that it was working on are suspects: each is run again with the process to itself, so that a second
death is surely its own, and costs no other job anything but time.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from daguerre.engine.fairness import FairQueue

# A job during which the engine died so often is given up.
MAX_DEATHS = 2


@dataclass(slots=True)
class _Place:
    owner: str
    num_deaths: int = 0
    has_begun: bool = False


class Roster:
    def __init__(self, max_sent: int) -> None:
        self._max_sent = max_sent
        self._places: dict[int, _Place] = {}
        # Every job is in one of these three.
        self._waiting = FairQueue()
        self._suspects: dict[int, None] = {}  # that wait
        self._sent: dict[int, None] = {}
        self._leaving: set[int] = set()  # removed, and still a job to the process
        self._working: Collection[int] = ()

    def __len__(self) -> int:
        return len(self._places)

    @property
    def num_begun(self) -> int:
        """Jobs of which a forward has been started, in the present process."""
        return sum(self._places[job].has_begun for job in self._sent)

    @property
    def is_busy(self) -> bool:
        """Whether the process has something to do, be it for a job that is not wanted any more."""
        return bool(self._working or self._sent)

    def num_before(self, owner: str) -> int:
        """How many jobs go before one more of this owner."""
        return len(self._sent) + len(self._suspects) + self._waiting.num_before(owner)

    def num_ahead(self, job: int) -> int | None:
        """How many jobs go before this one; None once it is begun."""
        if self._places[job].has_begun:
            return None
        if job in self._sent:
            return list(self._sent).index(job)
        if job in self._suspects:
            return len(self._sent) + list(self._suspects).index(job)
        return len(self._sent) + len(self._suspects) + self._waiting.num_ahead(job)

    def add(self, job: int, owner: str = "") -> None:
        self._places[job] = _Place(owner)
        self._waiting.add(job, owner)

    def remove(self, job: int, *, has_ended: bool = False) -> bool:
        """Whether the process must be told. Until it has let go of the job, which may be after what
        it does at the moment, the job keeps its place there."""
        del self._places[job]
        self._waiting.remove(job)
        self._suspects.pop(job, None)
        was_sent = job in self._sent
        self._sent.pop(job, None)
        if was_sent and not has_ended:
            self._leaving.add(job)
            return True
        return False

    def let_go(self, job: int) -> None:
        """The process has learned that the job was removed."""
        self._leaving.discard(job)

    def send(self) -> list[int]:
        """The jobs that the process gets now."""
        held = len(self._sent) + len(self._leaving)
        if self._suspects or any(self._places[job].num_deaths for job in self._sent):
            chosen = [] if held else list(self._suspects)[:1]
        else:
            num_free = min(self._max_sent - held, len(self._waiting))
            chosen = [self._waiting.pop() for _ in range(num_free)]
        for job in chosen:
            self._suspects.pop(job, None)
            self._sent[job] = None
        return chosen

    def work_on(self, jobs: Collection[int], *, has_begun: bool) -> None:
        """The process is about to do something for these jobs."""
        self._working = jobs
        for job in jobs:
            if has_begun and job in self._sent:
                self._places[job].has_begun = True

    def die(self) -> list[int]:
        """The process is gone; returns the jobs that are given up. They are removed."""
        held = list(self._sent)
        # Those it was working for may have left meanwhile: then nobody is to blame. If it named
        # none at all, somebody must be, or a job that kills at once would be run for ever.
        blamed = [job for job in held if job in self._working] if self._working else held
        for job in blamed:
            self._places[job].num_deaths += 1
        given_up = [job for job in blamed if self._places[job].num_deaths >= MAX_DEATHS]
        for job in given_up:
            del self._places[job]
        self._take_back([job for job in held if job not in given_up])
        self._working = ()
        return given_up

    def _take_back(self, jobs: list[int]) -> None:
        self._sent.clear()
        self._leaving.clear()
        for job in sorted(jobs, reverse=True):  # so the oldest comes first
            place = self._places[job]
            place.has_begun = False
            if not place.num_deaths:
                self._waiting.put_back(job, place.owner)
        self._suspects = {job: None for job in sorted(self._places) if self._is_suspect(job)}

    def _is_suspect(self, job: int) -> bool:
        return self._places[job].num_deaths > 0
