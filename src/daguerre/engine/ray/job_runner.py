"""`JobRunner`: queues the jobs of one server, runs them on replicas, and retries them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass

from daguerre.engine.ended_jobs import Outcome
from daguerre.engine.job import AssignedJob
from daguerre.engine.ray.handle import ReplicaHandle, ReplicaLostError
from daguerre.engine.ray.messages import JobRequest, PackedReport, Report
from daguerre.engine.ray.replica_table import SILENCE_S, ReplicaTable
from daguerre.engine.scheduling.fair_queue import FairQueue
from daguerre.errors import DaguerreError, InternalError, NotReadyError, UnavailableError
from daguerre.params import Event, JobFailed, JobSucceeded, StepCompleted

logger = logging.getLogger(__name__)

# A job fails when it has lost so many replicas.
MAX_LOSSES = 3
# From so many on, a job runs while no other such job does. So the one that kills replicas is found.
_SUSPECT_LOSSES = 2
# Before a job runs again. Serve needs a moment to find that a replica has ended.
_RETRY_DELAY_S = 0.2


class _UnsuitableReplicaError(Exception):
    """The replica must not run the job; `error` says why, in words for clients."""

    def __init__(self, error: DaguerreError) -> None:
        super().__init__(error.message)
        self.error = error


@dataclass(eq=False, slots=True)
class RayJob(AssignedJob):
    """A job with the history of its attempts."""

    num_losses: int = 0
    excluded: frozenset[str] = frozenset()  # replicas that must not run it
    replica: str = ""  # the present one, once its report has come
    heard_s: float = 0.0  # when it was sent, or the last item of its stream came
    is_revoked: bool = False  # its stream is silent
    task: asyncio.Task[None] | None = None  # None: it is queued

    @property
    def is_suspect(self) -> bool:
        return self.num_losses >= _SUSPECT_LOSSES


class JobRunner:
    """Runs jobs on the replicas of `table`, which `handle` reaches.

    `new_request` makes the message for a replica that must not be one of those given. `on_end` is
    called when a job has ended, before its last event. All methods run in one event loop.
    """

    def __init__(
        self,
        handle: ReplicaHandle,
        table: ReplicaTable,
        new_request: Callable[[RayJob, frozenset[str]], JobRequest],
        on_end: Callable[[RayJob, Outcome], None],
        clock: Callable[[], float],
    ) -> None:
        self._handle, self._table = handle, table
        self._new_request, self._on_end, self._clock = new_request, on_end, clock
        self.jobs: dict[int, RayJob] = {}  # accepted and not ended
        self._queue = FairQueue()
        self._is_stopped = False

    def start(self) -> None:
        self._is_stopped = False

    async def stop(self, error: DaguerreError) -> None:
        """Fails all jobs, which count as cancelled."""
        self._is_stopped = True
        tasks = [job.task for job in self.jobs.values() if job.task]
        for number in list(self.jobs):
            self._end(number, JobFailed(error), "cancelled")
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def add(self, job: RayJob) -> None:
        self.jobs[job.number] = job
        self._queue.add(job.number, job.context.tenant)
        self.dispatch()

    def cancel(self, number: int) -> None:
        """Frees the job's place in the queue at once, and its batch row at the next forward."""
        if job := self._pop(number, "cancelled"):
            if job.task:
                job.task.cancel()
            self.dispatch()

    def ahead_of(self, tenant: str) -> Iterator[RayJob]:
        """The jobs that run before a new job of this tenant."""
        yield from (job for job in self.jobs.values() if job.task)
        yield from map(self.jobs.__getitem__, self._queue.ahead_of(tenant))

    def queue_positions(self) -> dict[int, int]:
        """Number of jobs ahead of each queued job."""
        return {number: position for position, number in enumerate(self._queue.order())}

    def dispatch(self) -> None:
        """Sends queued jobs to replicas, as many as these can run at a time."""
        capacity = sum(report.capacity for report in self._table.reports())
        num_free = capacity - sum(job.task is not None for job in self.jobs.values())
        while num_free > 0 and not self._is_stopped:
            if (number := self._queue.pop(self._can_run)) is None:
                return
            job = self.jobs[number]
            job.sent_s = job.heard_s = self._clock()
            job.replica, job.is_revoked = "", False
            job.task = asyncio.get_running_loop().create_task(self._run(job))
            num_free -= 1

    def revoke_silent(self) -> None:
        """Takes the jobs of silent streams from replicas without reports, to run them again.

        The replica of a job is unknown before its first report. A replica that Serve has removed
        may still end its jobs; their streams are not silent.
        """
        reporting = {report.replica for report in self._table.reports()}
        since_s = self._clock() - SILENCE_S
        for job in self.jobs.values() if self._table.is_heard else ():
            is_lost = job.heard_s < since_s and job.replica not in reporting
            if job.task and is_lost and not job.is_revoked:
                job.is_revoked = True
                job.task.cancel()

    def _can_run(self, number: int) -> bool:
        job = self.jobs[number]
        if job.is_suspect and any(one.is_suspect and one.task for one in self.jobs.values()):
            return False
        return bool(self._suitable(job))

    def _suitable(self, job: RayJob) -> list[Report]:
        serving = self._table.serving(job.params.model)
        return [report for report in serving if report.replica not in job.excluded]

    async def _run(self, job: RayJob) -> None:
        """Runs the job on a replica, and queues it again if the replica is lost."""
        try:
            await self._run_on_replica(job)
        except asyncio.CancelledError:
            # Ray raises it, too, if the replica cancels the stream.
            task = asyncio.current_task()
            if task and task.cancelling() and not job.is_revoked:
                raise
            self._on_lost(job, "is silent" if job.is_revoked else "cancelled the job")
        except ReplicaLostError as error:
            self._on_lost(job, f"was lost ({error})")
        except _UnsuitableReplicaError as error:
            self._on_unsuitable(job, error.error)
        except Exception as error:  # a bug must not leave the client without an answer
            logger.exception("%s failed", job.name)
            failure = InternalError(f"the engine failed; {job.context.log_hint}")
            failure.__cause__ = error
            self._end(job.number, JobFailed(failure), "failed")

    async def _run_on_replica(self, job: RayJob) -> None:
        suitable = {report.replica for report in self._suitable(job)}
        others = {report.replica for report in self._table.reports()} - suitable
        request = self._new_request(job, job.excluded | others | self._table.silent)
        has_ended = False
        try:
            async with aclosing(self._handle.generate(request)) as items:
                # Until the stream ends, because closing it earlier costs a message that cancels it.
                async for item in items:
                    job.heard_s = self._clock()
                    for part in item:
                        if isinstance(part, dict):
                            self._on_report(job, part)
                        else:
                            has_ended |= self._on_event(job, part)
            if not has_ended:
                raise ReplicaLostError("its stream ended early")
        except ReplicaLostError:
            await asyncio.sleep(_RETRY_DELAY_S)
            raise

    def _on_report(self, job: RayJob, packed: PackedReport) -> None:
        """Raises `_UnsuitableReplicaError` if the replica's fingerprint differs."""
        report = self._table.record(packed)
        model, job.replica = job.params.model, packed["replica"]
        if report is None or not self._table.may_serve(report, model):
            text = f"no replica can draw the images of model {model!r}; try again later"
            raise _UnsuitableReplicaError(NotReadyError(text))

    def _on_event(self, job: RayJob, event: Event) -> bool:
        """Whether it was the last event. Raises `_UnsuitableReplicaError` for a refusal."""
        match event:
            case JobSucceeded():
                self._end(job.number, job.with_queue_time(event), "succeeded")
            case JobFailed(error=UnavailableError() as error):
                raise _UnsuitableReplicaError(error)
            case JobFailed():
                self._end(job.number, event, "failed")
            case StepCompleted():
                job.emit_step(event)
        return isinstance(event, JobSucceeded | JobFailed)

    def _on_lost(self, job: RayJob, how: str) -> None:
        if job.number not in self.jobs:
            return
        if job.replica:  # it may have begun there
            job.num_losses += 1
        logger.warning("%s: its replica %s %s", job.name, job.replica or "(unknown)", how)
        if job.num_losses < MAX_LOSSES:
            self._requeue(job)
            return
        text = f"{MAX_LOSSES} replicas were lost during this request; {job.context.log_hint}"
        self._end(job.number, JobFailed(InternalError(text)), "failed")

    def _on_unsuitable(self, job: RayJob, error: DaguerreError) -> None:
        if job.number not in self.jobs:
            return
        job.excluded |= {job.replica}
        if self._suitable(job):
            self._requeue(job)
        else:
            self._end(job.number, JobFailed(error), "failed")

    def _requeue(self, job: RayJob) -> None:
        job.task = None
        self._queue.requeue(job.number, job.context.tenant)
        self.dispatch()

    def _end(self, number: int, event: Event, outcome: Outcome) -> None:
        if job := self._pop(number, outcome):
            job.emit(event)
            self.dispatch()

    def _pop(self, number: int, outcome: Outcome) -> RayJob | None:
        if job := self.jobs.pop(number, None):
            self._queue.remove(number)
            self._on_end(job, outcome)
        return job
