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


@pytest.mark.parametrize("opened", [factory.open_engine, in_a_thread])
def test_engine_has_the_models_of_the_catalog(
    settings: Settings, opened: Callable[[Settings], AbstractContextManager[Engine]]
) -> None:
    """An engine in processes or in a thread has the catalog's models, before any is loaded."""
    with opened(settings) as engine:
        assert [info.id for info in engine.models()] == [DEFAULT_MODEL]
        assert not engine.stats().is_ready
