"""`ProcessEngine`: the engine in processes of its own, replaced whenever one ends or hangs.

The jobs it held are run again from their parameters: the same seed gives the same bytes, so nobody
but the clock can tell. Keeps the jobs and their callers; who is run when and where, and who is
given up, is decided in `daguerre.engine.workers.dispatcher`, and processes come and go at each
`daguerre.engine.workers.pool`. Knows nothing of networks.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import logging
import os
import threading
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, replace

from daguerre.engine.interface import EngineStats
from daguerre.engine.scheduling.admission import Admission, check_deadline, check_served
from daguerre.engine.stream import QueuePositions, stream
from daguerre.engine.thread_engine import DRAIN_POLL_S, MAX_QUEUED_PROMPT_BYTES
from daguerre.engine.workers.dispatcher import MAX_DEATHS, JobDispatcher
from daguerre.engine.workers.messages import (
    CancelAcknowledged,
    CancelJob,
    EngineFactory,
    InitWorker,
    JobEvent,
    SubmitJob,
    WorkStarted,
)
from daguerre.engine.workers.pool import Stations
from daguerre.engine.workers.process import WorkerProcess
from daguerre.engine.workers.watchdog import Watchdog
from daguerre.errors import InternalError, NotReadyError, UnavailableError
from daguerre.params import (
    DEFAULT_CONTEXT,
    Event,
    ImageParams,
    JobContext,
    JobFailed,
    JobSucceeded,
    ModelInfo,
    StepCompleted,
)

logger = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class _Job:
    params: ImageParams
    emit: Callable[[Event], None]
    context: JobContext
    accepted_s: float
    sent_s: float = 0.0  # to the present process
    last_step: int = 0  # the highest step reported: a retry does not report a step again


class ProcessEngine:
    """Implements `daguerre.engine.interface.Engine`.

    There is a process for each of `builds`, which make the engine in it; `models` is what each will
    serve. A process that does no work for `timeout_s` while it has some, or shows no life for so
    long, is replaced; so is one that is not loaded after `model_load_timeout_s`. Each works on up
    to `max_running_jobs` jobs at a time; those that wait do so for whichever is free first.
    """

    def __init__(
        self,
        builds: Sequence[EngineFactory],
        models: Sequence[ModelInfo],
        *,
        max_queued_jobs: int,
        max_running_jobs: int,
        timeout_s: float,
        max_queued_prompt_bytes: int = MAX_QUEUED_PROMPT_BYTES,
        model_load_timeout_s: float = 600.0,
        log_level: int = logging.INFO,
    ) -> None:
        assert builds, "an engine without a process. This is a bug."
        self._models = {info.model: info for info in models}
        max_jobs = max_queued_jobs + max_running_jobs * len(builds)
        self._admission = Admission(max_jobs, max_queued_prompt_bytes)
        self._max_running = max_running_jobs
        self._make_watch = functools.partial(Watchdog, timeout_s, model_load_timeout_s)
        sign_of_life_s = self._make_watch().sign_of_life_s
        self._begins = [
            InitWorker(build, tuple(models), os.getpid(), log_level, sign_of_life_s)
            for build in builds
        ]
        self._prepared: dict[int, WorkerProcess] = {}
        self._numbers = itertools.count(1)
        # All below is read and written under this lock.
        self._changed = threading.Condition()
        self._jobs: dict[int, _Job] = {}  # accepted and not ended
        self._num_done = self._num_failed = self._num_cancelled = 0
        self._is_started = False
        self._reset()

    def _reset(self) -> None:
        count = len(self._begins)
        self._stations = Stations(count, self._make_child, self._make_watch, self._changed, self)
        self._roster = JobDispatcher(self._max_running, count, self._stations.may_serve)
        self._ahead = QueuePositions(self._roster.queue_positions)
        self._is_draining = False

    def prepare(self) -> None:
        """Begins the first processes before `start`, which then need not wait for them. To be
        called from a thread that lives on, and followed by `start` or `close`."""
        for number, begin in enumerate(self._begins):
            try:
                self._prepared[number] = WorkerProcess(begin)
            except OSError:
                pass  # `start` will try again, and tell

    def close(self) -> None:
        """Ends whatever processes there still are: those that were prepared and not used, or whose
        `stop` a hurried end has left out."""
        for child in self._prepared.values():
            child.end()
        self._prepared.clear()
        with self._changed:
            self._stations.stop()
        self._stations.join()

    async def start(self) -> None:
        """Also starts an engine again that was stopped."""
        assert not self._is_started, "the engine was started twice. This is a bug."
        with self._changed:
            self._is_started = True
            self._reset()
        self._stations.start()

    async def stop(self) -> None:
        """Jobs that have not ended get `JobFailed(UnavailableError)`; returns when no process is
        left.
        """
        with self._changed:
            self._stations.stop()
        await asyncio.to_thread(self._stations.join)
        self._is_started = False

    async def drain(self) -> None:
        """Refuses new jobs from now on and returns when the accepted ones have ended."""
        with self._changed:
            self._is_draining = True
        while self._jobs:
            await asyncio.sleep(DRAIN_POLL_S)

    def models(self) -> tuple[ModelInfo, ...]:
        return tuple(self._models.values())

    def generate(
        self, params: ImageParams, context: JobContext = DEFAULT_CONTEXT
    ) -> AsyncGenerator[Event, None]:
        """See `Engine.generate`; raises `NotFoundError` for a model that is not served, too."""
        return stream(self, params, context)

    def stats(self) -> EngineStats:
        """Ready while a process that died is replaced: jobs are taken, and wait for the next."""
        with self._changed:
            stats = self._stations.stats(self._models)
            return replace(
                stats,
                is_ready=stats.is_ready and not self._is_draining,
                num_queued=len(self._jobs) - self._roster.num_begun,
                num_running=self._roster.num_begun,
                num_succeeded=self._num_done,
                num_failed=self._num_failed,
                num_cancelled=self._num_cancelled,
                backlog_s=stats.service_times.expected_s(self._admission.num_jobs()),
                is_draining=self._is_draining,
                workers=self._stations.workers(self._roster.num_held),
            )

    @property
    def pids(self) -> list[int]:
        """Of the present processes."""
        found = (supervisor.pid for supervisor in self._stations.supervisors)
        return [pid for pid in found if pid is not None]

    def submit(
        self, params: ImageParams, emit: Callable[[Event], None], context: JobContext
    ) -> tuple[int, int]:
        """The job's number, and how many are ahead of it."""
        with self._changed:
            self._refuse(params)
            self._admission.check_capacity(params)
            ahead = Counter(self._roster.models_before(context.tenant))
            check_deadline(
                context, ahead.total(), *self._stations.estimate_wait(ahead, params.model)
            )
            self._admission.add(params)
            number = next(self._numbers)
            self._jobs[number] = _Job(params, emit, context, time.monotonic())
            self._roster.add(number, context.tenant, params.model)
            self._send_jobs()
        return number, ahead.total()

    def queue_position(self, number: int) -> int | None:
        """None once it is begun, or has ended."""
        with self._changed:
            return self._ahead.position(number) if number in self._jobs else None

    def cancel(self, number: int) -> None:
        """The place in the queue is free at once, the row from the next forward on."""
        with self._changed:
            if number not in self._jobs:
                return
            self._pop(number)
            self._num_cancelled += 1
            station = self._roster.remove(number)
            if station is not None:
                self._stations.send(station, CancelJob(number))
            self._send_jobs()

    def _make_child(self, station: int) -> WorkerProcess:
        return self._prepared.pop(station, None) or WorkerProcess(self._begins[station])

    def _refuse(self, params: ImageParams) -> None:
        """Raises if the job cannot be taken."""
        check_served(params, self._models)
        if self._stations.failure:
            raise UnavailableError("the engine cannot be started; the server's log says why")
        if not self._is_started or self._stations.is_stopping or self._is_draining:
            raise NotReadyError("the server is stopping and takes no new requests")
        if not self._stations.was_loaded(params.model):
            raise NotReadyError("the model is still loading")

    def _send_jobs(self) -> None:
        takers = self._stations.takers()
        for station in takers:
            if not self.has_work(station):
                self._stations.supervisors[station].note_request()
        for number, station in (*self._roster.withdraw(), *self._roster.recall(takers)):
            self._stations.send(station, CancelJob(number))
        for number, station in self._roster.send(takers):
            job = self._jobs[number]
            job.sent_s = time.monotonic()
            # Here alone is known who is ahead, and so whether there is time.
            run = SubmitJob(number, job.params, replace(job.context, timeout_s=None))
            self._stations.send(station, run)

    # What the stations call, under the lock.

    def has_work(self, station: int) -> bool:
        return self._roster.is_busy(station)

    def deal(self) -> None:
        self._send_jobs()

    def hear(self, station: int, message: WorkStarted | JobEvent | CancelAcknowledged) -> None:
        if isinstance(message, WorkStarted):
            if self._roster.work_on(station, message.numbers, has_begun=message.has_begun):
                self._send_jobs()
        elif isinstance(message, CancelAcknowledged):
            self._roster.let_go(station, message.number)
            self._send_jobs()
        else:
            self._hear_event(station, message)

    def die(self, station: int, reason: str) -> None:
        for number in self._roster.die(station):
            job = self._pop(number)  # the roster has removed it
            name = f"job {number} (id={job.context.request_id})"
            logger.error("%s is given up: each time the engine's process %s", name, reason)
            self._num_failed += 1
            told = f"the engine died {MAX_DEATHS} times while it made this image; not tried again"
            job.emit(JobFailed(InternalError(told)))
        if self._jobs:
            logger.info("%d jobs wait for the next process", len(self._jobs))
        self._send_jobs()

    def end(self, station: int, told: str) -> None:
        """Jobs go on where another process is."""
        if not (self._stations.is_stopping or self._stations.failure):
            failure = self._stations.supervisors[station].failure
            logger.error("worker %d is not tried again, others go on: %s", station, failure)
            return self.die(station, "is not replaced")
        for number in list(self._jobs):
            self._num_cancelled += 1
            self._end_job(number, JobFailed(UnavailableError(told)))

    def _hear_event(self, station: int, told: JobEvent) -> None:
        job, event = self._jobs.get(told.number), told.event
        if job is None or not self._roster.has(station, told.number):
            return  # it was cancelled meanwhile, or given to another
        if isinstance(event, JobSucceeded):
            self._num_done += 1
            self._stations.supervisors[station].note_image()
            self._end_job(told.number, _in_full(event, job))
        elif isinstance(event, JobFailed):
            self._num_failed += 1
            self._end_job(told.number, event)
        elif isinstance(event, StepCompleted) and event.index > job.last_step:
            job.last_step = event.index
            job.emit(event)
        self._send_jobs()

    def _end_job(self, number: int, event: Event) -> None:
        job = self._pop(number)
        self._roster.remove(number, has_ended=True)
        job.emit(event)

    def _pop(self, number: int) -> _Job:
        job = self._jobs.pop(number)
        self._admission.remove(job.params)
        return job


def _in_full(done: JobSucceeded, job: _Job) -> JobSucceeded:
    """The time in the queue is counted from acceptance, lost attempts included."""
    waited_ms = (job.sent_s - job.accepted_s) * 1000
    timings = done.image.timings
    timings = replace(timings, queue_ms=timings.queue_ms + waited_ms)
    return JobSucceeded(replace(done.image, timings=timings))
