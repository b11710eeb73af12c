"""Which worker runs which job, and which job fails after a crash."""

from __future__ import annotations

import numpy as np

from daguerre.engine.workers.dispatcher import JobDispatcher


def dispatcher(count: int, max_running: int = 3) -> JobDispatcher:
    made = JobDispatcher(max_running)
    for job in range(1, count + 1):
        made.add(job)
    return made


def end(jobs: JobDispatcher, job: int) -> None:
    """The worker has reported the end of the job."""
    assert jobs.remove(job, has_ended=True) is None


def assign(jobs: JobDispatcher) -> list[int]:
    """Jobs that are assigned to worker 0 now."""
    return [job for job, _ in jobs.dispatch({0: ()})]


def test_order_of_arrival() -> None:
    """A worker holds at most `max_running` jobs; the next is assigned when one ends."""
    jobs = dispatcher(5)
    assert (assign(jobs), assign(jobs)) == ([1, 2, 3], [])
    end(jobs, 2)
    assert jobs.remove(5) is None  # queued, so no worker needs a cancellation
    assert (assign(jobs), len(jobs._jobs), jobs.is_busy(0)) == ([4], 3, True)


def test_cancelled_job_takes_up_capacity() -> None:
    """A cancelled job counts until its worker acknowledges.

    So cancelled jobs cannot fill the memory of a worker that reads nothing.
    """
    jobs = dispatcher(3, max_running=1)
    assign(jobs)
    assert jobs.remove(1) == 0
    assert assign(jobs) == []
    jobs.on_cancel_ack(0, 1)
    assert assign(jobs) == [2]
    assert jobs.remove(2) == 0
    assert jobs.on_worker_died(0) == []  # a dead worker holds no jobs
    assert assign(jobs) == [3]


def test_tenants_share_fairly() -> None:
    """A tenant's first job runs before the second one of a tenant with many."""
    jobs = JobDispatcher(max_running=1)
    for job in range(1, 6):
        jobs.add(job, "busy")
    assert assign(jobs) == [1]
    assert len([*jobs.models_ahead_of("rare")]) == 1
    jobs.add(6, "rare")
    assert len([*jobs.models_ahead_of("rare")]) == 3
    order = []
    for last in (1, 6, 2, 3, 4):
        end(jobs, last)
        order += assign(jobs)
    assert order == [6, 2, 3, 4, 5]


def test_queue_positions() -> None:
    """Positions fall as jobs end or are cancelled; a running job has none."""
    jobs = dispatcher(5, max_running=2)
    assign(jobs)
    assert jobs.queue_positions() == {1: 0, 2: 1, 3: 2, 4: 3, 5: 4}
    jobs.on_work_started(0, [1], is_running=True)
    assert jobs.queue_positions() == {2: 1, 3: 2, 4: 3, 5: 4}
    end(jobs, 1)
    assert jobs.remove(4) is None
    assign(jobs)
    assert jobs.queue_positions() == {2: 0, 3: 1, 5: 2}


def test_positions_among_tenants() -> None:
    """A position is the exact number of jobs that run first if no other job arrives."""
    random = np.random.RandomState(4)
    for _ in range(200):
        jobs = JobDispatcher(max_running=1)
        for job in range(1, random.randint(2, 12)):
            tenant = str(random.randint(3))
            expected = len([*jobs.models_ahead_of(tenant)])
            jobs.add(job, tenant)
            assert jobs.queue_positions()[job] == expected
            if random.randint(3) == 0 and (chosen := assign(jobs)):
                end(jobs, chosen[0])
        while len(jobs._jobs):
            before = jobs.queue_positions()
            first, *_ = assign(jobs)
            end(jobs, first)
            assert before.pop(first) == 0
            assert jobs.queue_positions() == {job: ahead - 1 for job, ahead in before.items()}


def test_quarantine() -> None:
    """After a crash each job that was active is retried alone; then all continue as before."""
    jobs = dispatcher(6)
    assign(jobs)
    jobs.on_work_started(0, [1, 2], is_running=True)
    assert jobs.running_by_model().total() == 2
    assert jobs.on_worker_died(0) == []
    assert (jobs.running_by_model().total(), jobs.is_busy(0)) == (0, False)
    assert (assign(jobs), assign(jobs)) == ([1], [])
    end(jobs, 1)
    assert (assign(jobs), assign(jobs)) == ([2], [])
    end(jobs, 2)
    assert assign(jobs) == [3, 4, 5]


