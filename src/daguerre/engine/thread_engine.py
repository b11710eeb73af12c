"""`ThreadEngine`: the engine in a thread of its own, spoken to from any other.

The thread loads the models, owns the loop and ends with `stop`. Requests and cancellations cross
over in lists under one lock; events are called back from the engine's thread. Knows nothing of what
a turn does: that is `daguerre.engine.loop`.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import threading
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path

from daguerre.engine.batching.certificates import CertificateStore
from daguerre.engine.interface import EngineStats
from daguerre.engine.job import Job, WorkObserver
from daguerre.engine.loop import Loop
from daguerre.engine.pipeline import Model
from daguerre.engine.scheduling.admission import Admission, check_deadline, check_served
from daguerre.engine.stream import QueuePositions, stream
from daguerre.errors import DaguerreError, InternalError, NotReadyError, UnavailableError
from daguerre.params import DEFAULT_CONTEXT, Event, ImageParams, JobContext, ModelInfo

logger = logging.getLogger(__name__)

MAX_QUEUED_PROMPT_BYTES = 4 * 1024 * 1024
# How often `drain` looks, in seconds.
DRAIN_POLL_S = 0.02


class ThreadEngine:
    """Implements `daguerre.engine.interface.Engine`.

    At most `max_running_jobs + max_queued_jobs` jobs of each model are accepted at a time, with at
    most `max_queued_prompt_bytes` of prompts. `certificates` is the file that keeps them, None
    keeps them in memory. `generate` may be called from any event loop, `submit` and `cancel` from
    any thread.
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
        before_work: WorkObserver | None = None,
    ) -> None:
        self._models = {model.info.model: model for model in models}
        assert len(self._models) == len(models), "two models of one name. This is a bug."
        self._admission = Admission(max_queued_jobs + max_running_jobs, max_queued_prompt_bytes)
        self._clock = clock
        self._numbers = itertools.count(1)
        store = CertificateStore(certificates)
        self._loop = Loop(self._models, store, max_running_jobs, clock, self._forget, before_work)
        self._thread: threading.Thread | None = None
        # All below is read and written under this lock, and its waiters told of a change.
        self._changed = threading.Condition()
        self._jobs: dict[int, Job] = {}  # accepted and not ended
        self._arrivals: list[Job] = []
        self._departures: list[Job] = []
        self._places = QueuePositions(self._look)
        self._num_withdrawn = 0  # that left before the loop had seen them
        self._is_loaded = self._is_draining = self._is_stopping = False
        self._failure = ""  # why the models could not be loaded

    async def start(self) -> None:
        """Also starts an engine again that was stopped."""
        self.start_thread()

    def start_thread(self) -> None:
        """`start` for callers without an event loop."""
        assert self._thread is None, "the engine was started twice. This is a bug."
        with self._changed:
            self._is_loaded = self._is_draining = self._is_stopping = False
            self._failure = ""
        self._thread = threading.Thread(target=self._run, name="daguerre-engine", daemon=True)
        self._thread.start()

    async def stop(self) -> None:
        """Jobs that have not ended get `JobFailed(UnavailableError)`; returns when the thread is
        gone.
        """
        with self._changed:
            self._is_stopping = True
            self._changed.notify()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)
            self._thread = None

    async def drain(self) -> None:
        """Refuses new jobs from now on and returns when the accepted ones have ended."""
        with self._changed:
            self._is_draining = True
        while self._jobs:
            await asyncio.sleep(DRAIN_POLL_S)

    def models(self) -> tuple[ModelInfo, ...]:
        return tuple(model.info for model in self._models.values())

    def generate(
        self, params: ImageParams, context: JobContext = DEFAULT_CONTEXT
    ) -> AsyncGenerator[Event, None]:
        """See `Engine.generate`; raises `NotFoundError` for a model that is not served, too."""
        return stream(self, params, context)

    def stats(self) -> EngineStats:
        with self._changed:
            num_jobs = len(self._jobs)
            num_running = sum(job.has_begun for job in self._jobs.values())
            is_ready = self._is_loaded and not (self._is_draining or self._is_stopping)
            failure, is_draining = self._failure, self._is_draining
            num_withdrawn = self._num_withdrawn
            num_of = self._admission.num_jobs()
        return EngineStats(
            is_ready=is_ready,
            num_queued=num_jobs - num_running,
            num_running=num_running,
            num_succeeded=self._loop.num_succeeded,
            num_failed=self._loop.num_failed,
            num_cancelled=self._loop.num_cancelled + num_withdrawn,
            num_forwards=self._loop.num_forwards,
            num_rows=self._loop.num_rows,
            service_times=self._loop.service_times,
            backlog_s=self._loop.service_times.expected_s(num_of),
            certificates=self._loop.certificates(),
            failure=failure,
            is_draining=is_draining,
            loaded=self._loop.model_manager.facts(),
            load_failures=self._loop.model_manager.failed(),
        )

    def submit(
        self,
        params: ImageParams,
        emit: Callable[[Event], None],
        context: JobContext = DEFAULT_CONTEXT,
        number: int | None = None,
    ) -> tuple[int, int]:
        """The job's number, the given one or the next, and how many are ahead of it.

        `emit` is called from the engine's thread with all events but `JobQueued`, and must not
        raise.
        """
        with self._changed:
            self._refuse(params)
            self._admission.check_capacity(params)
            num_ahead, num_of = len(self._jobs), self._admission.num_jobs()
            check_deadline(
                context, num_ahead, *self._loop.service_times.estimate_wait(num_of, params.model)
            )
            self._admission.add(params)
            number = next(self._numbers) if number is None else number
            job = Job(number, params, emit, stage_started_s=self._clock(), context=context)
            self._jobs[number] = job
            self._arrivals.append(job)
            self._changed.notify()
        return number, num_ahead

    def _refuse(self, params: ImageParams) -> None:
        """Raises if the job cannot be taken."""
        check_served(params, self._models)
        if self._failure:
            raise UnavailableError("the model could not be loaded; the server's log says why")
        if self._thread is None or self._is_stopping or self._is_draining:
            raise NotReadyError("the server is stopping and takes no new requests")
        if not self._is_loaded:
            raise NotReadyError("the model is still loading")

    def queue_position(self, number: int) -> int | None:
        """None once it is begun, or has ended."""
        with self._changed:
            job = self._jobs.get(number)
            return None if job is None or job.has_begun else self._places.position(number)

    def _look(self) -> dict[int, int]:
        return {number: ahead for ahead, number in enumerate(self._jobs)}

    def cancel(self, number: int) -> None:
        """The place in the queue is free at once, the row from the next forward on."""
        with self._changed:
            job = self._jobs.get(number)
            if job is None:
                return
            self._let_go(job)
            # Clients that come and leave while a forward takes long must not fill the memory.
            if job in self._arrivals:
                self._arrivals.remove(job)
                self._num_withdrawn += 1
            else:
                self._departures.append(job)
                self._changed.notify()

    def _forget(self, job: Job) -> None:
        with self._changed:
            self._let_go(job)

    def _let_go(self, job: Job) -> None:
        """Nothing happens when it is gone already; its number may be another job's by now."""
        if self._jobs.get(job.number) is job:
            del self._jobs[job.number]
            self._admission.remove(job.params)

    def _run(self) -> None:
        try:
            self._load()
            while self._take_changes():
                self._turn()
        finally:
            with self._changed:
                if not self._is_stopping:  # the thread dies of what no handler may catch
                    self._failure = self._failure or "the engine's thread has ended. This is a bug."
                self._is_stopping = True
            self._take_changes()
            self._loop.cancel_all(UnavailableError("the server is stopping"))
            self._loop.model_manager.clear()

    def _load(self) -> None:
        started_s = self._clock()
        model_manager = self._loop.model_manager
        for name in model_manager.preload_names():
            if self._is_stopping:
                return
            try:
                if not model_manager.fits(name):
                    logger.warning("%s does not fit into memory now; it waits for its use", name)
                    continue
                model_manager.load(name)
            except Exception as error:  # a model's code may raise anything; the engine says so
                # Whoever runs the engine tells the reason; here is only where it came from.
                logger.debug("model %s could not be loaded", name, exc_info=True)
                with self._changed:
                    self._failure = f"the model {name} could not be loaded: {_words(error)}"
                return
        logger.info("loaded all models of the start in %.1f s", self._clock() - started_s)
        with self._changed:
            self._is_loaded = True

    def _take_changes(self) -> bool:
        """Waits for something to do; False when it is time to stop."""
        with self._changed:
            while not (self._arrivals or self._departures or self._is_stopping):
                if self._loop.has_jobs:
                    break
                self._changed.wait()
            arrivals, self._arrivals = self._arrivals, []
            departures, self._departures = self._departures, []
            is_stopping = self._is_stopping  # read here: no job can arrive once it is true
        # Departures first: a job that was taken back may be among the arrivals again.
        for job in departures:
            self._loop.cancel(job)
        for job in arrivals:
            self._loop.add(job)
        return not is_stopping

    def _turn(self) -> None:
        try:
            self._loop.turn()
        except Exception:  # a bug of ours must not end the thread, nor be met again at each turn
            logger.exception("a turn of the engine failed. This is a bug.")
            self._loop.fail_all(InternalError("the engine failed; the server's log says why"))


def _words(error: Exception) -> str:
    """One line; an error without words is known by its kind."""
    words = " ".join(str(error).split())
    return words if isinstance(error, DaguerreError) else f"{type(error).__name__}: {words}"
