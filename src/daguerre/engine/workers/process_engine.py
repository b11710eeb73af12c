"""`ProcessEngine`: an engine in worker processes, each replaced when it dies or hangs.

A replaced worker's jobs are retried. The same seed gives the same bytes, so clients notice only the
delay. `dispatcher` decides where each job runs, and `pool` runs the workers.
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
from collections.abc import Callable, Sequence
from dataclasses import replace

from daguerre.engine.ended_jobs import EndedJobs, Outcome
from daguerre.engine.interface import EngineStats, add_loads, check_ready, find_model
from daguerre.engine.job import AssignedJob
from daguerre.engine.scheduling.admission import MAX_QUEUED_PROMPT_BYTES, Admission
from daguerre.engine.stream import JobQueue, QueuePositions, wait_until_empty
from daguerre.engine.workers import messages
from daguerre.engine.workers.dispatcher import MAX_CRASHES_PER_JOB, JobDispatcher
from daguerre.engine.workers.pool import WorkerPool
from daguerre.engine.workers.process import WorkerProcess
from daguerre.engine.workers.slot import WorkerHandle
from daguerre.engine.workers.watchdog import Watchdog
from daguerre.errors import DaguerreError, InternalError, UnavailableError
from daguerre.params import (
    Event,
    ImageParams,
    JobContext,
    JobFailed,
    JobSucceeded,
    ModelInfo,
    StepCompleted,
)

logger = logging.getLogger(__name__)


class ProcessEngine(JobQueue):
    """An `Engine` in one worker for each of `engine_factories`, which build its engine there.

    Every worker serves `models` and works on up to `max_running_jobs` jobs at a time. It is
    replaced if it makes no progress or sends no heartbeat for `hang_timeout_s`, or has not loaded
    its models after `model_load_timeout_s`. `start_worker` raises OSError if it cannot start one.
    """

    def __init__(
        self,
        engine_factories: Sequence[messages.EngineFactory],
        models: Sequence[ModelInfo],
        *,
        max_queued_jobs: int,
        max_running_jobs: int,
        hang_timeout_s: float,
        max_queued_prompt_bytes: int = MAX_QUEUED_PROMPT_BYTES,
        model_load_timeout_s: float = 600.0,
        log_level: int = logging.INFO,
        start_worker: Callable[[messages.InitWorker], WorkerHandle] = WorkerProcess,
    ) -> None:
        assert engine_factories, "an engine without workers. This is a bug."
        self._models = {info.id: info for info in models}
        self._admission = Admission(
            max_queued_jobs, max_running_jobs * len(engine_factories), max_queued_prompt_bytes
        )
        self._max_running = max_running_jobs
        self._make_watchdog = functools.partial(Watchdog, hang_timeout_s, model_load_timeout_s)
        interval_s = self._make_watchdog().heartbeat_interval_s
        inits = [
            messages.InitWorker(factory, tuple(models), os.getpid(), log_level, interval_s)
            for factory in engine_factories
        ]
        self._start_worker = start_worker
        self._starters = [functools.partial(self._start, init) for init in inits]
        self._numbers = itertools.count(1)
        self._lock = threading.Condition()  # guards everything below
        self._jobs: dict[int, AssignedJob] = {}  # accepted and not ended
        self._ended = EndedJobs(self._models)
        self._is_started = False
        self._reset()

    def _reset(self) -> None:
        self._pool = WorkerPool(
            self._starters, self._make_watchdog, self._lock, self, len(self._models)
        )
        num_workers = len(self._starters)
        self._dispatcher = JobDispatcher(self._max_running, num_workers, self._pool.may_serve)
        self._positions = QueuePositions(self._dispatcher.queue_positions)
        self._is_draining = self._accepts_early = False

    def _start(self, init: messages.InitWorker) -> WorkerHandle:
        with self._lock:
            excluded = self._pool.load_crashes.excluded()
        return self._start_worker(replace(init, excluded=excluded))

    def prestart(self) -> None:
        """Starts the workers ahead of `start`, from a thread that outlives them."""
        for slot in self._pool.slots:
            slot.prestart()

    def close(self) -> None:
        """Ends all workers and fails the remaining jobs with `UnavailableError`. Idempotent."""
        with self._lock:
            for slot in self._pool.slots:
                slot.stop()
        for slot in self._pool.slots:
            slot.join()
        with self._lock:
            self._reset()

    async def start(self) -> None:
        """Starts the engine, also again after `stop`."""
        assert not self._is_started, "the engine was started twice. This is a bug."
        self._is_started = True
        for slot in self._pool.slots:
            slot.start()

    def accept_early(self) -> None:
        """Accepts jobs from now on, which wait for `start` and for a worker that is ready."""
        with self._lock:
            self._accepts_early = True

    async def stop(self) -> None:
        """See `close`."""
        await asyncio.to_thread(self.close)
        self._is_started = False

    async def drain(self) -> None:
        """Refuses new jobs from now on and returns when the accepted ones have ended."""
        with self._lock:
            self._is_draining = True
        await wait_until_empty(self._jobs)

    def models(self) -> tuple[ModelInfo, ...]:
        return tuple(self._models.values())

    def stats(self) -> EngineStats:
        """The engine is ready while a worker is being replaced: it accepts and queues jobs."""
        with self._lock:
            pool, service_times = self._pool, self._pool.service_times()
            running = self._dispatcher.running_by_model()
            can_serve = pool.is_healthy and any(map(pool.has_been_ready, self._models))
            return EngineStats(
                is_ready=can_serve and not self._is_draining,
                queued=Counter(self._admission.num_jobs()) - running,
                running=running,
                ended=self._ended.by_model(),
                num_forwards=sum(slot.stats.num_forwards for slot in pool.slots),
                num_rows=sum(slot.stats.num_rows for slot in pool.slots),
                service_times=service_times,
                backlog_s=service_times.expected_s(self._admission.num_jobs(), pool.num_serving),
                certificates=pool.certificates(),
                failure=pool.failure,
                is_draining=self._is_draining,
                loaded=pool.fingerprints(),
                load_failures=pool.load_failures(),
                loads=add_loads(slot.stats.loads for slot in pool.slots),
                workers=pool.worker_stats(self._dispatcher.num_assigned),
            )

    def submit(
        self, params: ImageParams, emit: Callable[[Event], None], context: JobContext
    ) -> tuple[int, int]:
        """See `JobQueue.submit`."""
        with self._lock:
            find_model(params.model, self.models())
            is_open = (self._is_started or self._accepts_early) and not self._is_draining
            is_closing = not is_open or self._pool.is_stopping
            is_ready = self._accepts_early or self._pool.has_been_ready(params.model)
            check_ready(self._pool.failure, is_closing, is_ready)
            num_ahead = self._admission.admit(params, context, self._estimate_wait)
            number = next(self._numbers)
            self._jobs[number] = AssignedJob(number, params, emit, time.monotonic(), context)
            self._dispatcher.add(number, context.tenant, params.model)
            self.dispatch()
        return number, num_ahead

    def _estimate_wait(self, params: ImageParams, context: JobContext) -> tuple[int, float, float]:
        ahead = Counter(self._dispatcher.models_ahead_of(context.tenant))
        times, num_workers = self._pool.service_times(), self._pool.num_serving
        return ahead.total(), *times.estimate_wait(ahead, params.model, num_workers)

    def queue_position(self, number: int) -> int | None:
        """See `JobQueue.queue_position`."""
        with self._lock:
            return self._positions.position(number) if number in self._jobs else None

    def cancel(self, number: int) -> None:
        """Frees the job's place in the queue at once, and its batch row at the next forward."""
        with self._lock:
            if number in self._jobs:
                self._ended.count(self._pop(number).params.model, "cancelled")
                worker = self._dispatcher.remove(number)
                if worker is not None:
                    self._pool.slots[worker].send(messages.CancelJob(number))
                self.dispatch()

    def dispatch(self) -> None:
        """See `WorkerPoolListener.dispatch`."""
        ready = self._pool.ready_workers()
        dispatcher = self._dispatcher
        revoked = dispatcher.revoke_mismatched() + dispatcher.rebalance(ready)
        for number, worker in revoked + dispatcher.make_room(ready):
            self._pool.slots[worker].send(messages.CancelJob(number))
        for number, worker in self._dispatcher.dispatch(ready):
            job = self._jobs[number]
            job.sent_s = time.monotonic()
            # The server alone enforces deadlines: only it sees the whole queue.
            context = replace(job.context, timeout_s=None)
            self._pool.slots[worker].send(messages.SubmitJob(number, job.params, context))

    # Callbacks of the pool, see `WorkerPoolListener`.

    def is_busy(self, worker: int) -> bool:
        return self._dispatcher.is_busy(worker)

    def on_message(self, worker: int, message: messages.JobMessage) -> None:
        if isinstance(message, messages.WorkStarted):
            jobs, is_running = message.numbers, message.is_running
            if not self._dispatcher.on_work_started(worker, jobs, is_running=is_running):
                return
        elif isinstance(message, messages.CancelAcknowledged):
            self._dispatcher.on_cancel_ack(worker, message.number)
        elif self._dispatcher.is_assigned(worker, message.number):
            self._on_event(message.number, message.event)
        self.dispatch()

    def on_worker_died(self, worker: int, reason: str) -> int:
        num_assigned = self._dispatcher.num_assigned(worker)
        failed = self._dispatcher.on_worker_died(worker)
        crashes = f"crashed {MAX_CRASHES_PER_JOB} times"
        for number in failed:
            job = self._pop(number)
            text = "request_id=%s failed: its worker %s; the last one %s"
            logger.error(text, job.context.request_id, crashes, reason)
            self._ended.count(job.params.model, "failed")
            text = f"the worker {crashes} during this request; {job.context.log_hint}"
            job.emit(JobFailed(InternalError(text)))
        self.dispatch()
        return num_assigned - len(failed)

    def on_worker_failed(self, worker: int) -> None:
        failure = self._pool.slots[worker].failure
        if self._pool.is_stopping:
            self._fail_all(UnavailableError("the server is shutting down"))
        elif self._pool.failure:
            self._fail_all(UnavailableError("the engine has failed"))
        else:
            logger.error("worker %d is not restarted, others continue: %s", worker, failure)
            self.on_worker_died(worker, failure)

    def _on_event(self, number: int, event: Event) -> None:
        job = self._jobs[number]
        if isinstance(event, JobSucceeded):
            self._end(number, job.with_queue_time(event), "succeeded")
        elif isinstance(event, JobFailed):
            self._end(number, event, "failed")
        elif isinstance(event, StepCompleted):
            job.emit_step(event)

    def _fail_all(self, error: DaguerreError) -> None:
        """Fails all jobs; they count as cancelled."""
        for number in list(self._jobs):
            self._end(number, JobFailed(error), "cancelled")

    def _end(self, number: int, event: Event, outcome: Outcome) -> None:
        job = self._pop(number)
        self._ended.count(job.params.model, outcome)
        self._dispatcher.remove(number, has_ended=True)
        job.emit(event)

    def _pop(self, number: int) -> AssignedJob:
        job = self._jobs.pop(number)
        self._admission.remove(job.params)
        return job
