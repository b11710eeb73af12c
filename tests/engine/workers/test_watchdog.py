"""When a worker counts as hung."""

from __future__ import annotations

import pytest

from daguerre.engine.workers.watchdog import Watchdog
from engine.networks import Clock


def make_watchdog(clock: Clock) -> Watchdog:
    """A watchdog with a hang timeout of 10 s and a load timeout of 100 s."""
    return Watchdog(10, 100, clock)


def poll(
    watchdog: Watchdog,
    clock: Clock,
    seconds: int,
    *,
    is_busy: bool,
    is_loaded: bool = True,
    is_active: bool = True,
) -> str:
    """Polls every second; returns the first fault."""
    for _ in range(seconds):
        clock.now_s += 1
        watchdog.record_activity(int(clock.now_s) if is_active else 0)
        if fault := watchdog.check(is_loaded=is_loaded, is_busy=is_busy):
            return fault
    return ""


def test_no_heartbeat() -> None:
    """A worker without a heartbeat hangs, whether it has jobs or not."""
    clock = Clock()
    watchdog = make_watchdog(clock)
    watchdog.record_heartbeat()
    assert poll(watchdog, clock, 10, is_busy=False) == ""
    assert "sent no heartbeat for 10 s" in poll(watchdog, clock, 1, is_busy=False)


def test_no_progress() -> None:
    """A worker with heartbeats and without progress hangs if it has jobs."""
    clock = Clock()
    watchdog = make_watchdog(clock)
    for _ in range(30):
        watchdog.record_heartbeat()
        assert poll(watchdog, clock, 1, is_busy=False) == ""
    for _ in range(11):  # from the last poll at which it was idle
        watchdog.record_heartbeat()
        assert poll(watchdog, clock, 1, is_busy=True) == ""
    watchdog.record_heartbeat()
    assert "made no progress for 10 s" in poll(watchdog, clock, 1, is_busy=True)


def test_load_timeout() -> None:
    """Loading has its own, longer limit."""
    clock = Clock()
    watchdog = make_watchdog(clock)
    assert poll(watchdog, clock, 100, is_busy=False, is_loaded=False) == ""
    fault = poll(watchdog, clock, 1, is_busy=False, is_loaded=False)
    assert "did not load its models within 100 s" in fault


def test_warmup() -> None:
    """A warm-up may be silent for as long as loading may take; each part has its own limit."""
    clock = Clock()
    watchdog = make_watchdog(clock)
    for _ in range(2):
        watchdog.record_warmup(True)
        assert poll(watchdog, clock, 100, is_busy=True) == ""
    watchdog.record_progress()  # for example of a job that fails in the meantime
    assert "within 100 s (model_load_timeout_s)" in poll(watchdog, clock, 1, is_busy=True)
    assert poll(watchdog, clock, 1, is_busy=False) == ""
    watchdog.record_warmup(False)
    assert poll(watchdog, clock, 10, is_busy=True) == ""
    assert poll(watchdog, clock, 1, is_busy=True) != ""


@pytest.mark.parametrize("is_loaded", [False, True])
def test_silent_warmup(is_loaded: bool) -> None:
    """While it loads or warms up, a worker hangs if it is silent and its process does nothing."""
    clock = Clock()
    watchdog = make_watchdog(clock)
    if is_loaded:
        watchdog.record_warmup(True)

    def poll_for(seconds: int, is_active: bool) -> str:
        return poll(
            watchdog, clock, seconds, is_busy=True, is_loaded=is_loaded, is_active=is_active
        )

    assert poll_for(20, is_active=True) == ""
    assert poll_for(11, is_active=False) == ""  # the first poll finds a change
    assert "sent no heartbeat and used no CPU time for 10 s" in poll_for(1, is_active=False)
    watchdog.record_heartbeat()
    assert poll_for(10, is_active=False) == ""
    watchdog.record_activity(None)  # on a system that does not tell
    assert watchdog.check(is_loaded=is_loaded, is_busy=True) == ""


def test_suspended_server() -> None:
    """Time in which the server itself was suspended does not count."""
    clock = Clock()
    watchdog = make_watchdog(clock)
    assert poll(watchdog, clock, 5, is_busy=True) == ""
    clock.now_s += 1000
    assert poll(watchdog, clock, 5, is_busy=True) == ""
    assert poll(watchdog, clock, 2, is_busy=True) != ""
