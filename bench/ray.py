"""The cost of Ray: images of two replicas against those of two workers of a process engine.

Both engines run in turns in this process, with the same seeds and with one thread for each network.
The time is that of one request, from its submission to its PNG.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from bench import ray_cluster
from bench.table import table
from daguerre import factory, memory, ray_factory
from daguerre.config import Settings
from daguerre.engine.interface import Engine
from daguerre.model_factory import build_first_models
from daguerre.models.catalog import DEFAULT_MODEL
from daguerre.params import ImageParams

NUM_WORKERS = 2
_CLIENTS = 8
_PROMPTS = ("a red fox in the snow", "a sailing boat at night", "a castle on a hill in autumn")


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench ray")
    parser.add_argument("--num", type=int, default=40, help="requests of each phase")
    parser.add_argument("--rounds", type=int, default=3, help="rounds with eight clients")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as home:
        settings = Settings(home=Path(home), threads_per_worker=1)
        # On one node, because each node counts all CPUs of the machine as its own.
        with ray_cluster.started(1):
            revision = ray_cluster.deploy(settings, NUM_WORKERS)
            ray = ray_factory.server_engine(settings, revision)
            asyncio.run(_measure(ray, _process_engine(settings), options.num, options.rounds))


def _process_engine(settings: Settings) -> Engine:
    settings = replace(settings, workers=NUM_WORKERS)
    catalog = factory.read_catalog(settings)
    return factory.process_engine(settings, catalog, build_first_models(settings, catalog))


async def _measure(ray: Engine, process: Engine, num: int, num_rounds: int) -> None:
    engines = {"Ray": ray, f"process engine, {NUM_WORKERS} workers": process}
    for engine in engines.values():
        await engine.start()
    try:
        for engine in engines.values():
            await ray_cluster.until_ready(engine, NUM_WORKERS)
            await _together(engine, range(1000, 1008))  # a warm-up
        rss_mb = memory.resident_bytes() / 1e6
        print(f"resident memory of this process with both engines: {rss_mb:.0f} MB\n")
        alone = {name: list[float]() for name in engines}
        files = {name: dict[int, bytes]() for name in engines}
        for seed in range(1, num + 1):
            for name, engine in engines.items():
                elapsed_s, files[name][seed] = await _image(engine, seed)
                alone[name].append(elapsed_s * 1000)
        rates = {name: list[float]() for name in engines}
        for _ in range(num_rounds):
            for name, engine in engines.items():
                elapsed_s, images = await _together(engine, range(1, num + 1))
                rates[name].append(num / elapsed_s)
                files[name] |= images
        first, second = files.values()
        rows = [
            (name, f"{statistics.median(alone[name]):.1f}", f"{statistics.median(rates[name]):.2f}")
            for name in engines
        ]
        print(table(("engine", "one at a time, p50 in ms", f"images/s, {_CLIENTS} clients"), rows))
        same = sum(first[seed] == second[seed] for seed in first)
        print(f"\nequal files: {same} of {len(first)}")
    finally:
        for engine in engines.values():
            await engine.stop()


async def _together(engine: Engine, seeds: Iterable[int]) -> tuple[float, dict[int, bytes]]:
    files, left = dict[int, bytes](), iter(seeds)

    async def client() -> None:
        for seed in left:
            _, files[seed] = await _image(engine, seed)

    started_s = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(_CLIENTS)))
    return time.perf_counter() - started_s, files


async def _image(engine: Engine, seed: int) -> tuple[float, bytes]:
    started_s = time.perf_counter()
    params = ImageParams(DEFAULT_MODEL, _PROMPTS[seed % len(_PROMPTS)], seed=seed)
    file = await ray_cluster.image_file(engine, params)
    return time.perf_counter() - started_s, file
