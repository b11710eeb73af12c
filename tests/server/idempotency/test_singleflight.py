"""One job for several requests: all hear all of it, and one's end is not another's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

import pytest
from conftest import MODEL

from daguerre.errors import DeadlineExceededError, QueueFullError
from daguerre.params import Event, ImageParams, JobFailed, JobQueued, StepCompleted
from daguerre.server.idempotency.replay import IdempotentRequest, _InFlightKey
from daguerre.server.idempotency.singleflight import SharedJob
from daguerre.storage.result_cache import ResultCache

JobFactory = Callable[[], AsyncGenerator[Event, None]]
# As good as an image, to those that only pass it on.
LAST = JobFailed(ValueError("the last event"))


def job(*events: Event, closed: list[str] | None = None, wait: bool = False) -> JobFactory:
    async def run() -> AsyncGenerator[Event, None]:
        try:
            for event in events:
                await asyncio.sleep(0)
                yield event
            if wait:
                await asyncio.Event().wait()
        finally:
            if closed is not None:
                closed.append("closed")

    return run


async def heard(events: AsyncGenerator[Event, None]) -> list[Event]:
    return [event async for event in events]


def test_late_listeners_hear_all() -> None:
    """Whoever comes in the middle, or after the end, hears the job from its first event."""
    told: list[Event] = [JobQueued(0), StepCompleted(1, 2), StepCompleted(2, 2), LAST]

    async def listen() -> None:
        flight = SharedJob(job(*told))
        first = asyncio.create_task(heard(flight.events()))
        await asyncio.sleep(0)
        assert await heard(flight.events()) == told
        assert await first == told
        assert await heard(flight.events()) == told

    asyncio.run(listen())


def test_a_listener_that_leaves_ends_nothing() -> None:
    """The job is closed by `end`, and by nothing that a listener does."""
    closed: list[str] = []

    async def listen() -> None:
        flight = SharedJob(job(JobQueued(0), closed=closed, wait=True))
        listeners = [asyncio.create_task(heard(flight.events())) for _ in range(2)]
        await asyncio.sleep(0.01)
        for listener in listeners:
            listener.cancel()
        await asyncio.gather(*listeners, return_exceptions=True)
        assert not closed and flight.was_taken
        await flight.end()
        assert closed == ["closed"] and flight.has_failed

    asyncio.run(listen())


def test_refusals_reach_all() -> None:
    """A job that is refused before its first event is refused for everybody."""

    async def refused(is_full: bool = True) -> AsyncGenerator[Event, None]:
        if is_full:
            raise QueueFullError("the queue is full")
        yield JobQueued(0)

    async def listen() -> None:
        flight = SharedJob(refused)
        for _ in range(2):
            with pytest.raises(QueueFullError):
                await heard(flight.events())
        assert flight.has_failed and not flight.was_taken

    asyncio.run(listen())


@pytest.mark.parametrize("is_told", [True, False], ids=["an event", "an exception"])
def test_the_time_of_another(tmp_path: Path, is_told: bool) -> None:
    """Where the job ends with the time of the request that began it, the others begin one of their
    own; the first is told the truth."""

    async def late() -> AsyncGenerator[Event, None]:
        yield JobQueued(0)
        await asyncio.sleep(0.01)
        if not is_told:
            raise DeadlineExceededError("late")
        yield JobFailed(DeadlineExceededError("late"))

    async def listen() -> None:
        place, params = _InFlightKey(), ImageParams(MODEL, "x")
        first, second = (
            IdempotentRequest(
                params,
                ResultCache(tmp_path, 0),
                "",
                is_looked_for=False,
                is_kept=False,
                place=place,
            )
            for _ in range(2)
        )
        began = asyncio.create_task(heard(first.events(late)))
        await asyncio.sleep(0)
        waits = asyncio.create_task(heard(second.events(job(JobQueued(1), LAST))))
        with pytest.raises(DeadlineExceededError):
            await began
        assert (await waits)[-2:] == [JobQueued(1), LAST]

    asyncio.run(listen())
