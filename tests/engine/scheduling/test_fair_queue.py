"""Whose turn it is, with owners as letters."""

from __future__ import annotations

from collections import Counter

from daguerre.engine.scheduling.fair_queue import FairQueue, VirtualClock


def queue(owners: str) -> FairQueue:
    """One job for each letter, numbered from 1."""
    made = FairQueue()
    for job, owner in enumerate(owners, 1):
        made.add(job, owner)
    return made


def emptied(waiting: FairQueue) -> list[int]:
    return [waiting.pop() for _ in range(len(waiting))]


def test_one_owner_is_first_come_first_served() -> None:
    """With one owner nothing but arrival counts."""
    assert emptied(queue("aaaaa")) == [1, 2, 3, 4, 5]


def test_owners_take_turns() -> None:
    """However many jobs an owner has, the others wait for one of them at a time."""
    assert emptied(queue("aaaabbc")) == [1, 5, 7, 2, 6, 3, 4]


def test_idle_time_saves_up_nothing() -> None:
    """Who comes late has its turn at once, and is not ahead for long."""
    waiting = queue("aaaaaaaa")
    assert [waiting.pop() for _ in range(4)] == [1, 2, 3, 4]
    for job in range(9, 13):
        waiting.add(job, "b")
    assert emptied(waiting) == [9, 5, 10, 6, 11, 7, 12, 8]


def test_one_at_a_time_is_no_way_to_the_front() -> None:
    """An owner that asks again as soon as it is served gets one turn in two, not all."""
    waiting, served = queue("a" * 50), Counter[str]()
    for job in range(100, 140):
        waiting.add(job, "b")
        one = waiting.pop()
        while one != job:
            served["a"] += 1
            one = waiting.pop()
        served["b"] += 1
    assert abs(served["a"] - served["b"]) <= 1


def test_who_cannot_be_run_keeps_its_turn() -> None:
    """Jobs that no process can run now are passed over, their owner's next ones are not; when they
    can be run they are the first."""
    waiting = queue("aabb")
    assert [waiting.pop_runnable(lambda job: job not in (1, 2)) for _ in range(3)] == [3, 4, None]
    assert emptied(waiting) == [1, 2]
    waiting = queue("aaaabb")
    assert [waiting.pop_runnable(lambda job: job % 2 == 0) for _ in range(4)] == [2, 6, 4, None]


def test_who_leaves_has_used_no_turn() -> None:
    """Jobs that are withdrawn cost their owner no place, and another's job none either."""
    waiting = queue("aaaabb")
    for job in (1, 2, 3):
        waiting.remove(job)
    waiting.remove(99)
    assert emptied(waiting) == [4, 5, 6]


def test_put_back_is_first() -> None:
    """A job that has to be run again goes before the later ones of its owner."""
    waiting = queue("aab")
    assert [waiting.pop(), waiting.pop()] == [1, 3]
    waiting.requeue(3, "b")
    waiting.requeue(1, "a")
    assert 1 in waiting and len(waiting) == 3
    assert [job for job in emptied(waiting) if job != 3] == [1, 2]


def test_before_is_who_goes_before() -> None:
    """What is told of the queue is what then happens."""
    for owner in "abcd":
        waiting = queue("aaaaabbbcab")
        for _ in range(3):
            waiting.pop()
        told = len([*waiting.ahead_of(owner)])
        waiting.add(99, owner)
        assert emptied(waiting).index(99) == told


def test_memory_is_bounded() -> None:
    """Owners that are not ahead of the others are forgotten."""
    turns = VirtualClock()
    for number in range(1000):
        turns.reach(turns.take(f"owner {number}") + number)
    assert len(turns._last) <= 1
