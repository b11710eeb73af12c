"""Cancelled jobs: running, queued, and many at once."""

from __future__ import annotations

import asyncio
import threading
from contextlib import aclosing

import pytest

from daguerre.engine.forward import Inputs
from daguerre.engine.thread_engine import ThreadEngine
from daguerre.errors import QueueFullError
from daguerre.params import Event, JobQueued, JobSucceeded, StepCompleted
from engine.harness import events, make, pixels, ready, run, until
from engine.networks import ToyModel, params


def test_cancel_in_the_middle() -> None:
    """Closing the generator frees the job's place at once. The network is not called again, no
    event follows, and the pipeline is closed."""
    entered, release = threading.Event(), threading.Event()

    async def main() -> None:
        model = ToyModel()

        def pause(inputs: Inputs) -> None:
            if len(model.denoiser.calls) == 2:
                entered.set()
                release.wait(20)

        model.denoiser.on_call = pause
        async with ready(make(model, running=1, waiting=1)) as engine:
            job = engine.generate(params(1))
            assert await anext(job) == JobQueued(0)
            assert await anext(job) == StepCompleted(1, 4)
            await asyncio.to_thread(entered.wait, 20)
            assert engine.stats().num_running == 1
            await job.aclose()
            assert engine.stats().num_running == 0
            release.set()
            await until(lambda: engine.stats().num_cancelled == 1)
            assert (model.closed, model.denoiser.calls) == ([1], [2, 2])
            with pytest.raises(StopAsyncIteration):
                await anext(job)
            assert pixels((await events(engine, params(2)))[-1])
            assert engine.stats().num_succeeded == 1

    run(main())


def test_cancel_while_queued() -> None:
    """A job that is cancelled in the queue never starts, and its place is free at once."""

    async def main() -> None:
        model, gate = ToyModel(), threading.Event()
        model.on_pipeline = lambda: gate.wait(20)
        async with ready(make(model, running=1, waiting=1)) as engine:
            first = asyncio.create_task(events(engine, params(1)))
            await until(lambda: engine.stats().num_queued == 1)
            async with aclosing(engine.generate(params(2))) as second:
                assert await anext(second) == JobQueued(1)
                with pytest.raises(QueueFullError, match="2 jobs"):
                    await anext(engine.generate(params(3)))
            third = asyncio.create_task(events(engine, params(3)))
            await until(lambda: engine.stats().num_queued == 2)
            gate.set()
            assert pixels((await first)[-1]) and pixels((await third)[-1])
            assert model.closed == [1, 3]
            assert engine.stats().num_cancelled == 1

    run(main())


def test_cancelled_task_cancels_its_job() -> None:
    """Cancelling a task that waits for an event cancels its job."""

    async def main() -> None:
        model, gate = ToyModel(), threading.Event()
        model.on_pipeline = lambda: gate.wait(20)
        async with ready(make(model)) as engine:
            task = asyncio.create_task(events(engine, params(1)))
            await until(lambda: engine.stats().num_queued == 1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            gate.set()
            await until(lambda: engine.stats().num_cancelled == 1)
            assert engine.stats().num_succeeded == 0

    run(main())


def test_many_cancels_leave_nothing_behind() -> None:
    """If every second job is closed after some event, the others end and no place is lost."""

    async def visit(engine: ThreadEngine, seed: int) -> bool:
        async with aclosing(engine.generate(params(seed))) as job:
            seen: list[Event] = []
            async for event in job:
                seen.append(event)
                if seed % 2 and len(seen) > seed % 5:
                    return False
        return isinstance(seen[-1], JobSucceeded)

    async def main() -> None:
        model = ToyModel()
        async with ready(make(model, running=4)) as engine:
            done = await asyncio.gather(*(visit(engine, seed) for seed in range(1, 61)))
            assert sum(done) == 30
            await engine.drain()
            await until(lambda: len(engine._loop._jobs) == 0)
            stats = engine.stats()
            # A job may have succeeded just before it was closed.
            assert stats.num_succeeded + stats.num_cancelled == 60 and stats.num_succeeded >= 30
            assert (stats.num_queued, stats.num_running, stats.num_failed) == (0, 0, 0)

    run(main())


def test_reused_job_number() -> None:
    """A job that is cancelled and submitted again under the same number keeps its place when the
    first one is removed, and can be cancelled."""
    entered, release = threading.Semaphore(0), threading.Semaphore(0)

    async def main() -> None:
        model = ToyModel()

        def pause(inputs: Inputs) -> None:
            entered.release()
            release.acquire(timeout=20)

        model.denoiser.on_call = pause
        seen: list[Event] = []
        async with ready(make(model, running=2, waiting=4)) as engine:
            engine.submit(params(1), seen.append, number=7)
            await asyncio.to_thread(entered.acquire, timeout=20)
            engine.cancel(7)
            engine.submit(params(2), seen.append, number=7)
            release.release()
            await asyncio.to_thread(entered.acquire, timeout=20)
            assert engine.stats().num_cancelled == 1 and engine.stats().num_running == 1
            engine.cancel(7)
            release.release(20)
            await until(lambda: engine.stats().num_cancelled == 2)
            assert engine.stats().num_succeeded == 0

    run(main())
