"""Who is run when, and who is given up."""

from __future__ import annotations

import numpy as np

from daguerre.engine.workers.dispatcher import JobDispatcher


def roster(count: int, max_running: int = 3) -> JobDispatcher:
    made = JobDispatcher(max_running)
    for job in range(1, count + 1):
        made.add(job)
    return made


def end(jobs: JobDispatcher, job: int) -> None:
    """The process has said that it is done."""
    assert jobs.remove(job, has_ended=True) is None


def sent(jobs: JobDispatcher) -> list[int]:
    """To the one process that there is."""
    return [job for job, _ in jobs.dispatch({0: ()})]


def test_sent_in_order_of_arrival() -> None:
    """A process holds as many as may run; the next is sent when one has ended."""
    jobs = roster(5)
    assert (sent(jobs), sent(jobs)) == ([1, 2, 3], [])
    end(jobs, 2)
    assert jobs.remove(5) is None  # waits, so no process need be told
    assert (sent(jobs), len(jobs), jobs.is_busy(0)) == ([4], 3, True)


def test_place_of_who_leaves() -> None:
    """A job that is not wanted any more keeps its place until the process has let go of it, so
    that clients who come and leave cannot fill the process's memory while it does not listen."""
    jobs = roster(3, max_running=1)
    sent(jobs)
    assert jobs.remove(1) == 0
    assert sent(jobs) == []
    jobs.on_cancel_ack(0, 1)
    assert sent(jobs) == [2]
    assert jobs.remove(2) == 0
    assert jobs.on_worker_died(0) == []  # and a process that is gone holds nobody
    assert sent(jobs) == [3]


def test_owners_take_turns() -> None:
    """The one job of an owner goes before the second of another who has many."""
    jobs = JobDispatcher(max_running=1)
    for job in range(1, 6):
        jobs.add(job, "busy")
    assert sent(jobs) == [1]
    assert len([*jobs.models_ahead_of("rare")]) == 1
    jobs.add(6, "rare")
    assert len([*jobs.models_ahead_of("rare")]) == 3
    order = []
    for last in (1, 6, 2, 3, 4):
        end(jobs, last)
        order += sent(jobs)
    assert order == [6, 2, 3, 4, 5]


def test_place_in_the_queue() -> None:
    """How many are ahead of each, as they end and leave; nothing is told of one that is begun."""
    jobs = roster(5, max_running=2)
    sent(jobs)
    assert jobs.queue_positions() == {1: 0, 2: 1, 3: 2, 4: 3, 5: 4}
    jobs.on_work_started(0, [1], is_running=True)
    assert jobs.queue_positions() == {2: 1, 3: 2, 4: 3, 5: 4}
    end(jobs, 1)
    assert jobs.remove(4) is None
    sent(jobs)
    assert jobs.queue_positions() == {2: 0, 3: 1, 5: 2}


def test_place_among_owners_is_kept() -> None:
    """Whoever asks is told the very number of jobs that are then run before it, if no other comes;
    and the number by which it is accepted is the first of these."""
    random = np.random.RandomState(4)
    for _ in range(200):
        jobs = JobDispatcher(max_running=1)
        for job in range(1, random.randint(2, 12)):
            owner = str(random.randint(3))
            expected = len([*jobs.models_ahead_of(owner)])
            jobs.add(job, owner)
            assert jobs.queue_positions()[job] == expected
            if random.randint(3) == 0 and (chosen := sent(jobs)):
                end(jobs, chosen[0])
        while len(jobs):
            told = jobs.queue_positions()
            first, *_ = sent(jobs)
            end(jobs, first)
            assert told.pop(first) == 0
            assert jobs.queue_positions() == {job: ahead - 1 for job, ahead in told.items()}


def test_who_was_worked_on_is_run_alone() -> None:
    """After a death each suspect has the process to itself; then all go on as before."""
    jobs = roster(6)
    sent(jobs)
    jobs.on_work_started(0, [1, 2], is_running=True)
    assert jobs.num_running == 2
    assert jobs.on_worker_died(0) == []
    assert (jobs.num_running, jobs.is_busy(0)) == (0, False)
    assert (sent(jobs), sent(jobs)) == ([1], [])
    end(jobs, 1)
    assert (sent(jobs), sent(jobs)) == ([2], [])
    end(jobs, 2)
    assert sent(jobs) == [3, 4, 5]


def test_second_death_is_the_last() -> None:
    """The suspect that has the process when it dies again is given up, and nobody else."""
    jobs = roster(3)
    sent(jobs)
    jobs.on_work_started(0, [1, 2, 3], is_running=True)
    assert jobs.on_worker_died(0) == []
    assert sent(jobs) == [1]
    jobs.on_work_started(0, [1], is_running=True)
    end(jobs, 1)
    assert sent(jobs) == [2]
    jobs.on_work_started(0, [2], is_running=False)
    assert jobs.on_worker_died(0) == [2]
    assert (sent(jobs), len(jobs)) == ([3], 1)


