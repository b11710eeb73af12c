"""`ReloadableEngine`: an engine that is replaced when the catalog changes.

The new engine has workers of its own. Requests that have begun keep the old engine, which stops
when the last of them has ended. No request fails because of a reload.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Protocol

from daguerre.engine.interface import Engine, EngineStats
from daguerre.errors import DaguerreError, SettingsError, one_line
from daguerre.params import DEFAULT_CONTEXT, Event, ImageParams, JobContext, ModelInfo

logger = logging.getLogger(__name__)

_POLL_S = 0.05


class ReplaceableEngine(Engine, Protocol):
    """An engine that can start after another one has ended."""

    def accept_early(self) -> None:
        """Accepts jobs from now on, which wait for `start`."""

    def close(self) -> None:
        """Ends all workers. Idempotent."""


@dataclass(frozen=True, slots=True)
class NewEngine:
    """An engine of a new catalog, not started, and whether its models fit beside the old ones."""

    engine: ReplaceableEngine
    fits: bool


class ReloadableEngine:
    """Implements `daguerre.engine.interface.Engine`.

    `build` makes the engine of the present catalog, in any thread. It raises `SettingsError` if
    that cannot be served. A new engine must be ready after `ready_timeout_s`.
    """

    def __init__(
        self,
        engine: ReplaceableEngine,
        build: Callable[[], NewEngine],
        ready_timeout_s: float = math.inf,
    ) -> None:
        self._engine, self._build, self._ready_timeout_s = engine, build, ready_timeout_s
        self._running = {engine: None}  # engines that may have workers, oldest first
        self._num_held: Counter[ReplaceableEngine] = Counter()  # requests that hold an engine
        self._retiring: set[asyncio.Task[None]] = set()
        self._reload_lock = asyncio.Lock()
        self._is_waiting = False  # the new engine waits for the memory of the old one
        self._is_draining = False

    async def start(self) -> None:
        await self._engine.start()

    async def drain(self) -> None:
        """See `Engine.drain`. A reload in progress fails."""
        self._is_draining = True
        await asyncio.gather(*(engine.drain() for engine in self._running))

    async def stop(self) -> None:
        """See `Engine.stop`."""
        self._is_draining = True
        for task in self._retiring:
            task.cancel()
        await asyncio.gather(*(engine.stop() for engine in self._running))

    def close(self) -> None:
        """Ends all workers. Idempotent."""
        for engine in list(self._running):
            engine.close()

    def models(self) -> tuple[ModelInfo, ...]:
        return self._engine.models()

    def generate(
        self, params: ImageParams, context: JobContext = DEFAULT_CONTEXT
    ) -> AsyncGenerator[Event, None]:
        return self._engine.generate(params, context)

    def stats(self) -> EngineStats:
        """Those of the present engine. A failure ends a reload, not the server."""
        stats = self._engine.stats()
        return replace(stats, failure="") if self._is_waiting else stats

    @contextmanager
    def hold(self) -> Iterator[Engine]:
        """See `Engine.hold`."""
        engine = self._engine
        self._num_held[engine] += 1
        try:
            yield engine
        finally:
            self._num_held[engine] -= 1

    async def reload(self) -> str:
        """Replaces the engine; returns which models have changed.

        Raises `SettingsError`, and serves the old catalog further, if the new one cannot be served.
        """
        async with self._reload_lock:
            before = self._engine.models()
            try:
                new = await asyncio.to_thread(self._build)
                self._running[new.engine] = None
                await (self._replace if new.fits else self._replace_later)(new.engine)
            except Exception as error:  # a checkpoint may be damaged in any way
                is_expected = isinstance(error, DaguerreError)
                reason = str(error) if is_expected else one_line(error)
                text = " ".join(reason.split())
                logger.error("kept the old catalog: %s", text, exc_info=not is_expected)
                raise SettingsError(reason) from error
            changes = _changes(before, self._engine.models())
            logger.info("reloaded the catalog: %s", changes)
            return changes

    async def _replace(self, new: ReplaceableEngine) -> None:
        """Starts the new engine beside the old one."""
        await new.start()
        await self._wait_until_ready(new, self._engine.stats().load_failures)
        old, self._engine = self._engine, new
        self._retire(old)

    async def _replace_later(self, new: ReplaceableEngine) -> None:
        """Starts the new engine after the old one has ended; new requests wait in its queue."""
        logger.info("the catalog is reloaded when the present jobs have ended: memory is short")
        old, self._engine, self._is_waiting = self._engine, new, True
        new.accept_early()
        known_failures = old.stats().load_failures
        try:
            await self._end(old)
            await new.start()
            await self._wait_until_ready(new, known_failures)
        except SettingsError:
            self._engine = old
            if not self._is_draining:
                self._running[old] = None
                old.accept_early()
                await old.start()
            raise
        finally:
            self._is_waiting = False

    def _retire(self, engine: ReplaceableEngine) -> None:
        """Stops the engine when its requests have ended."""
        task = asyncio.create_task(self._end(engine))
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)

    async def _end(self, engine: ReplaceableEngine) -> None:
        while self._num_held[engine]:
            await asyncio.sleep(_POLL_S)
        await engine.drain()
        await self._stop(engine)

    async def _stop(self, engine: ReplaceableEngine) -> None:
        await engine.stop()
        self._running.pop(engine, None)
        self._num_held.pop(engine, None)

    async def _wait_until_ready(
        self, engine: ReplaceableEngine, known_failures: Collection[str]
    ) -> None:
        """Raises `SettingsError`, and stops the engine, if it or one of its models fails.

        Models with `known_failures` may fail again.
        """
        is_ready, deadline_s = False, time.monotonic() + self._ready_timeout_s
        while not is_ready:
            await asyncio.sleep(_POLL_S)
            stats = engine.stats()
            is_ready, failure = stats.is_ready, stats.failure
            if time.monotonic() > deadline_s:
                failure = stats.problem or "the new engine is not ready in time"
            for model, reason in stats.load_failures.items():
                if model not in known_failures:
                    text = f"the model {model} could not be loaded: {reason}; see the server log"
                    failure = failure or text
            if self._is_draining:
                failure = "the server is shutting down"
            if failure:
                await self._stop(engine)
                raise SettingsError(failure)


def _changes(before: Iterable[ModelInfo], after: Iterable[ModelInfo]) -> str:
    """Such as "added a, b; changed c"."""
    old, new = ({info.id: info for info in infos} for infos in (before, after))
    names = {
        "added": [name for name in new if name not in old],
        "changed": [name for name in new if name in old and new[name] != old[name]],
        "removed": [name for name in old if name not in new],
    }
    return (
        "; ".join(f"{what} {', '.join(ids)}" for what, ids in names.items() if ids) or "no change"
    )
