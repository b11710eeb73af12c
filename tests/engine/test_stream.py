"""The stream of a job's events, from a scripted engine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing

import pytest

from daguerre.engine import stream as stream_module
from daguerre.engine.stream import JobQueue, QueuePositions
from daguerre.errors import UnavailableError
from daguerre.params import DEFAULT_CONTEXT, Event, ImageParams, JobContext, JobFailed, JobQueued
from engine.networks import params

LAST = JobFailed(UnavailableError("the end"))
WITH_PROGRESS = JobContext(wants_progress=True)


class ScriptedEngine(JobQueue):
    """Accepts one job, and reports the given positions in turn; the last one ends the job."""

    def __init__(self, *positions: int) -> None:
        self._positions = list(positions)
        self.num_polls = 0

    def submit(
        self, params: ImageParams, emit: Callable[[Event], None], context: JobContext
    ) -> tuple[int, int]:
        self._emit = emit
        return 1, self._positions.pop(0)

    def queue_position(self, number: int) -> int | None:
        self.num_polls += 1
        if len(self._positions) == 1:
            self._emit(LAST)
        return self._positions.pop(0) if self._positions else None

    def cancel(self, number: int) -> None:
        pass


def received(engine: ScriptedEngine, context: JobContext) -> list[Event]:
    async def main() -> list[Event]:
        async with asyncio.timeout(20), aclosing(engine.generate(params(), context)) as events:
            return [event async for event in events]

    return asyncio.run(main())


def test_position_never_rises(monkeypatch: pytest.MonkeyPatch) -> None:
    """A position that rises is not reported until it is lower than the last reported one."""
    monkeypatch.setattr(stream_module, "POSITION_POLL_S", 0.001)
    events = received(ScriptedEngine(5, 4, 4, 6, 5, 3, 0), WITH_PROGRESS)
    assert events == [JobQueued(5), JobQueued(4), JobQueued(3), JobQueued(0), LAST]


def test_position_is_not_polled_without_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    """A job without `wants_progress` does not poll its position."""
    monkeypatch.setattr(stream_module, "POSITION_POLL_S", 0.001)

    class Ending(ScriptedEngine):
        def submit(
            self, params: ImageParams, emit: Callable[[Event], None], context: JobContext
        ) -> tuple[int, int]:
            asyncio.get_running_loop().call_later(0.05, emit, LAST)
            return super().submit(params, emit, context)

    engine = Ending(5, 4, 3)
    assert received(engine, DEFAULT_CONTEXT) == [JobQueued(5), LAST]
    assert engine.num_polls == 0


def test_positions_are_cached() -> None:
    """Callers at about the same time share one reading; later ones read again."""
    now_s, readings = [0.0], list[int]()

    def read() -> dict[int, int]:
        readings.append(1)
        return {number: number - 1 - len(readings) for number in range(1, 100)}

    positions = QueuePositions(read, lambda: now_s[0])
    assert [positions.position(number) for number in (5, 50, 100)] == [3, 48, None]
    assert len(readings) == 1
    now_s[0] += stream_module.POSITION_POLL_S
    assert positions.position(50) == 47 and len(readings) == 2


def test_poll_interval_grows_with_the_position() -> None:
    """Ten thousand queued jobs poll no more often than a thousand at the head of the queue would,
    and each polls at least every 10 s."""
    intervals_s = [stream_module._poll_interval_s(position) for position in range(10_000)]
    assert intervals_s[0] == stream_module.POSITION_POLL_S and intervals_s == sorted(intervals_s)
    assert intervals_s[-1] <= 10.0
    assert sum(1 / seconds for seconds in intervals_s) < 1000 / stream_module.POSITION_POLL_S