def test_somebody_is_guilty() -> None:
    """A process that dies before it has said whom it works for may have died of one of those it
    has, or have been dead before they came: that counts half."""
    jobs = roster(2, max_running=1)
    sent(jobs)
    for _ in range(3):
        assert jobs.on_worker_died(0) == []
        assert sent(jobs) == [1]
    assert jobs.on_worker_died(0) == [1]
    assert sent(jobs) == [2]


def test_sent_to_a_process_that_was_dead() -> None:
    """One event that ends two processes costs a job that was in both nothing but time."""
    jobs = two(1)
    jobs.dispatch({0: (), 1: ()})
    begin(jobs, 0, 1)
    assert jobs.on_worker_died(0) == []
    assert jobs.dispatch({1: ()}) == [(1, 1)]
    assert jobs.on_worker_died(1) == []
    assert jobs.dispatch({0: ()}) == [(1, 0)]


def test_work_for_who_has_left_is_work() -> None:
    """A process that is still in a forward for a job that was cancelled is not taken for idle."""
    jobs = two(1)
    jobs.dispatch({0: (), 1: ()})
    begin(jobs, 0, 1)
    jobs.remove(1)
    jobs.on_cancel_ack(0, 1)
    jobs.add(2)
    assert jobs.dispatch({0: (), 1: ()}) == [(2, 1)]


def test_ended_jobs_are_not_guilty() -> None:
    """A death after the job that was worked on has ended is no fault of one that waits."""
    jobs = roster(2, max_running=1)
    sent(jobs)
    jobs.on_work_started(0, [1], is_running=True)
    jobs.remove(1)
    assert jobs.on_worker_died(0) == []
    assert sent(jobs) == [2]
    jobs.on_work_started(0, [2], is_running=True)
    assert jobs.on_worker_died(0) == []  # its first


def test_who_has_left_may_be_guilty() -> None:
    """A process that dies in a forward for a job that was cancelled died of no other; until it
    says that it is idle, it has something to do."""
    jobs = roster(2, max_running=2)
    sent(jobs)
    jobs.on_work_started(0, [1], is_running=True)
    jobs.remove(1)
    assert jobs.on_worker_died(0) == []
    assert sent(jobs) == [2]
    jobs.on_work_started(0, [2], is_running=True)
    jobs.remove(2)
    assert jobs.is_busy(0)
    jobs.on_work_started(0, [], is_running=False)
    assert not jobs.is_busy(0)


def two(count: int = 0, max_running: int = 3) -> JobDispatcher:
    """Processes."""
    made = JobDispatcher(max_running, num_workers=2)
    for job in range(1, count + 1):
        made.add(job)
    return made


BOTH = {0: ("",), 1: ("",)}


def begin(jobs: JobDispatcher, process: int, *numbers: int) -> None:
    assert jobs.on_work_started(process, numbers, is_running=True)


def test_least_work_first() -> None:
    """The next job goes to the process with the fewest; neither hoards what it has not begun."""
    jobs = two(7)
    assert jobs.dispatch(BOTH) == [(1, 0), (2, 1), (3, 0), (4, 1)]
    begin(jobs, 1, 2, 4)
    assert jobs.dispatch(BOTH) == [(5, 1)]  # the most that may run
    end(jobs, 2)
    end(jobs, 4)
    assert jobs.dispatch(BOTH) == [(6, 1)]
    begin(jobs, 0, 1)
    assert jobs.dispatch(BOTH) == [(7, 0)]
    assert (jobs.num_assigned(0), jobs.num_assigned(1), len([*jobs.models_ahead_of("")])) == (
        3,
        2,
        5,
    )


def test_one_that_is_not_there_gets_nothing() -> None:
    """A process that is being started is passed over, and gets its share afterwards."""
    jobs = two(4)
    assert jobs.dispatch({1: ("",)}) == [(1, 1), (2, 1)]
    assert jobs.dispatch(BOTH) == [(3, 0), (4, 0)]


def test_where_the_model_is() -> None:
    """A process that has the job's model, or is about to load it for another job, comes first; when
    it has no room the other does."""
    jobs = two()
    for job in range(1, 5):
        jobs.add(job, model="big")
    assert jobs.dispatch({0: (), 1: ("big",)}) == [(1, 1), (2, 1), (3, 0), (4, 0)]
    jobs = two()
    for job in (1, 2):
        jobs.add(job, model="big")
    jobs.add(3, model="other")
    assert jobs.dispatch({0: (), 1: ()}) == [(1, 0), (2, 0), (3, 1)]


