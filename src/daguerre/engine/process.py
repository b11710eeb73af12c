"""`ProcessEngine`: the engine in a process of its own, replaced whenever it ends or hangs.

The jobs it held are run again from their parameters: the same seed gives the same bytes, so nobody
but the clock can tell. Keeps the jobs and their callers; who is run when, and who is given up, is
decided in `daguerre.engine.roster`, and processes come and go in `daguerre.engine.supervisor`.
Knows nothing of networks.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import threading
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, replace

from daguerre.engine.admission import Admission, check_served, check_time
from daguerre.engine.child import Child
from daguerre.engine.engine import DRAIN_POLL_S, MAX_WAITING_BYTES
from daguerre.engine.interface import EngineStats
from daguerre.engine.roster import MAX_DEATHS, Roster
from daguerre.engine.stream import stream
from daguerre.engine.supervisor import Supervisor
from daguerre.engine.watch import Watch
from daguerre.engine.wire import Begin, Build, Cancel, Left, Run, State, Told, Working
from daguerre.errors import InternalError, NotReady, Unavailable
from daguerre.params import ANYONE, Done, Event, Failed, ImageParams, ModelInfo, Step, Terms

_NOTHING = EngineStats(False, 0, 0, 0, 0, 0, 0, 0, 0.0)

logger = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class _Job:
    params: ImageParams
    emit: Callable[[Event], None]
    terms: Terms
    accepted_s: float
    sent_s: float = 0.0  # to the present process
    num_steps: int = 0  # that the caller was told of


class ProcessEngine:
    """Implements `daguerre.engine.interface.Engine`.

    `build` makes the engine in its process, and `models` is what it will serve. A process that does
    no work for `timeout_s` while it has some, or shows no life for so long, is replaced; so is one
    that is not loaded after `load_timeout_s`.
    """

    def __init__(
        self,
        build: Build,
        models: Sequence[ModelInfo],
        *,
        max_waiting: int,
        max_running: int,
        timeout_s: float,
        max_waiting_bytes: int = MAX_WAITING_BYTES,
        load_timeout_s: float = 600.0,
        log_level: int = logging.INFO,
    ) -> None:
        self._models = {info.model: info for info in models}
        self._admission = Admission(max_waiting + max_running, max_waiting_bytes)
        self._max_running = max_running
        self._watch = Watch(timeout_s, load_timeout_s)
        self._begin = Begin(
            build, tuple(models), os.getpid(), log_level, self._watch.sign_of_life_s
        )
        self._prepared: Child | None = None
        self._numbers = itertools.count(1)
        # All below is read and written under this lock.
        self._changed = threading.Condition()
        self._jobs: dict[int, _Job] = {}  # accepted and not ended
        self._num_done = self._num_failed = self._num_cancelled = 0
        self._num_forwards = self._num_rows = 0  # of the processes that are gone
        self._is_started = False
        self._reset()

    def _reset(self) -> None:
        self._roster = Roster(self._max_running)
        self._supervisor = Supervisor(self._make_child, self._watch, self._changed, self)
        self._stats = _NOTHING  # the last that a process has said of itself
        self._is_draining = False

    def prepare(self) -> None:
        """Begins the first process before `start`, which then need not wait for it. To be called
        from a thread that lives on, and followed by `start` or `close`."""
        try:
            self._prepared = Child(self._begin)
        except OSError:
            pass  # `start` will try again, and tell

    def close(self) -> None:
        """Ends whatever process there still is: one that was prepared and not used, or one whose
        `stop` a hurried end has left out."""
        if self._prepared:
            self._prepared.end()
            self._prepared = None
        with self._changed:
            self._supervisor.stop()
        self._supervisor.join()

    async def start(self) -> None:
        """Also starts an engine again that was stopped."""
        assert not self._is_started, "the engine was started twice. This is a bug."
        with self._changed:
            self._is_started = True
            self._reset()
        self._supervisor.start()

    async def stop(self) -> None:
        """Jobs that have not ended get `Failed(Unavailable)`; returns when the process is gone."""
        with self._changed:
            self._supervisor.stop()
        await asyncio.to_thread(self._supervisor.join)
        self._is_started = False

    async def drain(self) -> None:
        """Refuses new jobs from now on and returns when the accepted ones have ended."""
        with self._changed:
            self._is_draining = True
        while self._jobs:
            await asyncio.sleep(DRAIN_POLL_S)

    def models(self) -> tuple[ModelInfo, ...]:
        return tuple(self._models.values())

    def generate(self, params: ImageParams, terms: Terms = ANYONE) -> AsyncGenerator[Event, None]:
        """See `Engine.generate`; raises `NotFound` for a model that is not served, too."""
        return stream(self, params, terms)

    def stats(self) -> EngineStats:
        """Ready while a process that died is replaced: jobs are taken, and wait for the next."""
        with self._changed:
            return EngineStats(
                is_ready=self._supervisor.is_sound and not self._is_draining,
                num_waiting=len(self._jobs) - self._roster.num_begun,
                num_running=self._roster.num_begun,
                num_done=self._num_done,
                num_failed=self._num_failed,
                num_cancelled=self._num_cancelled,
                num_forwards=self._num_forwards + self._stats.num_forwards,
                num_rows=self._num_rows + self._stats.num_rows,
                mean_job_s=self._stats.mean_job_s,
                certificates=self._stats.certificates,
                failure=self._supervisor.failure,
                is_draining=self._is_draining,
                num_restarts=self._supervisor.num_restarts,
            )

    @property
    def pid(self) -> int | None:
        """Of the present process."""
        return self._supervisor.pid

    def submit(
        self, params: ImageParams, emit: Callable[[Event], None], terms: Terms
    ) -> tuple[int, int]:
        """The job's number, and how many are ahead of it."""
        with self._changed:
            self._refuse(params)
            num_ahead = self._roster.num_before(terms.owner)
            check_time(terms, num_ahead, self._stats.mean_job_s)
            self._admission.enter(params)
            number = next(self._numbers)
            self._jobs[number] = _Job(params, emit, terms, time.monotonic())
            self._roster.add(number, terms.owner)
            self._send_jobs()
        return number, num_ahead

    def num_ahead(self, number: int) -> int | None:
        """None once it is begun, or has ended."""
        with self._changed:
            return self._roster.num_ahead(number) if number in self._jobs else None

    def cancel(self, number: int) -> None:
        """The place in the queue is free at once, the row from the next forward on."""
        with self._changed:
            if number not in self._jobs:
                return
            self._pop(number)
            self._num_cancelled += 1
            if self._roster.remove(number):
                self._supervisor.send(Cancel(number))
            self._send_jobs()

    def _make_child(self) -> Child:
        prepared, self._prepared = self._prepared, None
        return prepared or Child(self._begin)

    def _refuse(self, params: ImageParams) -> None:
        """Raises if the job cannot be taken."""
        supervisor = self._supervisor
        check_served(params, self._models)
        if supervisor.failure:
            raise Unavailable("the engine cannot be started; the server's log says why")
        if not self._is_started or supervisor.is_stopping or self._is_draining:
            raise NotReady("the server is stopping and takes no new requests")
        if not supervisor.was_loaded:
            raise NotReady("the model is still loading")

    def _send_jobs(self) -> None:
        if not self._supervisor.takes_jobs:
            return
        if not self.has_work:
            self._supervisor.note_request()
        for number in self._roster.send():
            job = self._jobs[number]
            job.sent_s = time.monotonic()
            # Here alone is known who is ahead, and so whether there is time.
            self._supervisor.send(Run(number, job.params, replace(job.terms, timeout_s=None)))

    # What the supervisor calls, under the lock.

    @property
    def has_work(self) -> bool:
        return self._roster.is_busy

    def begin(self) -> None:
        self._send_jobs()

    def hear(self, message: State | Working | Told | Left) -> None:
        if isinstance(message, State):
            self._hear_state(message.stats)
        elif isinstance(message, Working):
            self._roster.work_on(message.numbers, has_begun=message.has_begun)
        elif isinstance(message, Left):
            self._roster.let_go(message.number)
            self._send_jobs()
        else:
            self._hear_event(message)

    def die(self, reason: str) -> None:
        self._num_forwards += self._stats.num_forwards
        self._num_rows += self._stats.num_rows
        self._stats = replace(self._stats, num_forwards=0, num_rows=0)
        for number in self._roster.die():
            job = self._pop(number)  # the roster has removed it
            name = f"job {number} (id={job.terms.request_id})"
            logger.error("%s is given up: each time the engine's process %s", name, reason)
            self._num_failed += 1
            told = f"the engine died {MAX_DEATHS} times while it made this image; not tried again"
            job.emit(Failed(InternalError(told)))
        if self._jobs:
            logger.info("%d jobs wait for the next process", len(self._jobs))

    def end(self, told: str) -> None:
        for number in list(self._jobs):
            self._num_cancelled += 1
            self._end_job(number, Failed(Unavailable(told)))

    def _hear_state(self, stats: EngineStats) -> None:
        # A process that has just begun knows neither how long a job takes nor what is certified.
        self._stats = replace(
            stats,
            mean_job_s=stats.mean_job_s or self._stats.mean_job_s,
            certificates=stats.certificates or self._stats.certificates,
        )

    def _hear_event(self, told: Told) -> None:
        job, event = self._jobs.get(told.number), told.event
        if job is None:  # it was cancelled meanwhile
            return
        if isinstance(event, Done):
            self._num_done += 1
            self._supervisor.note_image()
            self._end_job(told.number, _in_full(event, job))
        elif isinstance(event, Failed):
            self._num_failed += 1
            self._end_job(told.number, event)
        elif isinstance(event, Step) and event.index > job.num_steps:  # else it is run again
            job.num_steps = event.index
            job.emit(event)
        self._send_jobs()

    def _end_job(self, number: int, event: Event) -> None:
        job = self._pop(number)
        self._roster.remove(number, has_ended=True)
        job.emit(event)

    def _pop(self, number: int) -> _Job:
        job = self._jobs.pop(number)
        self._admission.leave(job.params)
        return job


def _in_full(done: Done, job: _Job) -> Done:
    """The time in the queue is counted from acceptance, lost attempts included."""
    waited_ms = (job.sent_s - job.accepted_s) * 1000
    timings = done.image.timings
    timings = replace(timings, queue_ms=timings.queue_ms + waited_ms)
    return Done(replace(done.image, timings=timings))
