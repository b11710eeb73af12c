"""Which jobs the engine's process has, which wait, and which it may have died of.

Pure Python: jobs are numbers in order of arrival. A process holds as many jobs as may run at a
time; the others wait here and are never in danger. When it dies, the jobs that it was working on
are suspects: each is run again with the process to itself, so that a second death is surely its
own, and costs no other job anything but time.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

# A job during which the engine died so often is given up.
MAX_DEATHS = 2


@dataclass(slots=True)
class _Place:
    num_deaths: int = 0
    is_sent: bool = False
    has_begun: bool = False


class Roster:
    def __init__(self, max_sent: int) -> None:
        self._max_sent = max_sent
        self._places: dict[int, _Place] = {}
        self._working: Collection[int] = ()

    def __len__(self) -> int:
        return len(self._places)

    @property
    def num_begun(self) -> int:
        """Jobs of which a forward has been started, in the present process."""
        return sum(place.has_begun for place in self._places.values())

    @property
    def is_busy(self) -> bool:
        """Whether the process has something to do, be it for a job that is not wanted any more."""
        return bool(self._working) or any(place.is_sent for place in self._places.values())

    def add(self, job: int) -> None:
        self._places[job] = _Place()

    def remove(self, job: int) -> bool:
        """Whether the process has it."""
        return self._places.pop(job).is_sent

    def send(self) -> list[int]:
        """The jobs that the process gets now, oldest first."""
        sent = [place for place in self._places.values() if place.is_sent]
        suspects = [job for job, place in self._places.items() if place.num_deaths]
        if suspects:
            chosen = suspects[:1] if not sent else []
        else:
            waiting = [job for job, place in self._places.items() if not place.is_sent]
            chosen = waiting[: self._max_sent - len(sent)]
        for job in chosen:
            self._places[job].is_sent = True
        return chosen

    def work_on(self, jobs: Collection[int], *, has_begun: bool) -> None:
        """The process is about to do something for these jobs."""
        self._working = jobs
        for job in jobs:
            if has_begun and job in self._places:
                self._places[job].has_begun = True

    def die(self) -> list[int]:
        """The process is gone; returns the jobs that are given up. They are removed."""
        held = [job for job, place in self._places.items() if place.is_sent]
        # Those it was working for may have left meanwhile: then nobody is to blame. If it named
        # none at all, somebody must be, or a job that kills at once would be run for ever.
        blamed = [job for job in held if job in self._working] if self._working else held
        for place in self._places.values():
            place.is_sent = place.has_begun = False
        self._working = ()
        for job in blamed:
            self._places[job].num_deaths += 1
        given_up = [job for job in blamed if self._places[job].num_deaths >= MAX_DEATHS]
        for job in given_up:
            del self._places[job]
        return given_up
