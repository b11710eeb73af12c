"""Who is run when, and who is given up."""

from __future__ import annotations

import numpy as np

from daguerre.engine.roster import Roster


def roster(count: int, max_sent: int = 3) -> Roster:
    made = Roster(max_sent)
    for job in range(1, count + 1):
        made.add(job)
    return made


def end(jobs: Roster, job: int) -> None:
    """The process has said that it is done."""
    assert not jobs.remove(job, has_ended=True)


def test_sent_in_order_of_arrival() -> None:
    """A process holds as many as may run; the next is sent when one has ended."""
    jobs = roster(5)
    assert (jobs.send(), jobs.send()) == ([1, 2, 3], [])
    end(jobs, 2)
    assert not jobs.remove(5)  # waits, so no process need be told
    assert (jobs.send(), len(jobs), jobs.is_busy) == ([4], 3, True)


def test_place_of_who_leaves() -> None:
    """A job that is not wanted any more keeps its place until the process has let go of it, so
    that clients who come and leave cannot fill the process's memory while it does not listen."""
    jobs = roster(3, max_sent=1)
    jobs.send()
    assert jobs.remove(1)
    assert jobs.send() == []
    jobs.let_go(1)
    assert jobs.send() == [2]
    assert jobs.remove(2)
    assert jobs.die() == []  # and a process that is gone holds nobody
    assert jobs.send() == [3]


def test_owners_take_turns() -> None:
    """The one job of an owner goes before the second of another who has many."""
    jobs = Roster(max_sent=1)
    for job in range(1, 6):
        jobs.add(job, "busy")
    assert jobs.send() == [1]
    assert jobs.num_before("rare") == 1
    jobs.add(6, "rare")
    assert jobs.num_before("rare") == 3
    order = []
    for last in (1, 6, 2, 3, 4):
        end(jobs, last)
        order += jobs.send()
    assert order == [6, 2, 3, 4, 5]


def test_place_in_the_queue() -> None:
    """How many are ahead of each, as they end and leave; nothing is told of one that is begun."""
    jobs = roster(5, max_sent=2)
    jobs.send()
    assert [jobs.num_ahead(job) for job in range(1, 6)] == [0, 1, 2, 3, 4]
    jobs.work_on([1], has_begun=True)
    assert jobs.num_ahead(1) is None and jobs.num_ahead(2) == 1
    end(jobs, 1)
    assert not jobs.remove(4)
    jobs.send()
    assert [jobs.num_ahead(job) for job in (2, 3, 5)] == [0, 1, 2]


def test_place_among_owners_is_kept() -> None:
    """Whoever asks is told the very number of jobs that are then run before it, if no other comes;
    and the number by which it is accepted is the first of these."""
    random = np.random.RandomState(4)
    for _ in range(200):
        jobs, told = Roster(max_sent=1), dict[int, int]()
        for job in range(1, random.randint(2, 12)):
            owner = str(random.randint(3))
            expected = jobs.num_before(owner)
            jobs.add(job, owner)
            assert jobs.num_ahead(job) == expected
            if random.randint(3) == 0 and (sent := jobs.send()):
                end(jobs, sent[0])
        order = []
        while len(jobs):
            told = {job: ahead for job in list(jobs._places) if (ahead := jobs.num_ahead(job))}
            sent = jobs.send()
            order.append(sent[0])
            end(jobs, sent[0])
            assert sent[0] not in told  # it was told that none is ahead
            later = dict(told)
            for job, ahead in later.items():
                assert jobs.num_ahead(job) == ahead - 1


def test_who_was_worked_on_is_run_alone() -> None:
    """After a death each suspect has the process to itself; then all go on as before."""
    jobs = roster(6)
    jobs.send()
    jobs.work_on([1, 2], has_begun=True)
    assert jobs.num_begun == 2
    assert jobs.die() == []
    assert (jobs.num_begun, jobs.is_busy) == (0, False)
    assert (jobs.send(), jobs.send()) == ([1], [])
    end(jobs, 1)
    assert (jobs.send(), jobs.send()) == ([2], [])
    end(jobs, 2)
    assert jobs.send() == [3, 4, 5]


def test_second_death_is_the_last() -> None:
    """The suspect that has the process when it dies again is given up, and nobody else."""
    jobs = roster(3)
    jobs.send()
    jobs.work_on([1, 2, 3], has_begun=True)
    assert jobs.die() == []
    assert jobs.send() == [1]
    jobs.work_on([1], has_begun=True)
    end(jobs, 1)
    assert jobs.send() == [2]
    jobs.work_on([2], has_begun=False)
    assert jobs.die() == [2]
    assert (jobs.send(), len(jobs)) == ([3], 1)


def test_somebody_is_guilty() -> None:
    """A process that dies before it has said whom it works for died of one of those it has."""
    jobs = roster(2, max_sent=1)
    jobs.send()
    assert jobs.die() == []
    assert jobs.send() == [1]
    assert jobs.die() == [1]
    assert jobs.send() == [2]


def test_ended_jobs_are_not_guilty() -> None:
    """A death after the job that was worked on has ended is no fault of one that waits."""
    jobs = roster(2, max_sent=1)
    jobs.send()
    jobs.work_on([1], has_begun=True)
    jobs.remove(1)
    assert jobs.die() == []
    assert jobs.send() == [2]
    jobs.work_on([2], has_begun=True)
    assert jobs.die() == []  # its first


def test_who_has_left_may_be_guilty() -> None:
    """A process that dies in a forward for a job that was cancelled died of no other; until it
    says that it is idle, it has something to do."""
    jobs = roster(2, max_sent=2)
    jobs.send()
    jobs.work_on([1], has_begun=True)
    jobs.remove(1)
    assert jobs.die() == []
    assert jobs.send() == [2]
    jobs.work_on([2], has_begun=True)
    jobs.remove(2)
    assert jobs.is_busy
    jobs.work_on([], has_begun=False)
    assert not jobs.is_busy
