"""A job's events as an asynchronous generator, whatever thread they come from.

Knows nothing of where the engine lives: it is given a job by `submit`, calls back from a thread of
its own, and is told by `cancel` that nobody waits any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Protocol

from daguerre.params import Done, Event, Failed, ImageParams, Queued, Terms

# How often a job that waits looks for its place, in seconds.
PLACE_POLL_S = 0.5


class TakesJobs(Protocol):
    def submit(
        self, params: ImageParams, emit: Callable[[Event], None], terms: Terms
    ) -> tuple[int, int]:
        """The job's number, and how many are ahead of it. Raises what `Engine.generate` does."""

    def num_ahead(self, number: int) -> int | None:
        """How many are ahead of the job now; None where it does not wait any more."""

    def cancel(self, number: int) -> None:
        """Nothing happens when the job has ended before."""


async def stream(
    engine: TakesJobs, params: ImageParams, terms: Terms
) -> AsyncGenerator[Event, None]:
    """See `Engine.generate`."""
    loop = asyncio.get_running_loop()
    events: asyncio.Queue[Event] = asyncio.Queue()

    def emit(event: Event) -> None:
        try:
            loop.call_soon_threadsafe(events.put_nowait, event)
        except RuntimeError:  # the caller's event loop is closed: nobody waits for the image
            engine.cancel(number)

    number, num_ahead = engine.submit(params, emit, terms)
    try:
        yield Queued(num_ahead)
        is_waiting = True
        while True:
            event = await _next(events, PLACE_POLL_S if is_waiting else None)
            if event is None:
                place = engine.num_ahead(number)
                is_waiting = place is not None
                if place is not None and place != num_ahead:
                    num_ahead = place
                    yield Queued(num_ahead)
                continue
            is_waiting = False
            yield event
            if isinstance(event, Done | Failed):
                return
    finally:
        engine.cancel(number)


async def _next(events: asyncio.Queue[Event], seconds: float | None) -> Event | None:
    """None where none has come for so long."""
    try:
        async with asyncio.timeout(seconds):
            return await events.get()
    except TimeoutError:
        return None
