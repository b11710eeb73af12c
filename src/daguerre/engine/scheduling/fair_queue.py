"""Fair queueing among tenants (a tenant is the owner of an API key).

Start-time fair queueing (Goyal, Vin and Cheng, 1996) with jobs of equal weight. A tenant's jobs get
the turns 1, 2, 3 ..., and lower turns run first. Tenants thus alternate however many jobs each has,
and the jobs of one tenant run in order of arrival. A new tenant starts at the current turn: idle
time earns no credit. Jobs are numbers that increase with arrival.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator


class VirtualClock:
    """Assigns turns. Remembers only tenants that are ahead of the current turn."""

    def __init__(self) -> None:
        self._current = 0
        self._last: dict[str, int] = {}

    def next_turn(self, tenant: str) -> int:
        """The turn that the tenant's next job would get."""
        return max(self._last.get(tenant, 0) + 1, self._current)

    def take_turn(self, tenant: str) -> int:
        turn = self._last[tenant] = self.next_turn(tenant)
        return turn

    def return_turn(self, tenant: str) -> None:
        """Takes back the tenant's last turn, because its job did not run."""
        if tenant in self._last:
            self._last[tenant] -= 1

    def delay(self, tenant: str, num_turns: int) -> None:
        """Uses up further turns of the tenant, because its job costs more than one."""
        self._last[tenant] = self._last.get(tenant, self._current) + num_turns

    def advance_to(self, turn: int) -> None:
        """Moves the clock to the turn of a job that runs now."""
        if turn > self._current:
            self._current = turn
            self._last = {tenant: last for tenant, last in self._last.items() if last >= turn}


class FairQueue:
    """A queue of jobs, ordered by the turns of their tenants."""

    def __init__(self) -> None:
        self._clock = VirtualClock()
        self._jobs: dict[str, dict[int, None]] = {}  # tenant -> its jobs in order of arrival
        self._tenants: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self._tenants)

    def add(self, job: int, tenant: str) -> None:
        self._tenants[job] = tenant
        self._jobs.setdefault(tenant, {})[job] = None

    def requeue(self, job: int, tenant: str) -> None:
        """Adds a job in front of the tenant's other jobs."""
        self._tenants[job] = tenant
        self._jobs[tenant] = {job: None, **self._jobs.get(tenant, {})}

    def delay(self, tenant: str, num_turns: int) -> None:
        """Uses up further turns of the tenant."""
        self._clock.delay(tenant, num_turns)

    def remove(self, job: int) -> None:
        """Removes a job; does nothing if it is not queued."""
        tenant = self._tenants.pop(job, None)
        if tenant is not None:
            del self._jobs[tenant][job]
            if not self._jobs[tenant]:
                del self._jobs[tenant]

    def pop(self, can_run: Callable[[int], object] = lambda job: True) -> int | None:
        """Removes and returns the first job that can run now; None if there is none."""
        first = {
            tenant: job
            for tenant, jobs in self._jobs.items()
            if (job := next(filter(can_run, jobs), None)) is not None
        }
        if not first:
            return None
        tenant = min(first, key=lambda one: (self._clock.next_turn(one), first[one]))
        self._clock.advance_to(self._clock.take_turn(tenant))
        self.remove(first[tenant])
        return first[tenant]

    def first(self) -> int | None:
        """The job that `pop` would return if all could run."""
        return min(
            (next(iter(jobs)) for jobs in self._jobs.values()),
            key=lambda job: (self._clock.next_turn(self._tenants[job]), job),
            default=None,
        )

    def is_before(self, tenant: str, other: str) -> bool:
        """Whether the next turn of the first tenant is before that of the other."""
        return self._clock.next_turn(tenant) < self._clock.next_turn(other)

    def ahead_of(self, tenant: str) -> Iterator[int]:
        """The queued jobs that would run before a new job of the tenant."""
        own = self._jobs.get(tenant, {})
        yield from own
        turn = self._clock.next_turn(tenant) + len(own)
        for other, jobs in self._jobs.items():
            if other != tenant:
                yield from itertools.islice(jobs, max(0, turn - self._clock.next_turn(other) + 1))

    def order(self) -> list[int]:
        """The queued jobs in the order in which they will run."""
        turns = [
            turn
            for tenant, jobs in self._jobs.items()
            for turn in zip(itertools.count(self._clock.next_turn(tenant)), jobs, strict=False)
        ]
        return [job for _, job in sorted(turns)]
