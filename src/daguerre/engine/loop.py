"""The engine's turn: take the next group, evaluate it, hand every pipeline its rows.

Owns the networks and the running pipelines, and is called by one thread. A job that fails, whether
in its pipeline or in a network, fails alone. Knows nothing of threads, asyncio or how many jobs may
wait: see `daguerre.engine.thread_engine`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import NamedTuple

from daguerre.engine.batching.batcher import Batcher, ForwardResult
from daguerre.engine.batching.certificates import CertificateStore
from daguerre.engine.batching.warmup import Preparation
from daguerre.engine.forward import ForwardRequest, Network, NetworkChanged, Outputs
from daguerre.engine.job import Job, WorkObserver
from daguerre.engine.model_manager import ModelManager
from daguerre.engine.pipeline import KeyedModel, Model, Pixels, check_pixels
from daguerre.engine.previews import draw_preview, is_due
from daguerre.engine.scheduling.cost_meter import CostMeter
from daguerre.engine.scheduling.scheduler import PendingForward, Scheduler
from daguerre.engine.scheduling.service_time import ServiceTimes
from daguerre.errors import DaguerreError, InternalError, UnavailableError
from daguerre.params import (
    BatchingMode,
    GeneratedImage,
    ImageParams,
    JobFailed,
    JobSucceeded,
    StepCompleted,
)

logger = logging.getLogger(__name__)


class BatchKey(NamedTuple):
    """Forwards with equal keys may share an evaluation."""

    model: str
    network: str
    signature: str


class Loop:
    """`on_end` is called with each job that ends, before its last event."""

    def __init__(
        self,
        models: Mapping[str, Model],
        certificates: CertificateStore,
        max_running_jobs: int,
        clock: Callable[[], float],
        on_end: Callable[[Job], None],
        before_work: WorkObserver | None = None,
    ) -> None:
        self._models = models
        self.model_manager = ModelManager(models, clock)
        self._arrivals: list[Job] = []  # whose model is not loaded, or who are behind such a job
        self._certificates = certificates
        self._meter = CostMeter(clock)
        preparation = Preparation(clock, self._meter, self._tell_preparing)
        self._batcher = Batcher(certificates, clock, preparation)
        self._scheduler = Scheduler(max_running_jobs, self._num_sharing)
        self._jobs: dict[int, Job] = {}
        self._group: Sequence[Job] = ()  # for which a network is evaluated
        self._clock = clock
        self._on_end, self._before_work = on_end, before_work
        self.num_succeeded = self.num_failed = self.num_cancelled = 0
        self.service_times = ServiceTimes()

    @property
    def has_jobs(self) -> bool:
        return bool(self._jobs)

    @property
    def num_forwards(self) -> int:
        return self._batcher.num_forwards

    @property
    def num_rows(self) -> int:
        return self._batcher.num_rows

    def certificates(self) -> dict[str, bool]:
        return self._certificates.held({n.fingerprint for n in self.model_manager.all_networks()})

    def add(self, job: Job) -> None:
        """What a loaded model cannot do is refused here, before the job waits for its turn."""
        self._jobs[job.number] = job
        self._arrivals.append(job)
        self._settle()

    def _settle(self) -> None:
        """Jobs whose model is loaded go on; for the oldest other room is made.

        Where those that work must end first, all that arrive meanwhile wait behind it: else others'
        models would always be at work, and it would never be loaded.
        """
        while self._arrivals:
            model = self._arrivals[0].params.model
            if not self._has_loaded(model):
                return
            mine = [job for job in self._arrivals if job.params.model == model]
            self._arrivals = [job for job in self._arrivals if job.params.model != model]
            for job in mine:
                self._begin(job)

    def _has_loaded(self, model: str) -> bool:
        """Whether the model's jobs need wait no longer, be it that it cannot be loaded."""
        if self.model_manager.is_loaded(model):
            return True
        waiting = set(self._arrivals)
        busy = {job.params.model for job in self._jobs.values() if job not in waiting}
        if not self.model_manager.failed_recently(model):
            try:
                if not self.model_manager.evict_until_fits(model, busy):
                    return False
                mine = [job for job in self._arrivals if job.params.model == model]
                self._tell_work(mine, is_preparing=True)
                self.model_manager.load(model)
                self._meter.pause()  # no part of what jobs cost
            except Exception:  # a model's code may raise anything; the loop goes on
                logger.exception("the model %s could not be loaded", model)
        return True

    def _begin(self, job: Job) -> None:
        model = job.params.model
        self._tell_work([job])
        try:
            if not self.model_manager.is_loaded(model):
                raise UnavailableError(f"the model {model!r} could not be loaded; the log says why")
            self.model_manager.touch(model)
            job.pipeline = self._models[model].pipeline(job.params)
        except Exception as error:  # a model's code may raise anything; the loop goes on
            self._fail(job, error)
        else:
            self._scheduler.add(job.number, job.context.tenant, self._lane(job.params))

    def cancel(self, job: Job) -> None:
        """Nothing happens when the job has ended before."""
        if self._jobs.get(job.number) is job:
            self.num_cancelled += 1
            self._remove(job)

    def cancel_all(self, error: DaguerreError) -> None:
        for job in list(self._jobs.values()):
            self.cancel(job)
            job.emit(JobFailed(error))

    def fail_all(self, error: Exception) -> None:
        for job in list(self._jobs.values()):
            self._fail(job, error)

    def turn(self) -> None:
        """Lets waiting jobs in, then runs one group of forwards, if there is one."""
        self._settle()
        self._meter.begin()
        for number in self._scheduler.admit():
            self._tell_work([self._jobs[number]])
            self._resume(self._jobs[number], None)
        group = [self._jobs[number] for number in self._scheduler.schedule()]
        if group:
            network = self.model_manager.networks(group[0].params.model)[group[0].network]
            try:
                outcomes = self._evaluate(group, network)
            except NetworkChanged:
                self._start_over(network)
            else:
                for job, outcome in zip(group, outcomes, strict=True):
                    self._hand_over(job, outcome)
        self._meter.end([job for job in group if job.number in self._jobs] or self._jobs.values())
        if not self._jobs:
            self._tell_work([])

    def _tell_work(self, jobs: Sequence[Job], is_preparing: bool = False) -> None:
        if self._before_work:
            self._before_work(jobs, is_preparing)

    def _tell_preparing(self, is_preparing: bool) -> None:
        self._tell_work(self._group, is_preparing)

    def _evaluate(self, group: Sequence[Job], network: Network) -> list[ForwardResult]:
        forwards = [job.pending for job in group if job.pending is not None]
        now_s = self._clock()
        for job, forward in zip(group, forwards, strict=True):
            if not job.has_begun:
                job.enter(forward.stage, now_s)
        self._tell_work(group)
        self._group = group
        try:
            return self._batcher.run(network, forwards, self._mode(group[0].params.model))
        finally:
            self._group = ()

    def _lane(self, params: ImageParams) -> Hashable:
        model = self._models[params.model]
        return (params.model, model.batch_class(params) if isinstance(model, KeyedModel) else None)

    def _mode(self, model: str) -> BatchingMode:
        return self._models[model].info.batching

    def _start_over(self, network: Network) -> None:
        """Of a picture that was begun with a network of other bits nothing is kept."""
        for job in list(self._jobs.values()):
            if job.has_begun and network in self.model_manager.networks(job.params.model).values():
                self._restart(job)

    def _restart(self, job: Job) -> None:
        try:
            job.close()
            job.pipeline = self._models[job.params.model].pipeline(job.params)
        except Exception as error:  # a model's code may raise anything; the loop goes on
            self._fail(job, error)
        else:
            self._resume(job, None)

    def _hand_over(self, job: Job, outcome: ForwardResult) -> None:
        self._meter.charge(job, outcome.cost_s)
        if outcome.outputs is None:
            assert outcome.error is not None, "neither outputs nor error. This is a bug."
            self._fail(job, outcome.error)
            return
        assert job.pending is not None, "outputs that nobody asked for. This is a bug."
        answered, step = job.pending, job.pending.step
        has_preview = is_due(answered, job.params.num_previews)
        if step is not None:
            self.service_times = self.service_times.with_provisional(
                job.params.model, job.projected_cost_s(*step)
            )
        if step is not None and not has_preview:
            job.emit(StepCompleted(*step))
        self._resume(job, outcome.outputs)
        if step is not None and has_preview and job.number in self._jobs:
            job.emit(StepCompleted(*step, draw_preview(answered, outcome.outputs)))

    def _resume(self, job: Job, outputs: Outputs | None) -> None:
        """Runs the pipeline up to its next forward, or its end."""
        assert job.pipeline is not None, "a job without a pipeline. This is a bug."
        started_s = self._clock()
        try:
            forward = next(job.pipeline) if outputs is None else job.pipeline.send(outputs)
            self._ask(job, forward)
        except StopIteration as end:
            self._meter.charge(job, self._clock() - started_s)
            self._finish(job, end.value)
        except Exception as error:  # a pipeline may raise anything; the loop goes on
            self._fail(job, error)
        else:
            self._meter.charge(job, self._clock() - started_s)

    def _ask(self, job: Job, forward: ForwardRequest) -> None:
        model = job.params.model
        networks = self.model_manager.networks(model)
        if forward.network not in networks:
            known = ", ".join(sorted(networks))
            raise ValueError(f"model {model!r} has no network {forward.network!r}; it has {known}")
        job.pending = forward
        if job.has_begun:
            job.enter(forward.stage, self._clock())
        key = BatchKey(model, forward.network, forward.signature)
        self._scheduler.ask(
            job.number, PendingForward(key, forward.rows, forward.stage == "encode")
        )

    def _num_sharing(self, key: Hashable, rows: Sequence[int]) -> int:
        assert isinstance(key, BatchKey), "a foreign key. This is a bug."
        fingerprint = self.model_manager.networks(key.model)[key.network].fingerprint
        max_batch_size = self._models[key.model].max_batch_size.get(key.network, 1)
        batching = self._mode(key.model)
        return self._batcher.num_sharing(fingerprint, key.signature, rows, max_batch_size, batching)

    def _finish(self, job: Job, pixels: Pixels) -> None:
        try:
            check_pixels(pixels, job.params)
        except ValueError as error:
            self._fail(job, error)
            return
        job.enter("end", self._clock())
        self.num_succeeded += 1
        self.service_times = self.service_times.with_sample(job.params.model, job.cost_s)
        info = self._models[job.params.model].info
        self._remove(job)
        job.emit(JobSucceeded(GeneratedImage(pixels, job.params, info, job.timings())))

    def _fail(self, job: Job, error: Exception) -> None:
        if not isinstance(error, DaguerreError):
            logger.error("%s failed", job.name, exc_info=error)
            cause = error
            error = InternalError("the image could not be made; the server's log says why")
            error.__cause__ = cause
        self.num_failed += 1
        self._remove(job)
        job.emit(JobFailed(error))

    def _remove(self, job: Job) -> None:
        del self._jobs[job.number]
        if job in self._arrivals:
            self._arrivals.remove(job)
        self._scheduler.remove(job.number)
        self._on_end(job)
        try:
            job.close()
        except Exception:  # clean-up code of a pipeline may raise anything; the loop goes on
            logger.exception("pipeline of %s did not close", job.name)
