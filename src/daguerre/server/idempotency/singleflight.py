"""One job that several requests wait for: each hears all of its events, from the first.

The job belongs to none of them. It is cancelled when the last has left, and not before. Used from
the event loop only; knows nothing of what the requests are, nor why they wait for the same job.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import TypeAlias

from daguerre.params import Event, JobFailed, JobSucceeded

JobFactory: TypeAlias = Callable[[], AsyncGenerator[Event, None]]


class SharedJob:
    """Begins at once, in a task of its own."""

    def __init__(self, start: JobFactory) -> None:
        self._heard: list[Event] = []
        self._error: Exception | None = None  # that the job was refused with, or broke with
        self._news = asyncio.Event()
        self._task = asyncio.create_task(self._hear(start))

    @property
    def was_taken(self) -> bool:
        """The engine has accepted the job."""
        return bool(self._heard)

    @property
    def has_failed(self) -> bool:
        last = self._heard[-1] if self._heard else None
        return isinstance(last, JobFailed) or (
            self._task.done() and not isinstance(last, JobSucceeded)
        )

    async def events(self) -> AsyncGenerator[Event, None]:
        """See `Engine.generate`; closing it leaves the job as it is."""
        index = 0
        while True:
            while index < len(self._heard):
                yield self._heard[index]
                index += 1
            if self._task.done():
                break
            await self._news.wait()
        if self._error:
            raise self._error

    async def end(self) -> None:
        """Nobody waits any more. Cancels the job where it has not ended."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _hear(self, start: JobFactory) -> None:
        try:
            # Closing is what cancels the job.
            async with aclosing(start()) as events:
                async for event in events:
                    self._heard.append(event)
                    self._tell()
        except Exception as error:
            # Of the job, so for those that wait for it.
            self._error = error
        finally:
            asyncio.get_running_loop().call_soon(self._tell)  # once the task counts as done

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()
