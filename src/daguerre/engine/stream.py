"""Events of a job as an asynchronous generator, independent of the thread that emits them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sized
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol, Self

from daguerre.params import (
    DEFAULT_CONTEXT,
    Event,
    ImageParams,
    JobContext,
    JobFailed,
    JobQueued,
    JobSucceeded,
)

# Seconds between two readings of a job's position, at the head of the queue. The interval grows
# with the position, so that ten thousand queued jobs cost little more than a hundred.
POSITION_POLL_S = 0.5
_DRAIN_POLL_S = 0.02
_POSITIONS_PER_POLL_S = 100
_MAX_POSITION_POLL_S = 10.0


class JobQueue(Protocol):
    """Base of engines: `generate` yields the events that a job emits, from any thread."""

    def submit(
        self, params: ImageParams, emit: Callable[[Event], None], context: JobContext
    ) -> tuple[int, int]:
        """The job's number and its position in the queue. Raises as `Engine.generate` does."""

    def queue_position(self, number: int) -> int | None:
        """Number of jobs ahead of the job; None if it is not queued."""

    def cancel(self, number: int) -> None:
        """Cancels a job; does nothing if it has ended."""

    def hold(self) -> AbstractContextManager[Self]:
        """See `Engine.hold`."""
        return nullcontext(self)

    async def generate(
        self, params: ImageParams, context: JobContext = DEFAULT_CONTEXT
    ) -> AsyncGenerator[Event, None]:
        """See `Engine.generate`."""
        event_loop = asyncio.get_running_loop()
        events: asyncio.Queue[Event] = asyncio.Queue()

        def emit(event: Event) -> None:
            try:
                event_loop.call_soon_threadsafe(events.put_nowait, event)
            except RuntimeError:  # the caller's event loop is closed
                self.cancel(number)

        number, position = self.submit(params, emit, context)
        try:
            yield JobQueued(position)
            is_queued = context.wants_progress
            while True:
                try:
                    async with asyncio.timeout(_poll_interval_s(position) if is_queued else None):
                        event = await events.get()
                except TimeoutError:
                    current = self.queue_position(number)
                    is_queued = current is not None
                    # Other tenants' jobs and retries may enter ahead: a position never rises.
                    if current is not None and current < position:
                        position = current
                        yield JobQueued(position)
                    continue
                is_queued = False
                yield event
                if isinstance(event, JobSucceeded | JobFailed):
                    return
        finally:
            self.cancel(number)


async def wait_until_empty(jobs: Sized) -> None:
    while jobs:
        await asyncio.sleep(_DRAIN_POLL_S)


class QueuePositions:
    """Cached queue positions, shared by all callers within half of `POSITION_POLL_S`."""

    def __init__(
        self, read: Callable[[], Mapping[int, int]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`read` returns the position of each queued job."""
        self._read, self._clock = read, clock
        self._positions: Mapping[int, int] = {}
        self._read_s = float("-inf")

    def position(self, number: int) -> int | None:
        now_s = self._clock()
        if now_s - self._read_s > POSITION_POLL_S / 2:
            self._positions, self._read_s = self._read(), now_s
        return self._positions.get(number)


def _poll_interval_s(position: int) -> float:
    factor = 1 + position / _POSITIONS_PER_POLL_S
    return min(POSITION_POLL_S * factor, _MAX_POSITION_POLL_S)
