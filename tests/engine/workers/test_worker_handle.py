"""A `ProcessEngine` on workers that are threads of this process instead of child processes."""

from __future__ import annotations

import asyncio
import functools
import queue
import threading
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import NoReturn

import pytest

from daguerre.engine.job import WorkObserver
from daguerre.engine.thread_engine import ThreadEngine
from daguerre.engine.workers.messages import (
    EngineFactory,
    InitWorker,
    WorkerCommand,
    WorkerExit,
    WorkerMessage,
)
from daguerre.engine.workers.process_engine import ProcessEngine
from daguerre.engine.workers.slot import WorkerHandle
from daguerre.engine.workers.worker import Worker
from daguerre.errors import InternalError, UnavailableError
from daguerre.params import JobQueued, ModelInfo
from engine.faulty import FAULTS, NEVER, FaultyModel, asked, build, model
from engine.harness import error, events, pixels, ready, until
from engine.test_model_manager import Evictable, Memory
from engine.workers.test_process_engine import STEPS, alone, engine_threads


class InMemoryWorker:
    """A `WorkerHandle` whose worker is a thread, connected by queues."""

    def __init__(self, init: InitWorker) -> None:
        self._commands: queue.SimpleQueue[WorkerCommand | None] = queue.SimpleQueue()
        self._messages: queue.SimpleQueue[WorkerMessage | None] = queue.SimpleQueue()
        self._reason = ""
        self._thread = threading.Thread(target=self._run, args=[init])
        self._thread.start()

    @property
    def identity(self) -> str:
        return f"thread {self._thread.name}"

    def activity(self) -> int | None:
        return None

    def send(self, message: WorkerCommand) -> None:
        self._commands.put(message)

    def messages(self) -> Iterator[WorkerMessage]:
        return iter(self._messages.get, None)

    def terminate(self, reason: str) -> None:
        self._reason = self._reason or reason
        self._messages.put(None)  # cuts off what the engine says about its end
        self._commands.put(None)

    def wait(self) -> WorkerExit:
        self.terminate("was not needed")
        self._thread.join()
        return WorkerExit(self._reason)

    def _run(self, init: InitWorker) -> None:
        stopped = threading.Event()
        worker = Worker(init, self._messages.put, self._exit)
        heartbeat = threading.Thread(target=worker.send_heartbeats, args=[stopped])
        heartbeat.start()
        while (command := self._commands.get()) is not None:
            worker.on_command(command)
        asyncio.run(worker.engine.stop())
        stopped.set()
        heartbeat.join()

    def _exit(self, status: int) -> NoReturn:
        self.terminate(f"exited with status {status}")
        raise SystemExit


build_one = functools.partial(build, 0.005, "", NEVER, "exact", "", 8)


def build_two(observer: WorkObserver) -> ThreadEngine:
    """An engine with the usual model, and one that cannot be loaded."""
    models = [model(), FaultyModel(name="bad", on_load=FAULTS["raise"])]
    return ThreadEngine(models, max_queued_jobs=64, max_running_jobs=8, observer=observer)


@asynccontextmanager
async def in_memory_engine(
    num_workers: int,
    started: list[InMemoryWorker],
    build: EngineFactory = build_one,
    models: Sequence[ModelInfo] = (model().info,),
) -> AsyncGenerator[ProcessEngine, None]:
    """An engine whose workers are appended to `started`."""

    def start_worker(init: InitWorker) -> WorkerHandle:
        worker = InMemoryWorker(init)
        started.append(worker)
        return worker

    engine = ProcessEngine(
        [build] * num_workers,
        models,
        max_queued_jobs=64,
        max_running_jobs=8,
        hang_timeout_s=60.0,
        start_worker=start_worker,
    )
    async with ready(engine):
        yield engine


def test_jobs() -> None:
    """Two in-memory workers answer jobs with the same events and bytes as a thread."""
    wanted = [asked(seed) for seed in range(1, 13)]
    expected = alone(wanted)
    before = engine_threads()

    async def main() -> None:
        async with in_memory_engine(2, []) as engine:
            await until(lambda: all(worker.is_ready for worker in engine.stats().workers))
            workers = engine.stats().workers
            assert all(worker.identity.startswith("thread ") for worker in workers)
            jobs = await asyncio.gather(*(events(engine, one) for one in wanted))
            assert [pixels(job[-1]) for job in jobs] == expected
            assert all(
                [e for e in job[:-1] if not isinstance(e, JobQueued)] == STEPS for job in jobs
            )

    asyncio.run(main())
    assert engine_threads() <= before


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # `_exit`
def test_replaced_worker() -> None:
    """A worker that ends or reports a crash is replaced by a new one, and its jobs are retried."""
    wanted = [asked(seed) for seed in range(1, 7)]
    expected = alone(wanted)

    async def main() -> None:
        started: list[InMemoryWorker] = []
        async with in_memory_engine(1, started) as engine:
            jobs = [asyncio.create_task(events(engine, one)) for one in wanted]
            await until(lambda: engine.stats().num_running > 0)
            started[0].terminate("lost its connection")
            assert [pixels((await job)[-1]) for job in jobs] == expected
            failed = await events(engine, asked(9, "memory"))
            assert isinstance(error(failed[-1]), InternalError)
            assert engine.stats().num_restarts == 3

    asyncio.run(main())


def test_model_that_cannot_be_loaded() -> None:
    """Its requests get 503, the other model is served, and the statistics have the reason."""
    infos = [info for info in build_two(WorkObserver()).models()]

    async def main() -> None:
        async with in_memory_engine(1, [], build_two, infos) as engine:
            assert pixels((await events(engine, asked(1)))[-1])
            failed = await events(engine, replace(asked(1), model="bad"))
            assert isinstance(error(failed[-1]), UnavailableError)
            stats = engine.stats()
            assert (stats.failure, stats.is_ready, stats.num_restarts) == ("", True, 0)
            assert stats.load_failures == {"bad": "an error occurred while it was loaded"}

    asyncio.run(main())


def test_idle_model_is_unloaded() -> None:
    """The statistics show that a worker has unloaded an idle model; the next job loads it again."""

    def build_idle(observer: WorkObserver) -> ThreadEngine:
        idle = Evictable(name="toy", memory=Memory(total=10), idle_unload_s=0.01)
        return ThreadEngine([idle], max_queued_jobs=64, max_running_jobs=8, observer=observer)

    async def main() -> None:
        async with in_memory_engine(1, [], build_idle) as engine:
            images = set()
            for number in (1, 2):
                images.add(pixels((await events(engine, asked(1)))[-1]))
                await until(lambda: not engine.stats().workers[0].loaded_models)
                assert engine.stats().loads["toy"].num_succeeded >= number
            assert len(images) == 1 and engine.stats().num_restarts == 0

    asyncio.run(main())