def test_second_crash() -> None:
    """A quarantined job whose worker crashes again fails, and no other job does."""
    jobs = dispatcher(3)
    assign(jobs)
    jobs.on_work_started(0, [1, 2, 3], is_running=True)
    assert jobs.on_worker_died(0) == []
    assert assign(jobs) == [1]
    jobs.on_work_started(0, [1], is_running=True)
    end(jobs, 1)
    assert assign(jobs) == [2]
    jobs.on_work_started(0, [2], is_running=False)
    assert jobs.on_worker_died(0) == [2]
    assert (assign(jobs), len(jobs._jobs)) == ([3], 1)


def test_unattributed_crashes() -> None:
    """Four crashes before the worker reports any work fail the job: each counts half.

    The worker may have been dead before it received the job.
    """
    jobs = dispatcher(2, max_running=1)
    assign(jobs)
    for _ in range(3):
        assert jobs.on_worker_died(0) == []
        assert assign(jobs) == [1]
    assert jobs.on_worker_died(0) == [1]
    assert assign(jobs) == [2]


def test_job_assigned_to_dead_workers() -> None:
    """A job is only delayed if one event kills both workers it was assigned to."""
    jobs = two(1)
    jobs.dispatch({0: (), 1: ()})
    start(jobs, 0, 1)
    assert jobs.on_worker_died(0) == []
    assert jobs.dispatch({1: ()}) == [(1, 1)]
    assert jobs.on_worker_died(1) == []
    assert jobs.dispatch({0: ()}) == [(1, 0)]


def test_active_for_cancelled_job() -> None:
    """A worker that is still active for a cancelled job is not idle."""
    jobs = two(1)
    jobs.dispatch({0: (), 1: ()})
    start(jobs, 0, 1)
    jobs.remove(1)
    jobs.on_cancel_ack(0, 1)
    jobs.add(2)
    assert jobs.dispatch({0: (), 1: ()}) == [(2, 1)]


def test_crash_after_removal() -> None:
    """A crash while the worker is active for a removed job is not attributed to a waiting job."""
    jobs = dispatcher(2, max_running=1)
    assign(jobs)
    jobs.on_work_started(0, [1], is_running=True)
    jobs.remove(1)
    assert jobs.on_worker_died(0) == []
    assert assign(jobs) == [2]
    jobs.on_work_started(0, [2], is_running=True)
    assert jobs.on_worker_died(0) == []  # its first


def test_busy_for_cancelled_job() -> None:
    """A worker that is active for a cancelled job is busy until it reports that it is idle."""
    jobs = dispatcher(2, max_running=2)
    assign(jobs)
    jobs.on_work_started(0, [1], is_running=True)
    jobs.remove(1)
    assert jobs.on_worker_died(0) == []
    assert assign(jobs) == [2]
    jobs.on_work_started(0, [2], is_running=True)
    jobs.remove(2)
    assert jobs.is_busy(0)
    jobs.on_work_started(0, [], is_running=False)
    assert not jobs.is_busy(0)


def two(count: int = 0, max_running: int = 3) -> JobDispatcher:
    """A dispatcher with two workers."""
    made = JobDispatcher(max_running, num_workers=2)
    for job in range(1, count + 1):
        made.add(job)
    return made


BOTH = {0: ("",), 1: ("",)}


def start(jobs: JobDispatcher, worker: int, *numbers: int) -> None:
    assert jobs.on_work_started(worker, numbers, is_running=True)


def test_least_loaded_worker() -> None:
    """The least loaded worker gets the next job, and none prefetches more than its limit."""
    jobs = two(7)
    assert jobs.dispatch(BOTH) == [(1, 0), (2, 1), (3, 0), (4, 1)]
    start(jobs, 1, 2, 4)
    assert jobs.dispatch(BOTH) == [(5, 1)]  # the most that may run
    end(jobs, 2)
    end(jobs, 4)
    assert jobs.dispatch(BOTH) == [(6, 1)]
    start(jobs, 0, 1)
    assert jobs.dispatch(BOTH) == [(7, 0)]
    assert (jobs.num_assigned(0), jobs.num_assigned(1), len([*jobs.models_ahead_of("")])) == (
        3,
        2,
        5,
    )


def test_worker_not_ready() -> None:
    """A worker that is starting gets no jobs until it is ready."""
    jobs = two(4)
    assert jobs.dispatch({1: ("",)}) == [(1, 1), (2, 1)]
    assert jobs.dispatch(BOTH) == [(3, 0), (4, 0)]


