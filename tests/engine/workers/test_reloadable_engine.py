"""A `ReloadableEngine` whose catalogs have toy models, on workers that are threads."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from daguerre.engine.interface import Engine
from daguerre.engine.reloadable_engine import NewEngine, ReloadableEngine
from daguerre.engine.thread_engine import ThreadEngine
from daguerre.engine.workers.process_engine import ProcessEngine
from daguerre.errors import NotFoundError, SettingsError
from daguerre.params import BatchingMode, ImageParams, JobSucceeded
from engine.harness import events, until
from engine.networks import ToyModel, ToyNetwork, params
from engine.workers.test_worker_handle import InMemoryWorker

CHANGED: BatchingMode = "throughput"


@dataclass
class Catalog:
    """The models of the next engine; `gate` holds their forwards."""

    models: dict[str, BatchingMode]
    on_load: Callable[[], object] = lambda: None
    gate: threading.Event | None = None
    fits: bool = True
    broken: str = ""  # the model that cannot be loaded
    built: list[ProcessEngine] = field(default_factory=list)

    def engine(self) -> ProcessEngine:
        gate, on_load, served, broken = self.gate, self.on_load, dict(self.models), self.broken

        def wait(inputs: object) -> None:
            if gate:
                assert gate.wait(60)

        def models() -> list[ToyModel]:
            return [
                ToyModel(
                    ToyNetwork("denoiser", on_call=wait),
                    name=name,
                    batching=batching,
                    on_load=fail if name == broken else on_load,
                )
                for name, batching in served.items()
            ]

        self.built.append(
            ProcessEngine(
                [
                    lambda observer: ThreadEngine(
                        models(), max_queued_jobs=64, max_running_jobs=8, observer=observer
                    )
                ],
                [model.info for model in models()],
                max_queued_jobs=64,
                max_running_jobs=8,
                hang_timeout_s=60.0,
                start_worker=InMemoryWorker,
            )
        )
        return self.built[-1]

    def build(self) -> NewEngine:
        if not self.models:
            raise SettingsError("the catalog\nis not TOML")
        return NewEngine(self.engine(), self.fits)


@asynccontextmanager
async def served(catalog: Catalog) -> AsyncGenerator[ReloadableEngine, None]:
    engine = ReloadableEngine(catalog.engine(), catalog.build)
    await engine.start()
    try:
        await until(lambda: engine.stats().is_ready)
        yield engine
    finally:
        if catalog.gate:
            catalog.gate.set()
        await engine.stop()


async def batching_of(engine: Engine, asked: ImageParams) -> BatchingMode:
    """Runs a job; returns the batching mode of the model that drew its image."""
    last = (await events(engine, asked))[-1]
    assert isinstance(last, JobSucceeded), last
    return last.image.model_info.batching


def ids(engine: Engine) -> list[str]:
    return [info.id for info in engine.models()]


def test_models_are_added_changed_and_removed(caplog: pytest.LogCaptureFixture) -> None:
    """After a reload the new catalog is served, and the workers of the old one have ended."""
    caplog.set_level("INFO")
    catalog = Catalog({"same": "exact", "changes": "exact", "goes": "exact"})

    async def main() -> None:
        async with served(catalog) as engine:
            catalog.models = {"same": "exact", "changes": CHANGED, "new": "exact"}
            changes = await engine.reload()
            assert changes == "added new; changed changes; removed goes"
            assert f"reloaded the catalog: {changes}" in caplog.text
            assert ids(engine) == ["same", "changes", "new"]
            assert await batching_of(engine, params(model="changes")) == CHANGED
            assert await batching_of(engine, params(model="new")) == "exact"
            with pytest.raises(NotFoundError):
                await events(engine, params(model="goes"))
            await until(lambda: not catalog.built[0].stats().is_ready)

    asyncio.run(main())


@pytest.mark.parametrize("fits", [True, False])
def test_running_request_keeps_its_model(fits: bool) -> None:
    """A request that holds the engine finishes on the old one; a later one gets the new model.

    If both engines do not fit into memory, the later one waits for the end of the first.
    """
    gate = threading.Event()
    catalog = Catalog({"a": "exact"}, gate=gate, fits=fits)

    async def main() -> None:
        async with served(catalog) as engine:
            with engine.hold() as held:
                first = asyncio.create_task(batching_of(held, params(model="a")))
                await until(lambda: engine.stats().num_running == 1)
                catalog.models, catalog.gate = {"a": CHANGED}, None
                reload = asyncio.create_task(engine.reload())
                await until(lambda: engine.models()[0].batching == CHANGED)
                second = asyncio.create_task(batching_of(engine, params(seed=2, model="a")))
                if fits:
                    assert await second == CHANGED and not first.done()
                else:
                    await until(lambda: engine.stats().num_queued == 1)
                assert [info.batching for info in held.models()] == ["exact"]
                third = asyncio.create_task(batching_of(held, params(seed=3, model="a")))
                await until(lambda: catalog.built[0].stats().num_queued == 1)
                gate.set()
                assert (await first, await third) == ("exact", "exact")
            assert await second == CHANGED and await reload == "changed a"
            await until(lambda: not catalog.built[0].stats().is_ready)

    asyncio.run(main())


def test_failure_during_a_reload() -> None:
    """If the new engine fails while the server waits for memory, the server does not fail."""
    catalog = Catalog({"a": "exact"}, broken="a")

    async def main() -> None:
        engine = ReloadableEngine(catalog.engine(), catalog.build)
        await engine.start()
        await until(lambda: bool(engine.stats().failure))
        engine._is_waiting = True
        assert not engine.stats().failure
        await engine.stop()

    asyncio.run(main())


def test_model_that_failed_before(caplog: pytest.LogCaptureFixture) -> None:
    """A model that could not be loaded before the reload does not keep the old catalog."""
    catalog = Catalog({"a": "exact", "bad": "exact"}, broken="bad")

    async def main() -> None:
        async with served(catalog) as engine:
            catalog.models = {**catalog.models, "new": "exact"}
            assert await engine.reload() == "added new"
            assert await batching_of(engine, params(model="new")) == "exact"
            assert list(engine.stats().load_failures) == ["bad"]

    asyncio.run(main())


def fail() -> None:
    raise RuntimeError("no weights")


@pytest.mark.parametrize("fits", [True, False])
@pytest.mark.parametrize("fault", ["catalog", "models", "model", "build"])
def test_broken_catalog(fault: str, fits: bool, caplog: pytest.LogCaptureFixture) -> None:
    """A catalog or a model that cannot be loaded is one line in the log; the old ones are served.
    A later reload can succeed."""
    catalog = Catalog({"a": "exact"}, fits=fits)

    async def main() -> None:
        async with served(catalog) as engine:
            catalog.models = {} if fault == "catalog" else {"a": CHANGED, "b": "exact"}
            if fault == "models":
                catalog.on_load = fail
            if fault == "model":
                catalog.broken = "b"
            if fault == "build":
                catalog.models = {"a": None}  # type: ignore[dict-item]
                catalog.engine = fail  # type: ignore[assignment]
            with pytest.raises(SettingsError) as raised:
                await engine.reload()
            if fault == "model":  # the reason in it names no file
                assert raised.value.message.endswith("; see the server log")
            lines = [line for line in caplog.messages if line.startswith("kept the old catalog: ")]
            assert len(lines) == 1 and "\n" not in lines[0]
            await until(lambda: engine.stats().is_ready)
            assert await batching_of(engine, params(model="a")) == "exact"
            if fault == "model":
                catalog.broken = ""
                assert await engine.reload() == "added b; changed a"

    asyncio.run(main())


def test_drain_ends_a_reload() -> None:
    """A server that shuts down finishes the requests of both engines, and leaves no worker."""
    gate, is_loading = threading.Event(), threading.Event()
    catalog = Catalog({"a": "exact"}, gate=gate)

    def load() -> None:
        is_loading.set()
        assert gate.wait(60)

    async def main() -> None:
        async with served(catalog) as engine:
            job = asyncio.create_task(batching_of(engine, params(model="a")))
            await until(lambda: engine.stats().num_running == 1)
            catalog.on_load, catalog.models = load, {"a": CHANGED}
            reload = asyncio.create_task(engine.reload())
            await until(is_loading.is_set)
            draining = asyncio.create_task(engine.drain())
            await asyncio.sleep(0)
            gate.set()
            await draining
            assert await job == "exact"
            with pytest.raises(SettingsError, match="shutting down"):
                await reload

    asyncio.run(main())
    assert all(not engine.stats().is_ready for engine in catalog.built)
