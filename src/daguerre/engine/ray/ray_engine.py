"""`RayEngine`: an engine whose jobs run in the replicas of a Ray Serve application.

Serve starts the replicas and carries the streams. This engine has what Serve lacks: a bounded queue
with fair order among tenants, estimates of the wait, equal images from all replicas, and retries of
jobs whose replica was lost. All methods run in one event loop.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace

from daguerre.engine.ended_jobs import EndedJobs, Outcome
from daguerre.engine.interface import EngineStats, WorkerStats, add_loads, check_ready, find_model
from daguerre.engine.ray.handle import ReplicaHandle, ReplicaLostError
from daguerre.engine.ray.job_runner import JobRunner, RayJob
from daguerre.engine.ray.messages import JobRequest, Report, ServerState
from daguerre.engine.ray.replica_table import ReplicaTable
from daguerre.engine.scheduling.admission import MAX_QUEUED_PROMPT_BYTES, Admission
from daguerre.engine.scheduling.service_time import ServiceTimes, combine_workers
from daguerre.engine.stream import JobQueue, QueuePositions, wait_until_empty
from daguerre.errors import UnavailableError
from daguerre.params import Event, ImageParams, JobContext, ModelInfo

logger = logging.getLogger(__name__)

_WATCH_INTERVAL_S = 0.25
_EXCHANGE_INTERVAL_S = 1.0
_EXCHANGE_TIMEOUT_S = 5.0


class RayEngine(JobQueue):
    """Implements `daguerre.engine.interface.Engine`.

    The servers of one application together accept up to `max_queued_jobs` jobs of each model,
    besides those that the replicas can run at a time. `problem` says why there are no replicas, if
    the caller knows that.
    """

    def __init__(
        self,
        handle: ReplicaHandle,
        *,
        max_queued_jobs: int,
        max_queued_prompt_bytes: int = MAX_QUEUED_PROMPT_BYTES,
        embed_prompt: bool = False,
        problem: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._handle, self._embed_prompt, self._problem = handle, embed_prompt, problem
        self._clock = clock
        self._name = uuid.uuid4().hex[:8]
        self._table = ReplicaTable(clock)
        self._runner = JobRunner(handle, self._table, self._new_request, self._on_end, clock)
        self._admission = Admission(max_queued_jobs, 0, max_queued_prompt_bytes)
        self._ended = EndedJobs()
        self._numbers, self._sequence = itertools.count(1), itertools.count(1)
        self._positions = QueuePositions(self._runner.queue_positions)
        self._tasks: list[asyncio.Task[None]] = []
        self._is_draining = self._accepts_early = False

    async def start(self) -> None:
        """Starts the engine, also again after `stop`."""
        self._is_draining = False
        self._runner.start()
        self._tasks = [asyncio.create_task(work) for work in (self._watch(), self._exchange())]

    def accept_early(self) -> None:
        """Accepts jobs from now on, which wait for a replica."""
        self._accepts_early = True

    async def drain(self) -> None:
        """Refuses new jobs from now on and returns when the accepted ones have ended."""
        self._is_draining = True
        await wait_until_empty(self._runner.jobs)

    async def stop(self) -> None:
        """Fails all jobs with `UnavailableError`. The replicas continue to run."""
        tasks, self._tasks, self._accepts_early = self._tasks, [], False
        for task in tasks:
            task.cancel()
        await self._runner.stop(UnavailableError("the server is shutting down"))
        await asyncio.gather(*tasks, return_exceptions=True)

    def close(self) -> None:
        """Does nothing, because `stop` frees everything."""

    def models(self) -> tuple[ModelInfo, ...]:
        return self._table.models()

    def stats(self) -> EngineStats:
        """Statistics of all replicas, and of the jobs of this server.

        `loaded` is empty: servers agree on fingerprints through the replicas, not their database,
        because they change to a new revision one after the other.
        """
        reports, jobs = self._table.reports(), Counter(self._admission.num_jobs())
        is_ready, problem = self._readiness()
        queued = Counter(job.params.model for job in self._runner.jobs.values() if not job.task)
        service_times = self._service_times()
        return EngineStats(
            is_ready=is_ready and not self._is_closing,
            queued=queued,
            running=jobs - queued,
            ended=self._ended.by_model(),
            num_forwards=sum(report.stats.num_forwards for report in reports),
            num_rows=sum(report.stats.num_rows for report in reports),
            service_times=service_times,
            backlog_s=service_times.expected_s(jobs + self._jobs_of_others(), self._num_serving),
            problem=problem,
            is_draining=self._is_draining,
            load_failures=self._table.load_failures(),
            loads=add_loads(report.stats.loads for report in reports),
            workers=tuple(worker for report in reports for worker in self._workers(report)),
        )

    def _readiness(self) -> tuple[bool, str]:
        """Whether a replica is ready, and why none can be used."""
        problem = self._problem or self._table.problem()
        return not problem and any(one.stats.is_ready for one in self._table.reports()), problem

    @property
    def _is_closing(self) -> bool:
        return self._is_draining or not self._tasks

    def _workers(self, report: Report) -> Iterator[WorkerStats]:
        """The workers of a replica, each with the replica's name."""
        mismatched = self._table.mismatched_models(report)
        for worker in report.stats.workers:
            yield replace(
                worker,
                identity=f"replica {report.replica} on node {report.node}, {worker.identity}",
                mismatched_models=(*worker.mismatched_models, *mismatched),
            )

    def submit(
        self, params: ImageParams, emit: Callable[[Event], None], context: JobContext
    ) -> tuple[int, int]:
        """See `JobQueue.submit`."""
        is_ready, problem = self._readiness()
        check_ready("", self._is_closing, is_ready or self._accepts_early, problem)
        find_model(params.model, self.models())
        self._admission.max_running_jobs = sum(each.capacity for each in self._table.reports())
        num_elsewhere = self._jobs_of_others()[params.model]
        num_ahead = self._admission.admit(params, context, self._estimate_wait, num_elsewhere)
        number = next(self._numbers)
        self._runner.add(RayJob(number, params, emit, self._clock(), context))
        return number, num_ahead

    def _estimate_wait(self, params: ImageParams, context: JobContext) -> tuple[int, float, float]:
        ahead = Counter(job.params.model for job in self._runner.ahead_of(context.tenant))
        ahead += self._jobs_of_others()
        times = self._service_times()
        return ahead.total(), *times.estimate_wait(ahead, params.model, self._num_serving)

    def queue_position(self, number: int) -> int | None:
        """See `JobQueue.queue_position`."""
        return self._positions.position(number)

    def cancel(self, number: int) -> None:
        """Frees the job's place in the queue at once, and its batch row at the next forward."""
        self._runner.cancel(number)

    def _on_end(self, job: RayJob, outcome: Outcome) -> None:
        self._admission.remove(job.params)
        self._ended.count(job.params.model, outcome)

    def _new_request(self, job: RayJob, excluded: frozenset[str]) -> JobRequest:
        return JobRequest(
            job.params, job.context, self._name, self._state(), self._embed_prompt, excluded
        )

    def _state(self) -> ServerState:
        num_jobs, references = self._admission.num_jobs(), dict(self._table.references)
        return ServerState(next(self._sequence), num_jobs, references)

    def _jobs_of_others(self) -> Counter[str]:
        return self._table.jobs_of_others(self._name)

    def _num_serving(self, model: str) -> int:
        """Number of ready workers that serve the model; at least 1."""
        workers = (worker for each in self._table.serving(model) for worker in each.stats.workers)
        return max(1, sum(worker.is_ready for worker in workers))

    def _service_times(self) -> ServiceTimes:
        return combine_workers([report.stats.service_times for report in self._table.reports()])

    async def _watch(self) -> None:
        """Reads the reports that the router has, and takes the jobs of silent streams."""
        seen: object = None
        while True:
            try:
                reports = self._handle.reports()
                if reports is None:
                    self._table.forget_unheard()
                elif reports is not seen:
                    self._table.replace_all(reports)
                    seen = reports
                self._table.tick()
                self._runner.revoke_silent()
                self._runner.dispatch()
            except Exception:  # a bug must not end the watch
                logger.exception("cannot read the reports of the replicas")
            await asyncio.sleep(_WATCH_INTERVAL_S)

    async def _exchange(self) -> None:
        """Exchanges the states of the server and of a replica once a second.

        This also starts the router, which has no reports before its first call.
        """
        while True:
            with suppress(ReplicaLostError, TimeoutError):
                async with asyncio.timeout(_EXCHANGE_TIMEOUT_S):
                    self._table.record(await self._handle.exchange(self._name, self._state()))
            await asyncio.sleep(_EXCHANGE_INTERVAL_S)
