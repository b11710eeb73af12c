"""When a process counts as hung."""

from __future__ import annotations

from daguerre.engine.workers.watchdog import Watchdog
from engine.networks import Clock


def looked(watch: Watchdog, clock: Clock, seconds: int, *, has_work: bool) -> str:
    """The first fault that is found in so many seconds."""
    for _ in range(seconds):
        clock.now_s += 1
        if fault := watch.fault(has_work=has_work):
            return fault
    return ""


def test_silence() -> None:
    """A process that says nothing for the time has a fault, with work or without."""
    clock = Clock()
    watched = Watchdog(10, 100, clock)
    watched.note_loaded()
    watched.note_life()
    assert looked(watched, clock, 10, has_work=False) == ""
    assert "showed no life for 10 s" in looked(watched, clock, 1, has_work=False)


def test_no_work() -> None:
    """One that lives and does nothing has a fault if there is something to do."""
    clock = Clock()
    watched = Watchdog(10, 100, clock)
    watched.note_loaded()
    for _ in range(30):
        watched.note_life()
        assert looked(watched, clock, 1, has_work=False) == ""
    watched.note_work()
    for _ in range(10):
        watched.note_life()
        assert looked(watched, clock, 1, has_work=True) == ""
    watched.note_life()
    assert "did no work for 10 s" in looked(watched, clock, 1, has_work=True)


def test_loading_has_a_time_of_its_own() -> None:
    """Loading may take longer than a forward, and not for ever."""
    clock = Clock()
    watched = Watchdog(10, 100, clock)
    assert looked(watched, clock, 100, has_work=False) == ""
    assert "not loaded after 100 s" in looked(watched, clock, 1, has_work=False)


def test_preparing_has_the_time_of_loading() -> None:
    """What is done once for a request is no hang, be it silent, until it takes longer than it may;
    each part of it has its time."""
    clock = Clock()
    watched = Watchdog(10, 100, clock)
    watched.note_loaded()
    for _ in range(2):
        watched.note_preparing(True)
        assert looked(watched, clock, 100, has_work=True) == ""
    watched.note_work()  # as of a job that is refused meanwhile
    assert "for 100 s (model_load_timeout_s)" in looked(watched, clock, 1, has_work=True)
    assert looked(watched, clock, 1, has_work=False) == ""
    watched.note_preparing(False)
    assert looked(watched, clock, 10, has_work=True) == ""
    assert looked(watched, clock, 1, has_work=True) != ""


def test_time_asleep_does_not_count() -> None:
    """After both processes were stopped for long, the other one gets its time again."""
    clock = Clock()
    watched = Watchdog(10, 100, clock)
    watched.note_loaded()
    assert looked(watched, clock, 5, has_work=True) == ""
    clock.now_s += 1000
    assert looked(watched, clock, 5, has_work=True) == ""
    assert looked(watched, clock, 2, has_work=True) != ""
