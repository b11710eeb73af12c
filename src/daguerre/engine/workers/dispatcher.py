"""Assigns queued jobs to workers, and isolates jobs that may have crashed one.

Pure Python without I/O. Jobs are numbers in order of arrival, workers are numbered from 0.
"""

from __future__ import annotations

import functools
import itertools
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping

from daguerre.engine.scheduling.fair_queue import FairQueue
from daguerre.engine.workers.worker_load import JobRecord, WorkerLoad

# A job fails after this many crashes of its worker.
MAX_CRASHES_PER_JOB = 2
# Weight of a crash before which the worker reported no work: the job may not have run yet, but one
# that kills its worker at once must not be retried for ever.
UNATTRIBUTED_CRASH_WEIGHT = 0.5
# Jobs that one of several workers may hold without having started them: enough to keep it busy, few
# enough that another worker, which may be free sooner, gets the rest.
MAX_PREFETCHED_JOBS = 2


class JobDispatcher:
    """Assigns queued jobs to workers.

    A worker holds at most `max_running` jobs; the others are queued in fair order among tenants and
    are not affected by crashes. A job is assigned to the least loaded worker for its model,
    preferably one that has loaded it. When a worker crashes, the jobs that it was working on are
    quarantined: each is retried alone on a worker, which attributes a second crash to that job.
    """

    def __init__(
        self,
        max_running: int,
        num_workers: int = 1,
        may_serve: Callable[[int, str], bool] = lambda worker, model: True,
    ) -> None:
        self._may_serve = may_serve
        self._max_running = max_running
        self._max_prefetched = MAX_PREFETCHED_JOBS if num_workers > 1 else max_running
        self._jobs: dict[int, JobRecord] = {}
        # Every job is in exactly one of these.
        self._queue = FairQueue()
        self._quarantine: dict[int, None] = {}  # in order of arrival
        self._workers = [WorkerLoad() for _ in range(num_workers)]

    def running_by_model(self) -> Counter[str]:
        """Number of jobs of each model whose first forward has started on their present worker."""
        assigned = (one for load in self._workers for one in load.assigned.values())
        return Counter(one.model for one in assigned if one.is_running)

    def num_assigned(self, worker: int) -> int:
        return len(self._workers[worker].assigned)

    def is_assigned(self, worker: int, job: int) -> bool:
        return job in self._workers[worker].assigned

    def is_busy(self, worker: int) -> bool:
        """Whether the worker has jobs, or still works for one that was removed."""
        load = self._workers[worker]
        return bool(load.active or load.assigned)

    def models_ahead_of(self, tenant: str) -> Iterator[str]:
        """Models of the jobs that run before a new job of this tenant."""
        assigned = (load.assigned for load in self._workers)
        ahead = itertools.chain(*assigned, self._quarantine, self._queue.ahead_of(tenant))
        return (self._jobs[job].model for job in ahead)

    def queue_positions(self) -> dict[int, int]:
        """Number of jobs ahead of each job that is not running."""
        positions = {
            job: position
            for load in self._workers
            for position, (job, record) in enumerate(load.assigned.items())
            if not record.is_running
        }
        num_assigned = sum(len(load.assigned) for load in self._workers)
        queued = itertools.chain(self._quarantine, self._queue.order())
        return positions | {job: place for place, job in enumerate(queued, num_assigned)}

    def add(self, job: int, tenant: str = "", model: str = "") -> None:
        self._jobs[job] = JobRecord(tenant, model)
        self._queue.add(job, tenant)

    def remove(self, job: int, *, has_ended: bool = False) -> int | None:
        """Removes a job. Returns the worker to send a cancellation to, if any.

        A cancelled job takes up capacity of its worker until `on_cancel_ack`.
        """
        del self._jobs[job]
        self._queue.remove(job)
        self._quarantine.pop(job, None)
        for worker, load in enumerate(self._workers):
            if load.assigned.pop(job, None) is not None and not has_ended:
                load.cancelling.add(job)
                return worker
        return None

    def on_cancel_ack(self, worker: int, job: int) -> None:
        self._workers[worker].cancelling.discard(job)

    def dispatch(self, ready: Mapping[int, Collection[str]]) -> list[tuple[int, int]]:
        """Assigns queued jobs to the `ready` workers, which map to the models they have loaded.

        Returns pairs of a job and its worker.
        """
        chosen = list(self._dispatch_quarantined(ready))
        unreserved = [worker for worker in ready if not self._is_reserved(worker)]
        self._reserve_worker(unreserved)
        while self._queue and (free := list(filter(self._has_capacity, unreserved))):
            eligible = self._eligible_by_job(free)
            job = self._queue.pop(eligible)
            if job is None:
                break
            model = self._jobs[job].model
            worker = min(eligible(job), key=lambda one: self._preference(one, model, ready[one]))
            self._workers[worker].assigned[job] = self._jobs[job]
            chosen.append((job, worker))
        return chosen

    def revoke_mismatched(self) -> list[tuple[int, int]]:
        """Requeues jobs whose worker may not serve their model any more.

        Returns pairs of a job and the worker to send its cancellation to.
        """
        revoked = [
            (job, worker)
            for worker, load in enumerate(self._workers)
            for job, record in load.assigned.items()
            if not self._may_serve(worker, record.model)
        ]
        for job, worker in revoked:
            self._workers[worker].revoke(job)
        self._requeue([job for job, _ in revoked])
        return revoked

    def rebalance(self, ready: Mapping[int, Collection[str]]) -> list[tuple[int, int]]:
        """Requeues prefetched jobs that an idle worker with their model loaded can run.

        Returns pairs of a job and the worker to send its cancellation to.
        """
        revoked: list[tuple[int, int]] = []
        for idle in [worker for worker in ready if not self._workers[worker]]:
            if self._quarantine or len(self._queue) > len(revoked):
                break
            revoked += self._take_prefetched(idle, ready[idle])
        return revoked

    def make_room(self, ready: Collection[int]) -> list[tuple[int, int]]:
        """Requeues a prefetched job for the next tenant if it has none assigned.

        A tenant with many jobs thus occupies no worker to its limit. Returns pairs of a job and the
        worker to send its cancellation to.
        """
        job = self._queue.first()
        if job is None or self._quarantine:
            return []
        next_job = self._jobs[job]
        tenants = Counter(
            record.tenant for load in self._workers for record in load.assigned.values()
        )
        workers = self._eligible(ready, next_job.model)
        if next_job.tenant in tenants or any(map(self._will_have_capacity, workers)):
            return []
        prefetched = [
            (tenants[record.tenant], one, worker)
            for worker in workers
            for one, record in self._workers[worker].assigned.items()
            if record.is_prefetched
            and tenants[record.tenant] > 1
            and self._queue.is_before(next_job.tenant, record.tenant)
        ]
        if not prefetched:
            return []
        _, last, worker = max(prefetched)
        self._workers[worker].revoke(last)
        self._requeue([last])
        return [(last, worker)]

    def _take_prefetched(self, idle: int, loaded: Collection[str]) -> Iterator[tuple[int, int]]:
        """Takes the last job of the worker with the most."""
        for worker, load in sorted(enumerate(self._workers), key=lambda each: -len(each[1])):
            prefetched = [job for job, record in load.assigned.items() if record.is_prefetched]
            if not prefetched or load.num_unfinished < 2:
                continue
            record = self._jobs[job := prefetched[-1]]
            if record.model in loaded and self._may_serve(idle, record.model):
                load.revoke(job)
                self._requeue([job])
                yield job, worker
                return

    def on_work_started(self, worker: int, jobs: Collection[int], *, is_running: bool) -> bool:
        """Records which jobs the worker works for; returns whether any of them starts to run."""
        load = self._workers[worker]
        load.active = jobs
        waiting = [load.assigned[job] for job in jobs if job in load.assigned]
        waiting = [record for record in waiting if not record.is_running]
        for record in waiting:
            record.is_running = is_running
        return bool(waiting) and is_running

    def on_worker_died(self, worker: int) -> list[int]:
        """Requeues the worker's jobs; removes and returns those that crashed too often."""
        load, self._workers[worker] = self._workers[worker], WorkerLoad()
        # If it was active only for jobs that were removed since, no other is blamed.
        blamed = load.assigned.keys() & load.active if load.active else load.assigned.keys()
        for job in blamed:
            self._jobs[job].num_crashes += 1 if load.active else UNATTRIBUTED_CRASH_WEIGHT
        failed = [
            job for job in load.assigned if self._jobs[job].num_crashes >= MAX_CRASHES_PER_JOB
        ]
        for job in failed:
            del self._jobs[job]
        self._requeue([job for job in load.assigned if job in self._jobs])
        return failed

    def _requeue(self, jobs: Collection[int]) -> None:
        for job in sorted(jobs, reverse=True):  # puts the oldest first
            record = self._jobs[job]
            record.is_running = False
            if record.is_quarantined:
                self._quarantine[job] = None
            else:
                self._queue.requeue(job, record.tenant)
        self._quarantine = dict.fromkeys(sorted(self._quarantine))

    def _dispatch_quarantined(self, ready: Collection[int]) -> Iterator[tuple[int, int]]:
        for job in list(self._quarantine):
            for worker in self._eligible(ready, self._jobs[job].model):
                if not self._workers[worker]:
                    del self._quarantine[job]
                    self._workers[worker].assigned[job] = self._jobs[job]
                    yield job, worker
                    break

    def _is_reserved(self, worker: int) -> bool:
        """Whether the worker runs a quarantined job, which must be alone."""
        return any(record.is_quarantined for record in self._workers[worker].assigned.values())

    def _reserve_worker(self, workers: list[int]) -> None:
        """Removes one of the workers for the next quarantined job, unless one is reserved already.

        It gets no other jobs and so becomes idle.
        """
        if any(map(self._is_reserved, range(len(self._workers)))):
            return
        models = {self._jobs[job].model for job in self._quarantine}
        eligible = [worker for model in models for worker in self._eligible(workers, model)]
        if eligible:
            workers.remove(min(eligible, key=lambda worker: len(self._workers[worker])))

    def _eligible(self, workers: Collection[int], model: str) -> list[int]:
        return [worker for worker in workers if self._may_serve(worker, model)]

    def _eligible_by_job(self, workers: Collection[int]) -> Callable[[int], list[int]]:
        """A cache of `_eligible`: many jobs may be queued, for few models."""
        by_model = functools.cache(functools.partial(self._eligible, workers))
        return lambda job: by_model(self._jobs[job].model)

    def _has_capacity(self, worker: int) -> bool:
        load = self._workers[worker]
        num_prefetched = sum(record.is_prefetched for record in load.assigned.values())
        return len(load) < self._max_running and num_prefetched < self._max_prefetched

    def _will_have_capacity(self, worker: int) -> bool:
        return bool(self._workers[worker].cancelling) or self._has_capacity(worker)

    def _preference(self, worker: int, model: str, loaded: Collection[str]) -> tuple[bool, int]:
        """Sort key: workers with the model first, then the least loaded."""
        load = self._workers[worker]
        # A worker that has a job of the model is loading it.
        has_model = model in loaded or any(one.model == model for one in load.assigned.values())
        return not has_model, load.num_unfinished
