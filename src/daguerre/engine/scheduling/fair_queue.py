"""Whose job goes next where several owners want the engine, which is whoever a key stands for.

Start-time fair queueing (Goyal, Vin and Cheng, 1996) with jobs of equal weight: an owner's jobs
have the turns 1, 2, 3 ... and lower turns go first, so that owners take turns however many jobs
each has, and one owner's jobs go in order of arrival. Who comes late begins at the present turn:
idle time saves up nothing. Pure Python; jobs are numbers that grow with arrival.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator


class VirtualClock:
    """Gives turns out. Remembers only owners that are ahead of the present turn."""

    def __init__(self) -> None:
        self._present = 0
        self._last: dict[str, int] = {}

    def next(self, owner: str) -> int:
        """The turn that the owner's next job would have."""
        return max(self._last.get(owner, 0) + 1, self._present)

    def take(self, owner: str) -> int:
        turn = self._last[owner] = self.next(owner)
        return turn

    def give_back(self, owner: str) -> None:
        """A job that had one was not run."""
        if owner in self._last:
            self._last[owner] -= 1

    def reach(self, turn: int) -> None:
        """A job with this turn is being run."""
        if turn > self._present:
            self._present = turn
            self._last = {owner: last for owner, last in self._last.items() if last >= turn}


class FairQueue:
    """Jobs that wait, each for its owner's turn."""

    def __init__(self) -> None:
        self._turns = VirtualClock()
        self._jobs: dict[str, dict[int, None]] = {}  # owner -> its jobs in order of arrival
        self._owners: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self._owners)

    def __contains__(self, job: int) -> bool:
        return job in self._owners

    def add(self, job: int, owner: str) -> None:
        self._owners[job] = owner
        self._jobs.setdefault(owner, {})[job] = None

    def requeue(self, job: int, owner: str) -> None:
        """Before all other jobs of the owner."""
        self._owners[job] = owner
        self._jobs[owner] = {job: None, **self._jobs.get(owner, {})}

    def remove(self, job: int) -> None:
        """Nothing happens when the job does not wait."""
        owner = self._owners.pop(job, None)
        if owner is not None:
            del self._jobs[owner][job]
            if not self._jobs[owner]:
                del self._jobs[owner]

    def pop(self) -> int:
        """The job whose turn it is. There must be one."""
        job = self.pop_runnable(lambda job: True)
        assert job is not None, "a turn and nobody who waits. This is a bug."
        return job

    def pop_runnable(self, can_run: Callable[[int], object]) -> int | None:
        """The job whose turn it is of those that can be run now; None where none can."""
        first = {
            owner: job
            for owner, jobs in self._jobs.items()
            if (job := next(filter(can_run, jobs), None)) is not None
        }
        if not first:
            return None
        owner = min(first, key=lambda one: (self._turns.next(one), first[one]))
        self._turns.reach(self._turns.take(owner))
        self.remove(first[owner])
        return first[owner]

    def ahead_of(self, owner: str) -> Iterator[int]:
        """The jobs waiting now that go before one more of this owner."""
        own = self._jobs.get(owner, {})
        yield from own
        turn = self._turns.next(owner) + len(own)
        for other, jobs in self._jobs.items():
            if other != owner:
                yield from itertools.islice(jobs, max(0, turn - self._turns.next(other) + 1))

    def order(self) -> list[int]:
        """The jobs that wait now, as they will go."""
        turns = [
            turn
            for owner, jobs in self._jobs.items()
            for turn in zip(itertools.count(self._turns.next(owner)), jobs, strict=False)
        ]
        return [job for _, job in sorted(turns)]