def test_a_death_is_of_one_process() -> None:
    """Whoever the other has goes on; the suspects get a process each that has nothing else, the
    rest of the dead one's jobs whoever is free."""
    jobs = two(6)
    jobs.dispatch(BOTH)
    begin(jobs, 0, 1, 3)
    assert jobs.dispatch(BOTH) == [(5, 0)]
    assert jobs.on_worker_died(0) == []
    # One process alone: it takes nothing else until it is free for a suspect.
    assert jobs.dispatch({1: ("",)}) == []
    begin(jobs, 1, 2)
    assert jobs.dispatch(BOTH) == [(1, 0), (5, 1)]
    end(jobs, 1)
    assert jobs.dispatch(BOTH) == [(3, 0)]
    begin(jobs, 0, 3)
    assert jobs.on_worker_died(0) == [3]
    begin(jobs, 1, 5)
    assert jobs.dispatch(BOTH) == [(6, 0)]


def test_suspects_are_not_forgotten() -> None:
    """Where one process alone is left, and is never idle, it still becomes free for them."""
    jobs = two(3)
    jobs.dispatch(BOTH)
    begin(jobs, 1, 2)
    jobs.on_worker_died(1)
    for job in range(4, 9):
        jobs.add(job)
    assert sent(jobs) == []
    end(jobs, 1)
    end(jobs, 3)
    assert (sent(jobs), sent(jobs)) == ([2], [])
    end(jobs, 2)
    assert sent(jobs) == [4, 5]


def test_idle_one_takes_what_another_has_not_begun() -> None:
    """But not a job that the other is about to begin, nor one whose model it does not have; until
    the other has let go, the job keeps its place there, too."""
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


def unlike(count: int) -> JobDispatcher:
    """Process 1 serves "any" and not "first"; jobs with odd numbers are for "first"."""
    made = JobDispatcher(3, 2, lambda process, model: process == 0 or model == "any")
    for job in range(1, count + 1):
        made.add(job, model="first" if job % 2 else "any")
    return made


def test_jobs_go_where_their_model_is_served() -> None:
    """Those that only a busy process may do wait for it, and hold up no other."""
    jobs = unlike(8)
    assert jobs.dispatch(BOTH) == [(1, 0), (2, 1), (3, 0), (4, 1)]
    begin(jobs, 1, 2, 4)
    assert jobs.dispatch(BOTH) == [(6, 1)]
    for job in (2, 4, 6):
        end(jobs, job)
    assert jobs.dispatch(BOTH) == [(8, 1)]
    end(jobs, 8)
    assert (jobs.dispatch(BOTH), jobs.dispatch({1: ("",)})) == ([], [])
    assert jobs.rebalance({0: ("first",), 1: ("first",)}) == []
    begin(jobs, 0, 1, 3)
    assert jobs.dispatch(BOTH) == [(5, 0)]


def test_suspects_go_where_their_model_is_served() -> None:
    """One process is kept free for them, and it is one that may do them."""
    jobs = unlike(3)
    assert jobs.dispatch(BOTH) == [(1, 0), (2, 1), (3, 0)]
    begin(jobs, 0, 1)
    assert jobs.on_worker_died(0) == []
    jobs.add(4, model="any")
    jobs.add(6, model="any")
    assert jobs.dispatch({1: ("",)}) == [(4, 1)]
    end(jobs, 2)
    end(jobs, 4)
    assert jobs.dispatch(BOTH) == [(1, 0), (6, 1)]


def test_what_may_not_be_served_any_more_is_taken_back() -> None:
    """Begun or not, each keeps its place before those that came later, and what the process still
    says of it counts for nothing; a suspect stays one."""
    served = [0, 1]
    jobs = JobDispatcher(3, 2, lambda process, model: process in served)
    for job in range(1, 4):
        jobs.add(job)
    jobs.dispatch({0: ("",)})
    begin(jobs, 0, 1)
    assert jobs.revoke_mismatched() == []
    served.remove(0)
    assert jobs.revoke_mismatched() == [(1, 0), (2, 0)]
    assert (jobs.revoke_mismatched(), jobs.is_assigned(0, 1), jobs.num_running) == ([], False, 0)
    assert jobs.dispatch(BOTH) == [(1, 1), (2, 1)]
    begin(jobs, 1, 1)
    assert jobs.on_worker_died(1) == []
    assert jobs.dispatch(BOTH) == [(1, 1)]
    served[:] = [0]
    assert jobs.revoke_mismatched() == [(1, 1)]
    for job in (1, 2):
        jobs.on_cancel_ack(0, job)
    assert (jobs.dispatch(BOTH), jobs.dispatch(BOTH)) == ([(1, 0)], [])


def test_nobody_is_asked_for_each_job() -> None:
    """However many wait that no free process may serve, it is asked once for their model."""
    asked = []

    def may_serve(process: int, model: str) -> bool:
        asked.append(model)
        return process == 0 or model == "other"

    roster = JobDispatcher(1, 2, may_serve)
    for job in range(100):
        roster.add(job, "owner", "busy")
    assert roster.dispatch({0: (), 1: ()}) == [(0, 0)]
    asked.clear()
    roster.add(100, "owner", "other")
    assert roster.dispatch({0: (), 1: ()}) == [(100, 1)]
    assert len(asked) == 2
