"""The dispatcher under any order of events, against a simulation of its workers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from daguerre.engine.workers.dispatcher import MAX_CRASHES_PER_JOB, JobDispatcher

MODELS = ("a", "b")
WORKERS = st.integers(0, 2)


@dataclass
class SimulatedWorker:
    """A worker that receives assignments and cancellations, in order, when the test says so."""

    is_ready: bool = True
    inbox: list[tuple[str, int]] = field(default_factory=list)
    jobs: set[int] = field(default_factory=set)
    active: tuple[int, ...] = ()


class DispatcherMachine(RuleBasedStateMachine):
    """Poisonous jobs crash every worker that works for them; nothing else crashes a worker."""

    @initialize(num_workers=st.integers(1, 3), max_running=st.integers(1, 4))
    def start(self, num_workers: int, max_running: int) -> None:
        self.workers = [SimulatedWorker() for _ in range(num_workers)]
        self.mismatched: set[tuple[int, str]] = set()
        self.max_running = max_running
        self.dispatcher = JobDispatcher(max_running, num_workers, self.may_serve)
        self.models: dict[int, str] = {}  # of the jobs that have not ended
        self.poisonous: set[int] = set()
        self.num_crashes: Counter[int] = Counter()
        self.num_jobs = 0

    def may_serve(self, worker: int, model: str) -> bool:
        return (worker, model) not in self.mismatched

    def dispatch(self) -> None:
        """Does what the engine does after every event."""
        ready = {
            number: MODELS[:1] for number, worker in enumerate(self.workers) if worker.is_ready
        }
        revoked = self.dispatcher.revoke_mismatched() + self.dispatcher.rebalance(ready)
        for job, worker in revoked:
            self.workers[worker].inbox.append(("cancel", job))
        for job, worker in self.dispatcher.dispatch(ready):
            assert worker in ready and self.may_serve(worker, self.models[job])
            self.workers[worker].inbox.append(("submit", job))

    @rule(tenant=st.sampled_from("xyz"), model=st.sampled_from(MODELS), is_poisonous=st.booleans())
    def add(self, tenant: str, model: str, is_poisonous: bool) -> None:
        self.num_jobs += 1
        self.models[self.num_jobs] = model
        if is_poisonous:
            self.poisonous.add(self.num_jobs)
        self.dispatcher.add(self.num_jobs, tenant, model)
        self.dispatch()

    @precondition(lambda self: self.models)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        job = data.draw(st.sampled_from(sorted(self.models)))
        del self.models[job]
        worker = self.dispatcher.remove(job)
        if worker is not None:
            self.workers[worker].inbox.append(("cancel", job))
        self.dispatch()

    def receive(self, number: int) -> None:
        """The worker handles its commands."""
        worker = self.workers[number]
        while worker.inbox:
            command, job = worker.inbox.pop(0)
            if command == "submit":
                assert job not in worker.jobs
                worker.jobs.add(job)
            else:
                worker.jobs.discard(job)
                self.dispatcher.on_cancel_ack(number, job)

    @rule(number=WORKERS, data=st.data())
    def work(self, number: int, data: st.DataObject) -> None:
        """The worker handles its commands and starts to work for some of its jobs."""
        number %= len(self.workers)
        self.receive(number)
        jobs = sorted(self.workers[number].jobs)
        active = data.draw(st.lists(st.sampled_from(jobs), min_size=1, unique=True)) if jobs else []
        self.workers[number].active = tuple(active)
        self.dispatcher.on_work_started(number, active, is_running=data.draw(st.booleans()))
        self.dispatch()

    @rule(number=WORKERS)
    def finish_work(self, number: int) -> None:
        """The worker crashes if it works for a poisonous job, else finishes its first job."""
        number %= len(self.workers)
        worker = self.workers[number]
        if self.poisonous & {*worker.active}:
            self.crash(number)
        elif worker.active:
            job, *rest = worker.active
            worker.active = tuple(rest)
            worker.jobs.discard(job)
            if self.dispatcher.is_assigned(number, job):
                del self.models[job]
                assert self.dispatcher.remove(job, has_ended=True) is None
        self.dispatch()

    @rule()
    def restart(self) -> None:
        """The replacements of crashed workers become ready."""
        for worker in self.workers:
            worker.is_ready = True
        self.dispatch()

    @rule(number=st.integers(1, 2), model=st.sampled_from(MODELS))
    def change_parity(self, number: int, model: str) -> None:
        """A worker becomes mismatched, or matches again; worker 0 always matches."""
        if number < len(self.workers):
            self.mismatched ^= {(number, model)}
            self.dispatch()

    def crash(self, number: int) -> None:
        worker = self.workers[number]
        for job in worker.active:
            self.num_crashes[job] += self.dispatcher.is_assigned(number, job)
        for job in self.dispatcher.on_worker_died(number):
            assert job in self.poisonous, "a harmless job failed"
            assert self.num_crashes[job] == MAX_CRASHES_PER_JOB
            del self.models[job]
        self.workers[number] = SimulatedWorker(is_ready=self.num_jobs % 2 == 0)

    @invariant()
    def every_job_is_in_one_place(self) -> None:
        """Every accepted job is queued or on one worker, and nothing else is."""
        queued = [*self.dispatcher._quarantine, *self.dispatcher._queue.order()]
        assigned = [job for load in self.dispatcher._workers for job in load.assigned]
        assert sorted(queued + assigned) == sorted(self.models)
        assert len(self.dispatcher._jobs) == len(self.models)

    @invariant()
    def capacity_is_respected(self) -> None:
        """Cancelled jobs count until the worker acknowledges; a resubmitted job counts once."""
        for worker in self.workers:
            submitted = {job for command, job in worker.inbox if command == "submit"}
            assert len(submitted | worker.jobs) <= self.max_running

    @invariant()
    def quarantined_jobs_are_alone(self) -> None:
        for load in self.dispatcher._workers:
            if any(record.is_quarantined for record in load.assigned.values()):
                assert len(load) == 1

    def teardown(self) -> None:
        """With working workers every job ends: the poisonous ones fail, the others succeed."""
        if not hasattr(self, "workers"):
            return
        for _ in range(10 * len(self.models)):
            for number, worker in enumerate(self.workers):
                self.restart()
                self.receive(number)
                worker.active = tuple(sorted(worker.jobs)[:1])
                self.dispatcher.on_work_started(number, worker.active, is_running=True)
                self.finish_work(number)
                self.dispatcher.on_work_started(number, (), is_running=False)
            if not self.models:
                break
        assert not self.models and not len(self.dispatcher._jobs)
        assert not any(self.dispatcher.num_assigned(number) for number in range(len(self.workers)))
        assert self.dispatcher.running_by_model().total() == 0


def test_any_order_of_events() -> None:
    budget = settings(max_examples=150, stateful_step_count=40, deadline=None)
    run_state_machine_as_test(DispatcherMachine, settings=budget)
