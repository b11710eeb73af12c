"""The composition root: what a worker subprocess gets, and the models of each engine."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

import pytest

from daguerre import factory
from daguerre.config import Settings
from daguerre.engine.interface import Engine
from daguerre.models.catalog import DEFAULT_MODEL


def test_worker_gets_no_secret(settings: Settings) -> None:
    """The settings of a worker survive pickling, and have neither database nor secrets."""
    secret = "hunter2" * 5
    sent = factory.worker_settings(
        replace(settings, database_url=f"sqlite:///{secret}.db", signed_url_secret=secret)
    )
    pickled = pickle.dumps(sent)
    assert pickle.loads(pickled) == sent == settings and b"hunter2" not in pickled


def in_a_thread(settings: Settings) -> AbstractContextManager[Engine]:
    return nullcontext(factory.build_engine(settings, factory.read_catalog(settings)))


def test_threads_of_one_process(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine in this process uses all threads, whatever the number of workers is."""
    monkeypatch.setattr("daguerre.engine.workers.cpu_affinity.num_cpus", lambda: 8)
    used: list[int] = []

    def build(settings: Settings, *_: object) -> list[object]:
        used.append(settings.threads_per_worker)
        return []

    monkeypatch.setattr(factory, "build_models", build)
    catalog = factory.read_catalog(settings)
    for num_threads in (0, 6):
        some = replace(settings, workers=2, threads_per_worker=num_threads)
        factory.build_engine(some, catalog)
    assert used == [0, 6]


@pytest.mark.parametrize("opened", [factory.open_engine, in_a_thread])
def test_engine_has_the_models_of_the_catalog(
    settings: Settings, opened: Callable[[Settings], AbstractContextManager[Engine]]
) -> None:
    """An engine in processes or in a thread has the catalog's models, before any is loaded."""
    with opened(settings) as engine:
        assert [info.id for info in engine.models()] == [DEFAULT_MODEL]
        assert not engine.stats().is_ready
