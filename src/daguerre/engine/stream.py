"""A job's events as an asynchronous generator, whatever thread they come from.

Knows nothing of where the engine lives: it is given a job by `submit`, calls back from a thread of
its own, and is told by `cancel` that nobody waits any more.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Protocol

from daguerre.params import Event, ImageParams, JobContext, JobFailed, JobQueued, JobSucceeded

# How often a job that is next in line looks for its place, in seconds; one with many ahead looks
# as much less often as it has more of them, so that ten thousand cost little more than a hundred.
PLACE_POLL_S = 0.5
_MANY_AHEAD = 100
_MAX_PLACE_POLL_S = 10.0


class JobQueue(Protocol):
    def submit(
        self, params: ImageParams, emit: Callable[[Event], None], context: JobContext
    ) -> tuple[int, int]:
        """The job's number, and how many are ahead of it. Raises what `Engine.generate` does."""

    def queue_position(self, number: int) -> int | None:
        """How many are ahead of the job now; None where it does not wait any more."""

    def cancel(self, number: int) -> None:
        """Nothing happens when the job has ended before."""


class QueuePositions:
    """The places in the queue, found out once for all who look at about the same time.

    A look is never older than half of `PLACE_POLL_S`, so whoever looks after that time is in it.
    """

    def __init__(
        self, look: Callable[[], Mapping[int, int]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`look` returns how many are ahead of each job that waits."""
        self._look, self._clock = look, clock
        self._seen: Mapping[int, int] = {}
        self._seen_s = float("-inf")

    def position(self, number: int) -> int | None:
        now_s = self._clock()
        if now_s - self._seen_s > PLACE_POLL_S / 2:
            self._seen, self._seen_s = self._look(), now_s
        return self._seen.get(number)


async def stream(
    engine: JobQueue, params: ImageParams, context: JobContext
) -> AsyncGenerator[Event, None]:
    """See `Engine.generate`."""
    loop = asyncio.get_running_loop()
    events: asyncio.Queue[Event] = asyncio.Queue()

    def emit(event: Event) -> None:
        try:
            loop.call_soon_threadsafe(events.put_nowait, event)
        except RuntimeError:  # the caller's event loop is closed: nobody waits for the image
            engine.cancel(number)

    number, position = engine.submit(params, emit, context)
    try:
        yield JobQueued(position)
        is_waiting = context.wants_progress
        while True:
            event = await _next(events, _pause_s(position) if is_waiting else None)
            if event is None:
                place = engine.queue_position(number)
                is_waiting = place is not None
                # Others may come between, of owners whose turn it is or after a death: who waits
                # is told so by a number that stays, and never by one that rises.
                if place is not None and place < position:
                    position = place
                    yield JobQueued(position)
                continue
            is_waiting = False
            yield event
            if isinstance(event, JobSucceeded | JobFailed):
                return
    finally:
        engine.cancel(number)


def _pause_s(position: int) -> float:
    return PLACE_POLL_S * min(1 + position / _MANY_AHEAD, _MAX_PLACE_POLL_S / PLACE_POLL_S)


async def _next(events: asyncio.Queue[Event], seconds: float | None) -> Event | None:
    """None where none has come for so long."""
    try:
        async with asyncio.timeout(seconds):
            return await events.get()
    except TimeoutError:
        return None
