"""Singleflight: several requests share one job, and each receives all of its events."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TypeAlias

from daguerre.errors import QueueFullError
from daguerre.params import Event, JobFailed, JobSucceeded

JobFactory: TypeAlias = Callable[[], AsyncGenerator[Event, None]]


class SharedJob:
    """A job in its own task, which starts at once and runs until it ends or is cancelled.

    Used from the event loop only.
    """

    def __init__(self, start: JobFactory) -> None:
        self._events: list[Event] = []
        self._error: Exception | None = None  # raised by the job
        self._changed = asyncio.Event()
        self._task = asyncio.create_task(self._consume(start))

    @property
    def has_failed(self) -> bool:
        last = self._events[-1] if self._events else None
        return isinstance(last, JobFailed) or (
            self._task.done() and not isinstance(last, JobSucceeded)
        )

    async def events(self) -> AsyncGenerator[Event, None]:
        """All events from the first one on, as `Engine.generate`; closing it does not cancel."""
        index = 0
        while True:
            while index < len(self._events):
                yield self._events[index]
                index += 1
            if self._task.done():
                break
            await self._changed.wait()
        if self._error:
            raise self._error

    async def cancel(self) -> None:
        """Cancels the job unless it has ended."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _consume(self, start: JobFactory) -> None:
        try:
            # Closing the stream is what cancels the job.
            async with aclosing(start()) as events:
                async for event in events:
                    self._events.append(event)
                    self._notify()
        except Exception as error:
            self._error = error
        finally:
            asyncio.get_running_loop().call_soon(self._notify)  # once the task is done

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


@dataclass(eq=False, slots=True)
class InFlightKey:
    """The requests in progress with one key, and the job that they share."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)  # held while the record changes
    num_requests: int = 0
    owner: str = field(default_factory=lambda: secrets.token_hex(8))  # of the record, if created
    created_record: bool = False  # one of these requests was the first with the key
    keeps_record: bool = False  # one of these requests was not refused
    job: SharedJob | None = None

    async def events(self, start: JobFactory) -> AsyncGenerator[Event, None]:
        """Joins the shared job. If the engine rejects it, each request submits its own."""
        while True:
            job = self.job
            is_owner = job is None or job.has_failed
            if job is None or is_owner:
                job = self.job = SharedJob(start)
            try:
                async with aclosing(job.events()) as events:
                    async for event in events:
                        self.keeps_record = True  # the engine has accepted the job
                        yield event
                return
            except QueueFullError:
                if is_owner:  # else this request's deadline may be later than the owner's
                    raise
