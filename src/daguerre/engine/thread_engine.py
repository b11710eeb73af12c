"""`ThreadEngine`: an engine in a thread of the current process.

The engine's thread loads the models and runs the loop. Submissions and cancellations from other
threads go through lists under one lock; the engine's thread emits the events.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from daguerre import memory
from daguerre.engine.batching.certificates import CertificateStore
from daguerre.engine.interface import EngineStats, check_ready, find_model
from daguerre.engine.job import Job, WorkObserver
from daguerre.engine.loop import Loop
from daguerre.engine.model_manager import log_failure
from daguerre.engine.pipeline import Model
from daguerre.engine.scheduling.admission import MAX_QUEUED_PROMPT_BYTES, Admission
from daguerre.engine.stream import JobQueue, QueuePositions, wait_until_empty
from daguerre.errors import InternalError, UnavailableError
from daguerre.params import DEFAULT_CONTEXT, Event, ImageParams, JobContext, ModelInfo

logger = logging.getLogger(__name__)


class ThreadEngine(JobQueue):
    """Implements `daguerre.engine.interface.Engine`.

    At most `max_running_jobs + max_queued_jobs` jobs of each model are accepted at a time, with at
    most `max_queued_prompt_bytes` of prompts. `certificates` is the file that stores them; None
    keeps them in memory. Any event loop may call `generate`, and any thread `submit` and `cancel`.
    """

    def __init__(
        self,
        models: Sequence[Model],
        *,
        max_queued_jobs: int,
        max_running_jobs: int,
        max_queued_prompt_bytes: int = MAX_QUEUED_PROMPT_BYTES,
        certificates: Path | None = None,
        clock: Callable[[], float] = time.perf_counter,
        observer: WorkObserver | None = None,
    ) -> None:
        self._models = {model.info.id: model for model in models}
        assert len(self._models) == len(models), "two models with one ID. This is a bug."
        self._admission = Admission(max_queued_jobs, max_running_jobs, max_queued_prompt_bytes)
        self._clock, self._observer = clock, observer or WorkObserver()
        self._numbers = itertools.count(1)
        store = CertificateStore(certificates)
        self._loop = Loop(self._models, store, max_running_jobs, clock, self._release, observer)
        self._thread: threading.Thread | None = None
        # This lock guards all attributes below.
        self._lock = threading.Condition()
        self._jobs: dict[int, Job] = {}  # accepted and not ended
        self._submitted: list[Job] = []
        self._cancelled: list[Job] = []
        self._positions = QueuePositions(lambda: {job: i for i, job in enumerate(self._jobs)})
        self._is_loaded = self._is_draining = self._is_stopping = False
        self._failure = ""  # why the models could not be loaded

    async def start(self) -> None:
        """Starts the engine, also after a `stop`."""
        self.start_thread()

    def exclude(self, models: Mapping[str, str]) -> None:
        """Never loads these models. Values: why, in words for clients."""
        for model_id, reason in models.items():
            self._loop.model_manager.exclude(model_id, reason)

    def start_thread(self) -> None:
        """Starts the engine; for callers without an event loop."""
        assert self._thread is None, "the engine was started twice. This is a bug."
        with self._lock:
            self._is_loaded = self._is_draining = self._is_stopping = False
            self._failure = ""
        self._thread = threading.Thread(target=self._run, name="daguerre-engine", daemon=True)
        self._thread.start()

    async def stop(self) -> None:
        """See `stop_thread`."""
        await asyncio.to_thread(self.stop_thread)

    def stop_thread(self) -> None:
        """Ends all jobs with `JobFailed(UnavailableError)`, and returns when the thread ends."""
        with self._lock:
            self._is_stopping = True
            self._lock.notify()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    async def drain(self) -> None:
        """Rejects new jobs, and returns when all accepted jobs have ended."""
        with self._lock:
            self._is_draining = True
        await wait_until_empty(self._jobs)

    def models(self) -> tuple[ModelInfo, ...]:
        return tuple(model.info for model in self._models.values())

    def stats(self) -> EngineStats:
        loop, manager = self._loop, self._loop.model_manager
        with self._lock:
            running = Counter(job.params.model for job in self._jobs.values() if job.has_begun)
            return EngineStats(
                is_ready=self._is_loaded and not (self._is_draining or self._is_stopping),
                queued=Counter(self._admission.num_jobs()) - running,
                running=running,
                ended=loop.ended.by_model(),
                num_forwards=loop.batcher.num_forwards,
                num_rows=loop.batcher.num_rows,
                service_times=loop.service_times,
                backlog_s=loop.service_times.expected_s(self._admission.num_jobs()),
                certificates=loop.certificates(),
                failure=self._failure,
                is_draining=self._is_draining,
                loaded=manager.fingerprints(),
                load_failures=manager.load_failures(),
                loading=manager.loading,
                loads=manager.loads,
                resident_bytes=memory.resident_bytes(),
            )

    def submit(
        self,
        params: ImageParams,
        emit: Callable[[Event], None],
        context: JobContext = DEFAULT_CONTEXT,
        number: int | None = None,
    ) -> tuple[int, int]:
        """Accepts a job, and returns its number (given or new) and the number of jobs ahead.

        The engine's thread calls `emit` with all events but `JobQueued`; it must not raise. Raises
        as `Engine.generate` does.
        """
        with self._lock:
            find_model(params.model, self.models())
            is_closing = self._thread is None or self._is_stopping or self._is_draining
            check_ready(self._failure, is_closing, self._is_loaded)
            num_ahead = self._admission.admit(params, context, self._estimate_wait)
            number = next(self._numbers) if number is None else number
            job = Job(number, params, emit, self._clock(), context)
            self._jobs[number] = job
            self._submitted.append(job)
            self._lock.notify()
        return number, num_ahead

    def _estimate_wait(self, params: ImageParams, context: JobContext) -> tuple[int, float, float]:
        times, ahead = self._loop.service_times, self._admission.num_jobs()
        return len(self._jobs), *times.estimate_wait(ahead, params.model)

    def queue_position(self, number: int) -> int | None:
        """Number of jobs ahead of the job; None if it has begun or ended."""
        with self._lock:
            job = self._jobs.get(number)
            return None if job is None or job.has_begun else self._positions.position(number)

    def cancel(self, number: int) -> None:
        """Cancels a job: it frees its place at once, and its rows before the next forward."""
        with self._lock:
            job = self._jobs.get(number)
            if job is None:
                return
            self._release(job)
            # Jobs that come and go during a long forward must not fill the memory.
            if job in self._submitted:
                self._submitted.remove(job)
                self._loop.ended.count(job.params.model, "cancelled")
            else:
                self._cancelled.append(job)
                self._lock.notify()

    def _release(self, job: Job) -> None:
        """Releases the job's place, once: its number may belong to another job already."""
        with self._lock:
            if self._jobs.get(job.number) is job:
                del self._jobs[job.number]
                self._admission.remove(job.params)

    def _run(self) -> None:
        try:
            self._load()
            self._observer.on_idle()
            while self._wait():
                self._apply_changes()
                try:
                    self._loop.run_iteration()
                except Exception:  # a bug must not end the thread, nor repeat with the same jobs
                    logger.exception("an iteration of the engine failed. This is a bug.")
                    self._loop.fail_all(InternalError("the engine failed; see the server log"))
        finally:
            with self._lock:
                if not self._is_stopping:  # an exception that is not an `Exception`
                    self._failure = self._failure or "the engine's thread has ended. This is a bug."
                self._is_stopping = True
            self._apply_changes()
            self._loop.cancel_all(UnavailableError("the server is shutting down"))
            self._loop.model_manager.unload_all()

    def _load(self) -> None:
        manager, failures = self._loop.model_manager, []
        for model_id in manager.preload_ids():
            if self._is_stopping:
                return
            try:
                if reason := manager.exclusion(model_id):
                    raise UnavailableError(reason)
                if manager.fits(model_id):
                    manager.load(model_id)
                else:
                    text = "no free memory for %s: %s; its first request loads it"
                    logger.warning(text, model_id, manager.memory_text(model_id))
            except Exception as error:  # a model's code may raise anything
                reason = manager.describe(model_id, error)
                failures.append(f"the model {model_id} could not be loaded: {reason}")
                log_failure(failures[-1], error, is_reported=len(self._models) == 1)
            manager.free_failed()
        with self._lock:
            self._is_loaded = len(failures) < len(self._models)
            self._failure = "" if self._is_loaded else "; ".join(failures)

    def _wait(self) -> bool:
        """Waits until there is work or a model's idle time is over; False if the engine must
        stop."""
        loop, timeout_s = self._loop, self._loop.unload_idle()
        with self._lock:
            self._lock.wait_for(
                lambda: self._submitted or self._cancelled or self._is_stopping or loop.has_jobs,
                timeout_s,
            )
            return not self._is_stopping

    def _apply_changes(self) -> None:
        """Passes submissions and cancellations to the loop."""
        with self._lock:
            submitted, self._submitted = self._submitted, []
            cancelled, self._cancelled = self._cancelled, []
        # Cancellations first: a cancelled job may have been submitted again.
        for job in cancelled:
            self._loop.cancel(job)
        for job in submitted:
            self._loop.add(job)
