"""Helpers for tests of a running engine: start it, run jobs, and check their last events."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from daguerre.engine.interface import Engine
from daguerre.engine.thread_engine import ThreadEngine
from daguerre.params import DEFAULT_CONTEXT, Event, ImageParams, JobContext, JobFailed, JobSucceeded
from engine.networks import ToyModel

AnyEngine = TypeVar("AnyEngine", bound=Engine)


def make(*models: ToyModel, waiting: int = 64, running: int = 8, path: Path | None = None) -> Any:
    clock = models[0].denoiser.clock
    return ThreadEngine(
        models, max_queued_jobs=waiting, max_running_jobs=running, certificates=path, clock=clock
    )


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):  # the machine may be busy
        while not condition():
            await asyncio.sleep(0.001)


@asynccontextmanager
async def ready(engine: AnyEngine) -> AsyncGenerator[AnyEngine, None]:
    await engine.start()
    try:
        await until(lambda: engine.stats().is_ready)
        yield engine
    finally:
        await engine.stop()


async def events(
    engine: Engine, asked: ImageParams, context: JobContext = DEFAULT_CONTEXT
) -> list[Event]:
    return [event async for event in engine.generate(asked, context)]


async def together(
    engine: ThreadEngine, model: ToyModel, asked: Sequence[ImageParams]
) -> list[Any]:
    """The last event of each job; all jobs are accepted before the first one runs."""
    gate = threading.Event()
    model.on_pipeline = lambda: gate.wait(20)
    tasks = [asyncio.create_task(events(engine, one)) for one in asked]
    await until(lambda: engine.stats().num_queued == len(asked))
    gate.set()
    return [one[-1] for one in await asyncio.gather(*tasks)]


def run(main: Coroutine[Any, Any, None]) -> None:
    """Runs a coroutine and checks that it leaves no engine thread behind."""
    asyncio.run(main)
    assert "daguerre-engine" not in [thread.name for thread in threading.enumerate()]


def pixels(last: Event) -> bytes:
    assert isinstance(last, JobSucceeded), last
    return last.image.pixels.tobytes()


def error(last: Event) -> Exception:
    assert isinstance(last, JobFailed), last
    return last.error
