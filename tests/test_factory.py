"""The composition root: what a worker subprocess gets, and the models of each engine."""

from __future__ import annotations

import asyncio
import functools
import pickle
import traceback
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

import pytest
from engine.harness import events, until

from daguerre import factory, model_factory
from daguerre.config import Settings
from daguerre.engine.interface import Engine
from daguerre.engine.pipeline import Model
from daguerre.engine.reloadable_engine import ReloadableEngine
from daguerre.errors import SettingsError
from daguerre.models import catalog
from daguerre.models.catalog import DEFAULT_MODEL, Catalog
from daguerre.params import ImageParams, JobSucceeded


def test_worker_gets_no_secret(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a worker is built from survives pickling, and has neither database nor secrets."""
    built: list[bytes] = []

    class Recorder:
        def __init__(self, builds: Sequence[object], *_: object, **options: object) -> None:
            built.extend(map(pickle.dumps, builds))

        def prestart(self) -> None: ...

        def close(self) -> None: ...

    monkeypatch.setattr("daguerre.engine.workers.process_engine.ProcessEngine", Recorder)
    secret = "hunter2" * 5
    given = replace(
        settings, database_url=f"sqlite:///{secret}.db", signed_url_secret=secret, workers=2
    )
    served = factory.read_catalog(given)
    models = model_factory.build_first_models(given, served)
    with factory.open_engine(given, served, models, unchanged):
        assert len(built) == 2 and all(pickle.loads(build).args[0] for build in built)
        assert not any(b"hunter2" in build for build in built)


def unchanged() -> Catalog:
    raise AssertionError("the catalog is not reloaded")


def open_engine(
    settings: Settings, served: Catalog, read: Callable[[], Catalog]
) -> AbstractContextManager[ReloadableEngine]:
    resolved = factory.resolve(settings, served)
    models = model_factory.build_first_models(resolved, served)
    return factory.open_engine(resolved, served, models, read)


def in_processes(settings: Settings) -> AbstractContextManager[Engine]:
    return open_engine(settings, factory.read_catalog(settings), unchanged)


def in_a_thread(settings: Settings) -> AbstractContextManager[Engine]:
    return nullcontext(factory.build_engine(settings, factory.read_catalog(settings)))


def test_threads_of_one_process(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine in this process uses all threads, whatever the number of workers is."""
    monkeypatch.setattr("daguerre.engine.workers.cpu_affinity.num_cpus", lambda: 8)
    used: list[int] = []

    def build(settings: Settings, *_: object) -> list[object]:
        used.append(settings.threads_per_worker)
        return []

    monkeypatch.setattr(factory, "build_servable_models", build)
    served = factory.read_catalog(settings)
    for num_threads in (0, 6):
        some = replace(settings, workers=2, threads_per_worker=num_threads)
        factory.build_engine(some, served)
    assert used == [0, 6]


@pytest.mark.parametrize("opened", [in_processes, in_a_thread])
def test_engine_has_the_models_of_the_catalog(
    settings: Settings, opened: Callable[[Settings], AbstractContextManager[Engine]]
) -> None:
    """An engine in processes or in a thread has the catalog's models, before any is loaded."""
    with opened(settings) as engine:
        assert [info.id for info in engine.models()] == [DEFAULT_MODEL]
        assert not engine.stats().is_ready


def with_damaged_checkpoint(settings: Settings) -> Catalog:
    """A catalog of the bundled model and a checkpoint that cannot be read."""
    settings.data_dir().mkdir(parents=True)
    (settings.data_dir() / "daguerre.toml").write_text(
        '[models.bad]\nsource = "diffusers"\npath = "nowhere"\n[models.good]\nsource = "embedded"\n'
    )
    return factory.read_catalog(settings)


def test_damaged_checkpoint(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other models are built, and listings say why. It is an error if no model is left."""
    monkeypatch.setattr(catalog, "_EXTRA", ())
    both = with_damaged_checkpoint(settings)
    bad, good = model_factory.build_servable_models(settings, both)
    assert (bad.info.id, good.info.id) == ("bad", "good")
    tracebacks = [load_failure(bad) for _ in range(3)]
    assert len(set(map(len, tracebacks))) == 1 and "nowhere does not exist" in tracebacks[0]
    with open_engine(settings, both, unchanged) as engine:
        assert engine.models() == (bad.info, good.info)
    with pytest.raises(SettingsError, match="nowhere does not exist"):
        model_factory.build_servable_models(settings, both.only("bad"))
    summaries = factory.summarize_catalog(settings)
    listed = {each.info.id: each.info.description for each in summaries}
    assert listed["bad"].startswith("cannot be served: ") and "nowhere" in listed["bad"]
    assert "cannot be served" not in listed["good"]


def load_failure(model: Model) -> str:
    """The traceback of a load; each try has one of the same length."""
    with pytest.raises(SettingsError) as caught:
        model.load()
    return "".join(traceback.format_exception(caught.value))


def test_model_that_changed(settings: Settings) -> None:
    """A worker does not load a model that differs from the one that the server announced."""
    served = factory.read_catalog(settings)
    (model,) = model_factory.build_servable_models(settings, served)
    other = replace(model.info, weights_sha256="1" * 64)
    (found,) = model_factory.build_servable_models(
        settings, served, expected={DEFAULT_MODEL: other}
    )
    assert found.info == other
    with pytest.raises(SettingsError, match="has changed since the server started"):
        found.load()


def test_reload_of_the_file(settings: Settings) -> None:
    """The catalog's file is read again; one that is broken or gone changes nothing."""
    file = settings.data_dir() / catalog.FILE_NAME
    file.parent.mkdir()
    table = '[models.{}]\nsource = "embedded"\n'
    file.write_text(table.format("a"))
    resolved = factory.resolve(settings, read := factory.read_catalog(settings))
    reader = functools.partial(factory.read_catalog, resolved)

    async def main() -> None:
        with open_engine(resolved, read, reader) as engine:
            await engine.start()
            await until(lambda: engine.stats().is_ready)
            file.write_text("not toml")
            with pytest.raises(SettingsError, match="is not TOML"):
                await engine.reload()
            file.unlink()
            with pytest.raises(SettingsError, match="cannot read"):
                await engine.reload()
            file.write_text(table.format("b"))
            assert await engine.reload() == "added b; removed a"
            *_, last = await events(engine, ImageParams("b", "a fox"))
            assert isinstance(last, JobSucceeded)
            await engine.stop()

    asyncio.run(main())


@pytest.mark.parametrize(("free_gb", "fits"), [(0.7, True), (0.6, False)])
def test_models_fit(free_gb: float, fits: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The models of all workers must fit into free memory."""
    monkeypatch.setattr("daguerre.memory.free_bytes", lambda: free_gb * 1e9)
    (bundled,) = model_factory.build_models(
        Settings(), Catalog(None, {"a": catalog.EmbeddedConfig()})
    )
    assert factory._fit([bundled], num_workers=2) == fits
