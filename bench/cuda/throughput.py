"""Images a minute of the engine, of plain diffusers and of compiled diffusers, in one process.

The engine runs in a thread, and its clients run a closed loop. The plain pipeline has the same
modules, runs one call at a time, and uses torch's default settings.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import torch

from bench.cuda import checkpoints
from bench.cuda.kernel_settings import torch_defaults
from bench.cuda.results import Results
from bench.cuda.target import Target
from daguerre.engine.thread_engine import ThreadEngine
from daguerre.models.diffusers.model import DiffusersModel
from daguerre.params import BatchingMode, ImageParams, JobSucceeded

_CONCURRENCIES = (1, 4, 16)
# Mode of batching -> images of the warm-up, in which batches are verified.
_MODES: Mapping[BatchingMode, int] = {"exact": 16, "throughput": 4}
_NUM_CALLS = 2  # of the plain pipeline, after one call
_NUM_PROMPTS = (1, 4)  # in one call of the plain pipeline


def run(target: Target, results: Results) -> None:
    asyncio.run(_run(target, results))


async def _run(target: Target, results: Results) -> None:
    """Compiled pipelines last, because the compiler takes most of the time."""
    side, plain = target.sides[0], dict[str, _Plain]()

    def add(name: str, server: str, **columns: Any) -> None:
        results.add("images", checkpoint=name, server=server, **columns)

    async with AsyncExitStack() as stack:  # a stopped engine unloads its models
        for shape in checkpoints.shapes(target):
            loaded = checkpoints.RandomCheckpoint(shape, target)
            models = [checkpoints.model_of(loaded, shape, mode, batching=mode) for mode in _MODES]
            engine = await stack.enter_async_context(_running(models))
            name = f"{shape.name} {side}, {shape.steps} steps"
            for mode in _MODES:
                async for columns in _engine_rates(engine, target, mode):
                    add(name, f"daguerre, {mode}", **columns)
            plain[name] = _Plain(models[0], target)
            for num in _NUM_PROMPTS:
                rate = plain[name].rate(num)
                add(name, f"plain, prompts in a call: {num}", images_per_minute=rate)
        for name, pipeline in plain.items() if target.compiles else ():
            pipeline.compile()
            add(name, "compiled, prompts in a call: 1", images_per_minute=pipeline.rate(1))


@asynccontextmanager
async def _running(models: list[DiffusersModel]) -> AsyncIterator[ThreadEngine]:
    engine = ThreadEngine(models, max_queued_jobs=64, max_running_jobs=max(_CONCURRENCIES))
    await engine.start()
    try:
        while not engine.stats().is_ready:
            assert not engine.stats().failure, engine.stats().failure
            await asyncio.sleep(0.01)
        yield engine
    finally:
        await engine.stop()


async def _engine_rates(
    engine: ThreadEngine, target: Target, mode: BatchingMode
) -> AsyncIterator[Mapping[str, float]]:
    """Columns for each number of clients."""
    side = target.sides[0]

    async def images(num: int, concurrency: int) -> None:
        wanted = (checkpoints.params(side, seed, mode) for seed in range(1, 1 + num))
        await asyncio.gather(*(_client(engine, wanted) for _ in range(concurrency)))

    await images(_MODES[mode], max(_CONCURRENCIES))
    for concurrency in _CONCURRENCIES:
        num, before, started = max(2, concurrency), engine.stats(), time.perf_counter()
        await images(num, concurrency)
        seconds, after = time.perf_counter() - started, engine.stats()
        num_forwards = after.num_forwards - before.num_forwards
        yield {
            "clients": concurrency,
            "images_per_minute": 60 * num / seconds,
            "rows_per_forward": (after.num_rows - before.num_rows) / num_forwards,
        }


async def _client(engine: ThreadEngine, wanted: Iterator[ImageParams]) -> None:
    for params in wanted:
        *_, last = [event async for event in engine.generate(params)]
        assert isinstance(last, JobSucceeded), last


class _Plain:
    """The stock pipeline of a loaded model, called outside of the engine."""

    def __init__(self, model: DiffusersModel, target: Target) -> None:
        self._model, self._target = model, target
        self._pipeline: Any = model.weights_key.copy()

    def compile(self) -> None:
        """As the documentation of diffusers recommends."""
        getattr(self._pipeline, self._model.family.denoiser).compile_repeated_blocks(dynamic=False)

    def rate(self, num_prompts: int) -> float:
        """Images a minute of calls with `num_prompts` each, after a warm-up."""
        with torch_defaults():
            self._call(num_prompts)
            calls_s = [self._target.timed(self._call, num_prompts)[1] for _ in range(_NUM_CALLS)]
        return 60 * num_prompts * _NUM_CALLS / sum(calls_s)

    def _call(self, num_prompts: int) -> None:
        side = self._target.sides[0]
        self._pipeline(
            prompt=[checkpoints.PROMPT] * num_prompts,
            width=side,
            height=side,
            num_inference_steps=self._model.steps,
            guidance_scale=self._model.guidance,
            generator=[torch.Generator("cpu").manual_seed(seed) for seed in range(num_prompts)],
        )
