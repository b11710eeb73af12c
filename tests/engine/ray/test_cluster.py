"""Replicas in a real Ray cluster of two nodes on this machine, with the bundled model."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import httpx
import pytest
from conftest import PATIENCE_S

from daguerre import factory, ray_factory
from daguerre.config import Settings
from daguerre.engine.interface import Engine
from daguerre.model_factory import build_first_models
from daguerre.models.catalog import DEFAULT_MODEL
from daguerre.params import ImageParams, JobContext, JobSucceeded
from engine.harness import events, ready, until

pytestmark = [
    pytest.mark.skipif(
        importlib.util.find_spec("ray") is None, reason="ray is not installed; run: make test-ray"
    ),
    pytest.mark.skipif(sys.platform != "linux", reason="127.0.0.2 is an address on Linux only"),
    # Ray's own use of pydantic and of its API, in several of its modules.
    pytest.mark.filterwarnings("ignore"),
]
SEEDS = range(1, 7)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(home=tmp_path_factory.mktemp("home"), threads_per_worker=1, embedded_steps=1)


@pytest.fixture(scope="module")
def revision(settings: Settings) -> Iterator[str]:
    from bench import ray_cluster

    with ray_cluster.started(2):
        yield ray_cluster.deploy(settings, 2)


def asked(seed: int) -> ImageParams:
    return ImageParams(DEFAULT_MODEL, "a red fox in the snow", seed=seed, num_previews=1)


async def files(engine: Engine) -> list[bytes]:
    """The files of all seeds, which are requested at the same time."""
    from bench import ray_cluster

    return await asyncio.gather(*(ray_cluster.image_file(engine, asked(seed)) for seed in SEEDS))


def test_images_are_those_of_one_machine(settings: Settings, revision: str) -> None:
    """Through each of two servers, also while a replica is killed.

    A client that leaves takes its job along.
    """
    from bench import ray_cluster

    async def main() -> None:
        catalog = factory.read_catalog(settings)
        local = factory.process_engine(settings, catalog, build_first_models(settings, catalog))
        async with ready(local):
            expected = await files(local)
        servers = [ray_factory.server_engine(settings, revision) for _ in range(2)]
        async with ready(servers[0]) as engine, ready(servers[1]) as other:
            await until(lambda: len(engine.stats().workers) == 2)
            both = await asyncio.gather(files(engine), files(other))
            assert [*both] == [expected, expected]
            work = asyncio.create_task(files(engine))
            await until(lambda: engine.stats().num_running > 0)
            os.kill(ray_cluster.replica_pid(engine), signal.SIGKILL)
            assert await work == expected
            watched = JobContext(wants_progress=True)
            stream = engine.generate(asked(1), watched)
            await anext(stream)
            await stream.aclose()
            assert engine.stats().num_cancelled == 1
            await until(lambda: all(worker.num_jobs == 0 for worker in engine.stats().workers))

    asyncio.run(main())


def test_new_revision_replaces_the_old_one(
    settings: Settings, revision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server changes to a new revision without a refused request."""
    monkeypatch.setattr(ray_factory, "_UNUSED_POLLS", 4)
    from bench import ray_cluster
    from daguerre.engine.ray import cluster
    from daguerre.engine.ray.rolling_engine import RollingEngine

    async def main() -> None:
        find = partial(ray_factory.newest_revision, settings.ray_application)
        rolling = RollingEngine(find, partial(ray_factory.server_engine, settings))
        async with ready(rolling) as engine:
            is_over = asyncio.Event()
            work = asyncio.create_task(_without_pause(engine, is_over))
            changed = replace(settings, embedded_steps=2)
            new = await asyncio.to_thread(ray_cluster.deploy, changed, 1)
            left = await asyncio.to_thread(ray_factory.retire, settings, new, PATIENCE_S)
            is_over.set()
            assert await work > 0 and left == []
            found = cluster.revisions(settings.ray_application)
            assert [one.name for one in found if one.is_running] == [new]

    asyncio.run(main())


async def _without_pause(engine: Engine, is_over: asyncio.Event) -> int:
    """The number of images until it is over; none fails."""
    num_images = 0
    while not is_over.is_set():
        with engine.hold() as held:
            end = (await events(held, asked(num_images + 1)))[-1]
        assert isinstance(end, JobSucceeded), end
        num_images += 1
    return num_images


def test_serve_starts_a_cluster(tmp_path: Path) -> None:
    """`daguerre serve --engine ray` needs no cluster, and ends the one that it starts."""
    process = subprocess.Popen(
        [Path(sys.executable).parent / "daguerre", "serve", "--engine", "ray", "--port", "0"],
        env={"HOME": str(tmp_path), "DAGUERRE_HOME": str(tmp_path), "PATH": os.environ["PATH"]},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout
        lines = iter(process.stdout.readline, "")
        variables = dict(
            line.removeprefix("export ").strip().split("=", 1)
            for line in _until_curl(lines)
            if line.startswith("export ")
        )
        headers = {"authorization": f"Bearer {variables['DIFFUSION_KEY']}"}
        with httpx.Client(base_url=variables["DIFFUSION_URL"], timeout=PATIENCE_S) as client:
            body = {"model": DEFAULT_MODEL, "prompt": "a fox", "seed": 1}
            answer = client.post("/v1/images/generations", json=body, headers=headers)
            assert answer.status_code == 200, answer.text
            assert client.get("/readyz").status_code == 200
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
    assert not (tmp_path / ".ray").exists()


def _until_curl(lines: Iterator[str]) -> Iterator[str]:
    for line in lines:
        yield line
        if "curl" in line:
            return
