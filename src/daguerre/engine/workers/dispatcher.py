"""Which jobs the engine's processes have, which wait, and which one may have died of.

Pure Python: jobs are numbers in order of arrival, processes numbers from 0. A process holds as many
jobs as may run at a time; the others wait here, their owners in turns, and are never in danger. The
next goes to the process with the least to do, of those that have its model if there are any. When
one dies, the jobs that it was working on are suspects: each is run again with a process to itself,
so that a second death is surely its own, and costs no other job anything but time.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field

from daguerre.engine.scheduling.fair_queue import FairQueue

# A job during which the engine died so often is given up.
MAX_DEATHS = 2
# What a death counts for jobs that the process had and had not said to work for: it may have been
# dead before they came. It is something all the same, or one that kills at once would run for ever.
_UNNAMED = 0.5
# Jobs that one of several processes may have and not have begun. Another may be free before it gets
# to them; and with one alone it would idle until it is sent the next.
_MAX_IN_HAND = 2


@dataclass(slots=True)
class _JobRecord:
    owner: str
    model: str
    num_deaths: float = 0
    has_begun: bool = False


@dataclass(slots=True)
class _WorkerLoad:
    """By one process."""

    sent: dict[int, None] = field(default_factory=dict)
    leaving: set[int] = field(default_factory=set)  # removed, and still a job to the process
    working: Collection[int] = ()

    def __len__(self) -> int:
        return len(self.sent) + len(self.leaving)

    @property
    def load(self) -> int:
        """Its jobs, and what it is still busy with for one that is gone."""
        return len(self) + any(job not in self.sent for job in self.working)


class JobDispatcher:
    """`may_serve` says which process is given jobs of which model."""

    def __init__(
        self,
        max_sent: int,
        num_processes: int = 1,
        may_serve: Callable[[int, str], bool] = lambda process, model: True,
    ) -> None:
        self._may_serve = may_serve
        self._max_sent = max_sent
        self._max_in_hand = _MAX_IN_HAND if num_processes > 1 else max_sent
        self._places: dict[int, _JobRecord] = {}
        # Every job is in one of these.
        self._waiting = FairQueue()
        self._suspects: dict[int, None] = {}  # that wait
        self._held = [_WorkerLoad() for _ in range(num_processes)]

    def __len__(self) -> int:
        return len(self._places)

    @property
    def num_begun(self) -> int:
        """Jobs of which a forward has been started, in the present process."""
        return sum(self._places[job].has_begun for held in self._held for job in held.sent)

    def num_held(self, process: int) -> int:
        return len(self._held[process].sent)

    def is_busy(self, process: int) -> bool:
        """Whether it has something to do, be it for a job that is not wanted any more."""
        held = self._held[process]
        return bool(held.working or held.sent)

    def models_before(self, owner: str) -> Iterator[str]:
        """The models of the jobs that go before one more of this owner."""
        sent = (held.sent for held in self._held)
        jobs = itertools.chain(*sent, self._suspects, self._waiting.ahead_of(owner))
        return (self._places[job].model for job in jobs)

    def queue_positions(self) -> dict[int, int]:
        """How many jobs go before each that is not begun."""
        ahead = {
            job: index
            for held in self._held
            for index, job in enumerate(held.sent)
            if not self._places[job].has_begun
        }
        num_held = sum(len(held.sent) for held in self._held)
        waiting = itertools.chain(self._suspects, self._waiting.order())
        ahead.update(zip(waiting, itertools.count(num_held), strict=False))
        return ahead

    def add(self, job: int, owner: str = "", model: str = "") -> None:
        self._places[job] = _JobRecord(owner, model)
        self._waiting.add(job, owner)

    def remove(self, job: int, *, has_ended: bool = False) -> int | None:
        """The process that must be told, if there is one. Until it has let go of the job, which may
        be after what it does at the moment, the job keeps its place there."""
        del self._places[job]
        self._waiting.remove(job)
        self._suspects.pop(job, None)
        for process, held in enumerate(self._held):
            if job in held.sent:
                del held.sent[job]
                if not has_ended:
                    held.leaving.add(job)
                    return process
        return None

    def has(self, process: int, job: int) -> bool:
        return job in self._held[process].sent

    def let_go(self, process: int, job: int) -> None:
        """The process has learned that the job was removed."""
        self._held[process].leaving.discard(job)

    def send(self, takers: Mapping[int, Collection[str]]) -> list[tuple[int, int]]:
        """Jobs that are sent now, each with its process. `takers` are the processes that take some,
        with the models that they have loaded."""
        chosen = list(self._send_suspects(takers))
        takers = {process: takers[process] for process in takers if not self._is_kept(process)}
        if self._suspects:
            self._keep_one_free(takers)
        while self._waiting and (free := [one for one in takers if self._has_room(one)]):
            serving = self._asked_once(free)
            job = self._waiting.pop_runnable(serving)
            if job is None:
                break
            process = min(serving(job), key=lambda one: self._preference(one, job, takers[one]))
            self._held[process].sent[job] = None
            chosen.append((job, process))
        return chosen

    def withdraw(self) -> list[tuple[int, int]]:
        """Jobs whose process may not serve their model any more: they wait again, each with the
        process that must be told."""
        withdrawn = []
        for process, held in enumerate(self._held):
            jobs = [job for job in held.sent if not self._serving([process], job)]
            for job in jobs:
                del held.sent[job]
                held.leaving.add(job)
            self._take_back(jobs)
            withdrawn += [(job, process) for job in jobs]
        return withdrawn

    def recall(self, takers: Mapping[int, Collection[str]]) -> list[tuple[int, int]]:
        """Jobs that one process has not begun and another, with nothing to do, could: they wait
        again, each with the process that must be told."""
        recalled: list[tuple[int, int]] = []
        for idle in [one for one in takers if not self._held[one] and not self._suspects]:
            if len(self._waiting) > len(recalled):
                break
            fullest = sorted(enumerate(self._held), key=lambda each: -len(each[1]))
            for process, held in fullest:
                job = next((one for one in reversed(held.sent) if self._is_in_hand(one)), None)
                if job is None or held.load < 2 or self._places[job].model not in takers[idle]:
                    continue
                if not self._serving([idle], job):
                    continue
                del held.sent[job]
                held.leaving.add(job)
                self._waiting.requeue(job, self._places[job].owner)
                recalled.append((job, process))
                break
        return recalled

    def _is_in_hand(self, job: int) -> bool:
        return not (self._places[job].has_begun or self._is_suspect(job))

    def _send_suspects(self, takers: Collection[int]) -> Iterator[tuple[int, int]]:
        for job in list(self._suspects):
            serving = self._serving(takers, job)
            process = next((one for one in serving if not self._held[one]), None)
            if process is not None:
                del self._suspects[job]
                self._held[process].sent[job] = None
                yield job, process

    def _keep_one_free(self, takers: dict[int, Collection[str]]) -> None:
        """Where no process is to be free for the suspects soon, one takes nothing else until it
        is."""
        if any(self._is_kept(process) for process in range(len(self._held))):
            return
        serving = [one for job in self._suspects for one in self._serving(takers, job)]
        if serving:
            del takers[min(serving, key=lambda process: len(self._held[process]))]

    def _serving(self, processes: Collection[int], job: int) -> list[int]:
        model = self._places[job].model
        return [process for process in processes if self._may_serve(process, model)]

    def _asked_once(self, processes: Collection[int]) -> Callable[[int], list[int]]:
        """`_serving`, for as many jobs as may wait: they have few models."""
        found: dict[str, list[int]] = {}

        def serving(job: int) -> list[int]:
            model = self._places[job].model
            if model not in found:
                found[model] = self._serving(processes, job)
            return found[model]

        return serving

    def _is_kept(self, process: int) -> bool:
        """For a suspect alone."""
        return any(self._is_suspect(job) for job in self._held[process].sent)

    def _has_room(self, process: int) -> bool:
        held = self._held[process]
        num_in_hand = sum(map(self._is_in_hand, held.sent))
        return len(held) < self._max_sent and num_in_hand < self._max_in_hand

    def _preference(self, process: int, job: int, loaded: Collection[str]) -> tuple[bool, int]:
        """The process with the least comes first."""
        held, model = self._held[process], self._places[job].model
        # One that has a job of the model loads it at this moment.
        has_model = model in loaded or any(self._places[one].model == model for one in held.sent)
        return not has_model, held.load

    def work_on(self, process: int, jobs: Collection[int], *, has_begun: bool) -> bool:
        """The process is about to do something for these jobs; whether any of them begins."""
        held = self._held[process]
        held.working = jobs
        begun = [
            self._places[job]
            for job in jobs
            if job in held.sent and not self._places[job].has_begun
        ]
        for place in begun:
            place.has_begun = has_begun
        return bool(begun) and has_begun

    def die(self, process: int) -> list[int]:
        """The process is gone; returns the jobs that are given up. They are removed."""
        held = self._held[process]
        # Those it was working for may have left meanwhile: then nobody is to blame.
        blamed = [job for job in held.sent if job in held.working] if held.working else held.sent
        for job in blamed:
            self._places[job].num_deaths += 1 if held.working else _UNNAMED
        given_up = [job for job in blamed if self._places[job].num_deaths >= MAX_DEATHS]
        for job in given_up:
            del self._places[job]
        self._held[process] = _WorkerLoad()
        self._take_back([job for job in held.sent if job in self._places])
        return given_up

    def _take_back(self, jobs: list[int]) -> None:
        for job in sorted(jobs, reverse=True):  # so the oldest comes first
            place = self._places[job]
            place.has_begun = False
            if place.num_deaths:
                self._suspects[job] = None
            else:
                self._waiting.requeue(job, place.owner)
        self._suspects = dict.fromkeys(sorted(self._suspects))

    def _is_suspect(self, job: int) -> bool:
        return self._places[job].num_deaths > 0