def test_loaded_model() -> None:
    """A worker that has loaded the model, or is loading it for another job, is preferred."""
    jobs = two()
    for job in range(1, 5):
        jobs.add(job, model="big")
    assert jobs.dispatch({0: (), 1: ("big",)}) == [(1, 1), (2, 1), (3, 0), (4, 0)]
    jobs = two()
    for job in (1, 2):
        jobs.add(job, model="big")
    jobs.add(3, model="other")
    assert jobs.dispatch({0: (), 1: ()}) == [(1, 0), (2, 0), (3, 1)]


def test_crash_of_one_worker() -> None:
    """A crash of one worker does not affect the jobs of the other.

    Quarantined jobs are retried alone; the other jobs of the crashed worker go to any.
    """
    jobs = two(6)
    jobs.dispatch(BOTH)
    start(jobs, 0, 1, 3)
    assert jobs.dispatch(BOTH) == [(5, 0)]
    assert jobs.on_worker_died(0) == []
    # The only worker gets no other jobs until it is free for a quarantined job.
    assert jobs.dispatch({1: ("",)}) == []
    start(jobs, 1, 2)
    assert jobs.dispatch(BOTH) == [(1, 0), (5, 1)]
    end(jobs, 1)
    assert jobs.dispatch(BOTH) == [(3, 0)]
    start(jobs, 0, 3)
    assert jobs.on_worker_died(0) == [3]
    start(jobs, 1, 5)
    assert jobs.dispatch(BOTH) == [(6, 0)]


def test_quarantined_job_is_not_starved() -> None:
    """A single worker under constant load still becomes idle for a quarantined job."""
    jobs = two(3)
    jobs.dispatch(BOTH)
    start(jobs, 1, 2)
    jobs.on_worker_died(1)
    for job in range(4, 9):
        jobs.add(job)
    assert assign(jobs) == []
    end(jobs, 1)
    end(jobs, 3)
    assert (assign(jobs), assign(jobs)) == ([2], [])
    end(jobs, 2)
    assert assign(jobs) == [4, 5]


def test_rebalance() -> None:
    """An idle worker gets a prefetched job of another one if it has the model loaded.

    The job takes up capacity of its former worker until the cancellation is acknowledged.
    """
    jobs = two(2)
    assert [*jobs.dispatch({0: ("",)})] == [(1, 0), (2, 0)]
    assert jobs.rebalance({0: ("",), 1: ()}) == []
    assert jobs.rebalance(BOTH) == [(2, 0)]
    assert jobs.dispatch(BOTH) == [(2, 1)]
    assert (jobs.is_assigned(0, 2), jobs.is_assigned(1, 2), jobs.rebalance(BOTH)) == (
        False,
        True,
        [],
    )
    jobs.on_cancel_ack(0, 2)
    end(jobs, 2)
    assert (jobs.rebalance(BOTH), jobs.dispatch(BOTH)) == ([], [])


def mismatched(count: int) -> JobDispatcher:
    """Worker 1 serves only "any"; jobs with odd numbers are for "first"."""
    made = JobDispatcher(3, 2, lambda worker, model: worker == 0 or model == "any")
    for job in range(1, count + 1):
        made.add(job, model="first" if job % 2 else "any")
    return made


def test_mismatched_worker() -> None:
    """Jobs that only a busy worker may run wait for it, and delay no other job."""
    jobs = mismatched(8)
    assert jobs.dispatch(BOTH) == [(1, 0), (2, 1), (3, 0), (4, 1)]
    start(jobs, 1, 2, 4)
    assert jobs.dispatch(BOTH) == [(6, 1)]
    for job in (2, 4, 6):
        end(jobs, job)
    assert jobs.dispatch(BOTH) == [(8, 1)]
    end(jobs, 8)
    assert (jobs.dispatch(BOTH), jobs.dispatch({1: ("",)})) == ([], [])
    assert jobs.rebalance({0: ("first",), 1: ("first",)}) == []
    start(jobs, 0, 1, 3)
    assert jobs.dispatch(BOTH) == [(5, 0)]


def test_quarantine_and_mismatch() -> None:
    """The worker reserved for quarantined jobs is one that may serve their model."""
    jobs = mismatched(3)
    assert jobs.dispatch(BOTH) == [(1, 0), (2, 1), (3, 0)]
    start(jobs, 0, 1)
    assert jobs.on_worker_died(0) == []
    jobs.add(4, model="any")
    jobs.add(6, model="any")
    assert jobs.dispatch({1: ("",)}) == [(4, 1)]
    end(jobs, 2)
    end(jobs, 4)
    assert jobs.dispatch(BOTH) == [(1, 0), (6, 1)]


