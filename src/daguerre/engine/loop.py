"""The engine's loop: evaluates the next batch of forwards and resumes the pipelines of its jobs.

It owns the networks and the running pipelines, and one thread calls it. A job that fails, in its
pipeline or in a network, fails alone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import NamedTuple

from daguerre.engine.batching.batcher import Batcher, ForwardResult
from daguerre.engine.batching.certificates import BatchConfig, CertificateStore
from daguerre.engine.ended_jobs import EndedJobs
from daguerre.engine.forward import ForwardRequest, Network, NetworkChanged, Outputs
from daguerre.engine.job import Job, WorkObserver
from daguerre.engine.model_manager import ModelManager
from daguerre.engine.pipeline import Model, Pixels, check_pixels
from daguerre.engine.previews import draw_preview, is_due
from daguerre.engine.scheduling.cost_meter import CostMeter
from daguerre.engine.scheduling.scheduler import PendingForward, Scheduler
from daguerre.engine.scheduling.service_time import ServiceTimes
from daguerre.engine.waiting_jobs import WaitingJobs
from daguerre.errors import DaguerreError, InternalError, UnavailableError
from daguerre.params import GeneratedImage, JobFailed, JobSucceeded, StepCompleted

logger = logging.getLogger(__name__)


class BatchKey(NamedTuple):
    """Forwards with equal keys may run in one batch."""

    model: str
    network: str
    signature: str


class Loop:
    """Runs jobs. `on_end` receives each job that ends, before its last event."""

    def __init__(
        self,
        models: Mapping[str, Model],
        certificates: CertificateStore,
        max_running_jobs: int,
        clock: Callable[[], float],
        on_end: Callable[[Job], None],
        observer: WorkObserver | None = None,
    ) -> None:
        self._models = models
        self._on_end, self._observer = on_end, observer or WorkObserver()
        self.model_manager = ModelManager(models, clock, self._on_load)
        self._waiting = WaitingJobs(self.model_manager, self._observer)
        self._certificates = certificates
        self._meter = CostMeter(clock)
        self.batcher = Batcher(certificates, clock, self._on_warmup_part, self._on_warmup_end)
        self._scheduler = Scheduler(max_running_jobs, self._num_batch_jobs)
        self._jobs: dict[int, Job] = {}
        self._batch: Sequence[Job] = ()  # the jobs whose forwards are being evaluated
        self._clock = clock
        self.ended = EndedJobs(models)
        self.service_times = ServiceTimes()

    @property
    def has_jobs(self) -> bool:
        return bool(self._jobs)

    def certificates(self) -> dict[str, bool]:
        """Label -> whether the batch is exact, for the loaded networks."""
        fingerprints = {network.fingerprint for network in self.model_manager.all_networks()}
        return self._certificates.results(fingerprints)

    def add(self, job: Job) -> None:
        """Adds a job, which the next iteration begins."""
        self._jobs[job.number] = job
        self._waiting.add(job)

    def _busy_models(self) -> set[str]:
        """Models with jobs that do not wait for them."""
        return {job.params.model for job in self._jobs.values() if job not in self._waiting}

    def _retire_faulty(self) -> None:
        """Fails the jobs of models with a fault, and unloads these models."""
        faults = self.model_manager.faults()
        for job in [job for job in self._jobs.values() if job.params.model in faults]:
            model = job.params.model
            self._fail(job, UnavailableError(f"the model {model!r} failed: {faults[model]}"))
        for model, reason in faults.items():
            self.model_manager.retire(model, reason)

    def _begin(self, job: Job) -> None:
        model_id, model = job.params.model, self._models[job.params.model]
        self._observer.on_work([job])
        try:
            if not self.model_manager.is_loaded(model_id):
                raise UnavailableError(
                    f"the model {model_id!r} could not be loaded; see the server log"
                )
            self.model_manager.touch(model_id)
            job.pipeline = model.pipeline(job.params)
            batch_class = model.batch_class(job.params)
            self._scheduler.add(job.number, job.context.tenant, (model_id, batch_class))
        except Exception as error:  # a model's code may raise anything
            self._fail(job, error)

    def cancel(self, job: Job) -> None:
        """Cancels a job; does nothing if it has ended."""
        if self._jobs.get(job.number) is job:
            self.ended.count(job.params.model, "cancelled")
            self._remove(job)

    def cancel_all(self, error: DaguerreError) -> None:
        for job in list(self._jobs.values()):
            self.cancel(job)
            job.emit(JobFailed(error))

    def fail_all(self, error: Exception) -> None:
        for job in list(self._jobs.values()):
            self._fail(job, error)

    def unload_idle(self) -> float | None:
        """Unloads the models whose idle time is over; returns the seconds until the next one's."""
        return self.model_manager.unload_idle({job.params.model for job in self._jobs.values()})

    def run_iteration(self) -> None:
        """Begins new jobs, then runs one batch of forwards, if there is one."""
        self._retire_faulty()
        for job in self._waiting.take_ready(self._busy_models):
            self._begin(job)
        self._meter.start_iteration()
        for number in self._scheduler.start_queued():
            self._observer.on_work([self._jobs[number]])
            self._resume(self._jobs[number], None)
        batch = [self._jobs[number] for number in self._scheduler.schedule()]
        if batch:
            self._run(batch)
        self._meter.end_iteration(
            [job for job in batch if job.number in self._jobs] or self._jobs.values()
        )
        for job in batch:
            self._scheduler.charge(job.number, job.cost_s)
        if not self._jobs:
            self._observer.on_idle()

    def _run(self, batch: Sequence[Job]) -> None:
        forwards = [job.pending for job in batch if job.pending is not None]
        model = batch[0].params.model
        network = self.model_manager.networks(model)[forwards[0].network]
        now_s = self._clock()
        for job, forward in zip(batch, forwards, strict=True):
            if not job.has_begun:
                job.enter(forward.stage, now_s)
        self._observer.on_work(batch)
        self._batch = batch
        try:
            results = self.batcher.run(network, forwards, self._models[model].info.batching)
        except NetworkChanged:
            self._restart_jobs_of(network)
        else:
            for job, result in zip(batch, results, strict=True):
                self._deliver(job, result)
        finally:
            self._batch = ()

    def _on_load(self) -> None:
        self._meter.reset()  # loading and unloading are not charged to a job
        self._observer.on_load()

    def _on_warmup_part(self) -> None:
        self._observer.on_work(self._batch, is_warmup=True)

    def _on_warmup_end(self, elapsed_s: float) -> None:
        self._observer.on_work(self._batch)
        self._meter.exclude(elapsed_s)

    def _restart_jobs_of(self, network: Network) -> None:
        """Restarts the jobs that have outputs of the network from before it changed."""
        for job in list(self._jobs.values()):
            if job.has_begun and network in self.model_manager.networks(job.params.model).values():
                try:
                    job.close()
                    job.pipeline = self._models[job.params.model].pipeline(job.params)
                except Exception as error:  # a model's code may raise anything
                    self._fail(job, error)
                else:
                    self._resume(job, None)

    def _deliver(self, job: Job, result: ForwardResult) -> None:
        """Resumes a job with the result of its forward, and reports the step."""
        self._meter.charge(job, result.cost_s)
        if result.outputs is None:
            assert result.error is not None, "no outputs and no error. This is a bug."
            self._fail(job, result.error)
            return
        assert job.pending is not None, "outputs without a forward. This is a bug."
        forward, step = job.pending, job.pending.step
        has_preview = is_due(forward, job.params.num_previews)
        if step is not None:
            projected_s = job.complete_step(*step)
            self.service_times = self.service_times.with_provisional(job.params.model, projected_s)
            if not has_preview:
                job.emit_step(StepCompleted(*step))
        self._resume(job, result.outputs)
        if step is not None and has_preview and job.number in self._jobs:
            job.emit_step(StepCompleted(*step, draw_preview(forward, result.outputs)))

    def _resume(self, job: Job, outputs: Outputs | None) -> None:
        """Runs the pipeline up to its next forward or its end."""
        assert job.pipeline is not None, "a job without a pipeline. This is a bug."
        started_s = self._clock()
        try:
            forward = next(job.pipeline) if outputs is None else job.pipeline.send(outputs)
            self._request(job, forward)
        except StopIteration as end:
            self._meter.charge(job, self._clock() - started_s)
            self._finish(job, end.value)
        except Exception as error:  # a pipeline may raise anything
            self._fail(job, error)
        else:
            self._meter.charge(job, self._clock() - started_s)

    def _request(self, job: Job, forward: ForwardRequest) -> None:
        model = job.params.model
        networks = self.model_manager.networks(model)
        if forward.network not in networks:
            known = ", ".join(sorted(networks))
            raise ValueError(f"model {model!r} has no network {forward.network!r}; it has {known}")
        job.pending = forward
        if job.has_begun:
            job.enter(forward.stage, self._clock())
        key = BatchKey(model, forward.network, forward.signature)
        pending = PendingForward(key, forward.rows, forward.stage == "encode")
        self._scheduler.set_pending(job.number, pending)

    def _num_batch_jobs(self, key: Hashable, rows: Sequence[int]) -> int:
        assert isinstance(key, BatchKey), "a key of another type. This is a bug."
        model = self._models[key.model]
        fingerprint = self.model_manager.networks(key.model)[key.network].fingerprint
        config = BatchConfig(fingerprint, key.signature, tuple(rows))
        max_batch_size = model.max_batch_size.get(key.network, 1)
        return self.batcher.num_batch_jobs(config, max_batch_size, model.info.batching)

    def _finish(self, job: Job, pixels: Pixels) -> None:
        try:
            check_pixels(pixels, job.params)
        except ValueError as error:
            self._fail(job, error)
            return
        job.enter("end", self._clock())
        self.ended.count(job.params.model, "succeeded")
        self._scheduler.record_cost(job.number, job.cost_s)
        self.service_times = self.service_times.with_sample(job.params.model, job.cost_s)
        info = self._models[job.params.model].info
        self._remove(job)
        job.emit(JobSucceeded(GeneratedImage(pixels, job.params, info, job.timings())))

    def _fail(self, job: Job, error: Exception) -> None:
        if not isinstance(error, DaguerreError):
            logger.error("%s failed", job.name, exc_info=error)
            cause = error
            error = InternalError(f"the image could not be generated; {job.context.log_hint}")
            error.__cause__ = cause
        self.ended.count(job.params.model, "failed")
        self._remove(job)
        job.emit(JobFailed(error))

    def _remove(self, job: Job) -> None:
        del self._jobs[job.number]
        self._waiting.discard(job)
        self.model_manager.record_use(job.params.model)
        self._scheduler.remove(job.number)
        self._on_end(job)
        try:
            job.close()
        except Exception:  # clean-up code of a pipeline may raise anything
            logger.exception("cannot close the pipeline of %s", job.name)
