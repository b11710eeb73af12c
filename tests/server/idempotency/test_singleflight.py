"""Singleflight: every request receives all events, and none cancels the job of the others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable

import pytest

from daguerre.errors import QueueFullError
from daguerre.params import Event, JobFailed, JobQueued, StepCompleted
from daguerre.server.idempotency.singleflight import InFlightKey, SharedJob

JobFactory = Callable[[], AsyncGenerator[Event, None]]
# Stands in for an image: requests pass the last event on as it is.
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


async def refused(is_full: bool = True) -> AsyncGenerator[Event, None]:
    await asyncio.sleep(0.01)
    if is_full:
        raise QueueFullError("the queue is full")
    yield JobQueued(0)


async def collect(events: AsyncGenerator[Event, None]) -> list[Event]:
    return [event async for event in events]


def test_late_requests_receive_all() -> None:
    """A request that joins in the middle, or after the end, receives the events from the first."""
    expected: list[Event] = [JobQueued(0), StepCompleted(1, 2), StepCompleted(2, 2), LAST]

    async def main() -> None:
        shared = SharedJob(job(*expected))
        first = asyncio.create_task(collect(shared.events()))
        await asyncio.sleep(0)
        assert await collect(shared.events()) == expected
        assert await first == expected
        assert await collect(shared.events()) == expected

    asyncio.run(main())


def test_reader_does_not_cancel() -> None:
    """Only `cancel` closes the job; readers that leave do not."""
    closed: list[str] = []

    async def main() -> None:
        shared = SharedJob(job(JobQueued(0), closed=closed, wait=True))
        readers = [asyncio.create_task(collect(shared.events())) for _ in range(2)]
        await asyncio.sleep(0.01)
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)
        assert not closed and not shared.has_failed
        await shared.cancel()
        assert closed == ["closed"] and shared.has_failed

    asyncio.run(main())


def test_refusals_reach_all() -> None:
    """A job that is refused before its first event is refused for every request."""

    async def main() -> None:
        shared = SharedJob(refused)
        for _ in range(2):
            with pytest.raises(QueueFullError):
                await collect(shared.events())
        assert shared.has_failed

    asyncio.run(main())


def test_deadline_of_the_owner() -> None:
    """If the engine rejects the owner, for example for its deadline, the others try themselves."""

    async def main() -> None:
        in_flight = InFlightKey()
        starts = (refused, refused, job(JobQueued(1), LAST))
        requests = []
        for start in starts:
            requests.append(asyncio.create_task(collect(in_flight.events(start))))
            await asyncio.sleep(0)
        results = await asyncio.gather(*requests, return_exceptions=True)
        assert [type(result) for result in results[:2]] == [QueueFullError] * 2
        assert results[2] == [JobQueued(1), LAST]
        assert in_flight.keeps_record

    asyncio.run(main())
