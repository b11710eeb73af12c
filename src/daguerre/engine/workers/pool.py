"""The places at which an engine's processes work, and what they have said.

Keeps what outlives a process: how many forwards were done, how long jobs take, what is certified,
and which of them are alike.
Independent of jobs: it passes what it hears of them on to its owner, `process_engine`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from daguerre.engine.interface import EngineStats, WorkerStats
from daguerre.engine.scheduling.service_time import ServiceTimes, combine_workers
from daguerre.engine.workers.messages import (
    CancelAcknowledged,
    JobEvent,
    StatsUpdate,
    WorkerCommand,
    WorkStarted,
)
from daguerre.engine.workers.parity import WorkerParity
from daguerre.engine.workers.process import WorkerProcess
from daguerre.engine.workers.supervisor import Supervisor
from daguerre.engine.workers.watchdog import Watchdog

NOTHING = EngineStats(False, 0, 0, 0, 0, 0, 0, 0)


class Owner(Protocol):
    """What `daguerre.engine.workers.supervisor.Owner` is told, with the number of the station."""

    def has_work(self, station: int) -> bool: ...

    def deal(self) -> None:
        """To whom jobs can be given has changed."""

    def hear(self, station: int, message: WorkStarted | JobEvent | CancelAcknowledged) -> None: ...

    def die(self, station: int, reason: str) -> None: ...

    def end(self, station: int, told: str) -> None: ...


class Station:
    """One of them. All is called under `changed`, the lock of the owner."""

    def __init__(
        self,
        number: int,
        name: str,
        make_child: Callable[[int], WorkerProcess],
        watch: Watchdog,
        changed: threading.Condition,
        owner: Owner,
        kinds: WorkerParity,
    ) -> None:
        self.number, self._owner, self._kinds = number, owner, kinds
        self.supervisor = Supervisor(lambda: make_child(number), watch, changed, self, name)
        # The last that a process has said of itself; forwards and rows are of all of them.
        self.stats = NOTHING
        self._num_forwards = self._num_rows = 0  # of the processes that are gone

    @property
    def has_work(self) -> bool:
        return self._owner.has_work(self.number)

    def begin(self) -> None:
        self._owner.deal()

    def hear(self, message: StatsUpdate | WorkStarted | JobEvent | CancelAcknowledged) -> None:
        if isinstance(message, StatsUpdate):
            self._hear_state(message.stats)
        else:
            self._owner.hear(self.number, message)

    def die(self, reason: str) -> None:
        self._num_forwards, self._num_rows = self.stats.num_forwards, self.stats.num_rows
        self.stats = replace(self.stats, loaded={}, load_failures=())
        self._kinds.forget(self.number)
        self._owner.die(self.number, reason)

    def miss(self) -> None:
        self._kinds.pass_over(self.number)
        self._owner.deal()

    def end(self, told: str) -> None:
        if not self.supervisor.is_stopping:
            self._kinds.give_up(self.number)
        self._owner.end(self.number, told)

    def _hear_state(self, stats: EngineStats) -> None:
        # A process that has just begun knows neither how long a job takes nor what is certified.
        self.stats = replace(
            stats,
            num_forwards=stats.num_forwards + self._num_forwards,
            num_rows=stats.num_rows + self._num_rows,
            service_times=stats.service_times.with_history(self.stats.service_times),
            certificates=stats.certificates or self.stats.certificates,
        )
        if self._kinds.note(self.number, stats.loaded, stats.load_failures):
            self._owner.deal()


class Stations:
    """All of them. All but `start` and `join` are called under the lock, too."""

    def __init__(
        self,
        count: int,
        make_child: Callable[[int], WorkerProcess],
        make_watch: Callable[[], Watchdog],
        changed: threading.Condition,
        owner: Owner,
    ) -> None:
        self._kinds = WorkerParity(count)
        self._all = [
            Station(
                number,
                "the engine's process" if count == 1 else f"worker {number} of the engine",
                make_child,
                make_watch(),
                changed,
                owner,
                self._kinds,
            )
            for number in range(count)
        ]
        self.supervisors = [station.supervisor for station in self._all]

    def start(self) -> None:
        for supervisor in self.supervisors:
            supervisor.start()

    def stop(self) -> None:
        for supervisor in self.supervisors:
            supervisor.stop()

    def join(self) -> None:
        for supervisor in self.supervisors:
            supervisor.join()

    def send(self, station: int, message: WorkerCommand) -> None:
        self.supervisors[station].send(message)

    def takers(self) -> dict[int, Collection[str]]:
        """Those that take jobs, with the models that they have loaded."""
        return {
            station.number: station.stats.loaded
            for station in self._all
            if station.supervisor.takes_jobs
        }

    def may_serve(self, station: int, model: str) -> bool:
        return self._kinds.may_serve(station, model)

    @property
    def is_stopping(self) -> bool:
        return any(supervisor.is_stopping for supervisor in self.supervisors)

    def was_loaded(self, model: str) -> bool:
        """Whether a worker that may serve the model has been ready. It may be replaced now."""
        return any(
            station.supervisor.was_loaded and self.may_serve(station.number, model)
            for station in self._all
        )

    @property
    def failure(self) -> str:
        """Why there will be no process any more, at none of them."""
        found = [supervisor.failure for supervisor in self.supervisors]
        return "; ".join(dict.fromkeys(found)) if all(found) else ""

    def service_times(self) -> ServiceTimes:
        paces = [station.stats.service_times for station in self._all]
        return combine_workers(paces, self._num_working, self._num_serving)

    def estimate_wait(self, ahead: Mapping[str, int], model: str) -> tuple[float, float]:
        """See `ServiceTimes.estimate_wait`."""
        return self.service_times().estimate_wait(ahead, model, self._num_serving(model))

    @property
    def _num_working(self) -> int:
        return max(1, len(self.takers()))

    def _num_serving(self, model: str) -> int:
        return max(1, sum(self.may_serve(station, model) for station in self.takers()))

    def workers(self, num_held: Callable[[int], int]) -> tuple[WorkerStats, ...]:
        """`num_held` says how many jobs one has."""
        return tuple(
            WorkerStats(
                one.takes_jobs, num_held(number), one.num_restarts, self._kinds.unlike(number)
            )
            for number, one in enumerate(self.supervisors)
        )

    def stats(self, models: Iterable[str]) -> EngineStats:
        """Of the processes together; of jobs there is nothing in it. Ready for one of the models
        is ready."""
        said = [station.stats for station in self._all]
        return replace(
            NOTHING,
            is_ready=any(supervisor.is_sound for supervisor in self.supervisors)
            and any(map(self.was_loaded, models)),
            num_forwards=sum(stats.num_forwards for stats in said),
            num_rows=sum(stats.num_rows for stats in said),
            service_times=self.service_times(),
            certificates=_agreed([stats.certificates for stats in said]),
            failure=self.failure,
            num_restarts=sum(supervisor.num_restarts for supervisor in self.supervisors),
        )


def _agreed(certificates: Sequence[Mapping[str, bool]]) -> dict[str, bool]:
    """Held where every process that tried it found so."""
    agreed: dict[str, bool] = {}
    for found in certificates:
        agreed |= {name: is_held and agreed.get(name, True) for name, is_held in found.items()}
    return agreed