def full_worker(tenants: str, num_running: int = 1) -> JobDispatcher:
    """Worker 0 with a job of each tenant, of which the first ones run."""
    jobs = JobDispatcher(max_running=len(tenants))
    for job, tenant in enumerate(tenants, 1):
        jobs.add(job, tenant)
    assert len(assign(jobs)) == len(tenants)
    jobs.on_work_started(0, range(1, num_running + 1), is_running=True)
    return jobs


def test_make_room() -> None:
    """A prefetched job of a busy tenant makes room for the job of a tenant that has none."""
    jobs = full_worker("aaa")
    for job, tenant in ((4, "a"), (5, "b"), (6, "b"), (7, "c")):
        jobs.add(job, tenant)
    assert jobs.make_room([0]) == [(3, 0)]
    assert jobs.make_room([0]) == []  # not before the worker has acknowledged
    jobs.on_cancel_ack(0, 3)
    assert (assign(jobs), jobs.make_room([0])) == ([5], [(2, 0)])
    jobs.on_cancel_ack(0, 2)
    assert (assign(jobs), jobs.make_room([0])) == ([7], [])
    for ended, expected in ((1, 2), (5, 6), (7, 3), (2, 4)):
        end(jobs, ended)
        assert assign(jobs) == [expected]


def test_make_room_only_for_waiting_tenants() -> None:
    """Running jobs stay, so does the only job of a tenant, and a tenant with a job waits."""
    for tenants, num_running, waiting in (("aaa", 3, "b"), ("abc", 1, "d"), ("aab", 1, "b")):
        jobs = full_worker(tenants, num_running)
        jobs.add(4, waiting)
        assert jobs.make_room([0]) == []
    jobs = full_worker("aaa")
    assert jobs.make_room([0]) == []
    jobs.add(4, "a")
    assert jobs.make_room([0]) == []


def test_make_room_for_many_single_requests() -> None:
    """A tenant that sends one job at a time gets a place for each, and the others are not lost."""
    jobs, ran = full_worker("aaaa"), []
    for job in range(10, 30):
        jobs.add(job, "b")
        for moved, worker in jobs.make_room([0]):
            jobs.on_cancel_ack(worker, moved)
        ran += assign(jobs)
        assert jobs.is_assigned(0, job)
        end(jobs, job)
        ran += assign(jobs)
    assert {job for job in range(1, 5) if jobs.is_assigned(0, job)} == {1, 2, 3, 4}


def test_revoke_mismatched() -> None:
    """Jobs of a worker that no longer matches are requeued in order; quarantined ones stay so."""
    served = [0, 1]
    jobs = JobDispatcher(3, 2, lambda worker, model: worker in served)
    for job in range(1, 4):
        jobs.add(job)
    jobs.dispatch({0: ("",)})
    start(jobs, 0, 1)
    assert jobs.revoke_mismatched() == []
    served.remove(0)
    assert jobs.revoke_mismatched() == [(1, 0), (2, 0)]
    assert (jobs.revoke_mismatched(), jobs.is_assigned(0, 1), jobs.running_by_model().total()) == (
        [],
        False,
        0,
    )
    assert jobs.dispatch(BOTH) == [(1, 1), (2, 1)]
    start(jobs, 1, 1)
    assert jobs.on_worker_died(1) == []
    assert jobs.dispatch(BOTH) == [(1, 1)]
    served[:] = [0]
    assert jobs.revoke_mismatched() == [(1, 1)]
    for job in (1, 2):
        jobs.on_cancel_ack(0, job)
    assert (jobs.dispatch(BOTH), jobs.dispatch(BOTH)) == ([(1, 0)], [])


def test_may_serve_is_cached() -> None:
    """`may_serve` is called once per model and worker, however many jobs are queued."""
    asked = []

    def may_serve(worker: int, model: str) -> bool:
        asked.append(model)
        return worker == 0 or model == "other"

    jobs = JobDispatcher(1, 2, may_serve)
    for job in range(100):
        jobs.add(job, "tenant", "busy")
    assert jobs.dispatch({0: (), 1: ()}) == [(0, 0)]
    asked.clear()
    jobs.add(100, "tenant", "other")
    assert jobs.dispatch({0: (), 1: ()}) == [(100, 1)]
    assert len(asked) == 2
