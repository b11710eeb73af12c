"""The order of a fair queue, with tenants as letters."""

from __future__ import annotations

from collections import Counter

from daguerre.engine.scheduling.fair_queue import FairQueue, VirtualClock


def queue(tenants: str) -> FairQueue:
    """A queue with one job for each letter, numbered from 1."""
    filled = FairQueue()
    for job, tenant in enumerate(tenants, 1):
        filled.add(job, tenant)
    return filled


def drained(waiting: FairQueue) -> list[int]:
    return list(iter(waiting.pop, None))


def test_one_tenant_is_first_come_first_served() -> None:
    """The jobs of a single tenant run in order of arrival."""
    assert drained(queue("aaaaa")) == [1, 2, 3, 4, 5]


def test_tenants_alternate() -> None:
    """However many jobs a tenant has, each other tenant waits for one of them at a time."""
    assert drained(queue("aaaabbc")) == [1, 5, 7, 2, 6, 3, 4]


def test_idle_time_earns_no_credit() -> None:
    """A tenant that arrives late gets the next turn, and then alternates with the others."""
    waiting = queue("aaaaaaaa")
    assert [waiting.pop() for _ in range(4)] == [1, 2, 3, 4]
    for job in range(9, 13):
        waiting.add(job, "b")
    assert drained(waiting) == [9, 5, 10, 6, 11, 7, 12, 8]


def test_single_requests_gain_no_advantage() -> None:
    """A tenant that sends one job at a time gets every second turn, not all turns."""
    waiting, served = queue("a" * 50), Counter[str]()
    for job in range(100, 140):
        waiting.add(job, "b")
        one = waiting.pop()
        while one != job:
            served["a"] += 1
            one = waiting.pop()
        served["b"] += 1
    assert abs(served["a"] - served["b"]) <= 1


def test_job_that_cannot_run_keeps_its_turn() -> None:
    """Jobs that cannot run now are skipped, later jobs of their tenant are not. Once they can run,
    they are first."""
    waiting = queue("aabb")
    assert [waiting.pop(lambda job: job not in (1, 2)) for _ in range(3)] == [3, 4, None]
    assert drained(waiting) == [1, 2]
    waiting = queue("aaaabb")
    assert [waiting.pop(lambda job: job % 2 == 0) for _ in range(4)] == [2, 6, 4, None]


def test_removed_job_uses_no_turn() -> None:
    """Removed jobs delay neither their tenant nor another."""
    waiting = queue("aaaabb")
    for job in (1, 2, 3):
        waiting.remove(job)
    waiting.remove(99)
    assert drained(waiting) == [4, 5, 6]


def test_requeued_job_is_first() -> None:
    """A job that must run again comes before the later jobs of its tenant."""
    waiting = queue("aab")
    assert [waiting.pop(), waiting.pop()] == [1, 3]
    waiting.requeue(3, "b")
    waiting.requeue(1, "a")
    assert len(waiting) == 3
    assert [job for job in drained(waiting) if job != 3] == [1, 2]


def test_ahead_of_predicts_the_order() -> None:
    """`ahead_of` returns the jobs that then run first."""
    for tenant in "abcd":
        waiting = queue("aaaaabbbcab")
        for _ in range(3):
            waiting.pop()
        num_ahead = len([*waiting.ahead_of(tenant)])
        waiting.add(99, tenant)
        assert drained(waiting).index(99) == num_ahead


def test_memory_is_bounded() -> None:
    """The clock forgets tenants that are not ahead of the current turn."""
    clock = VirtualClock()
    for number in range(1000):
        clock.advance_to(clock.take_turn(f"tenant {number}") + number)
    assert len(clock._last) <= 1
