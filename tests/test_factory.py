"""The composition root: what a worker gets, and one engine for each backend (in a subprocess)."""

from __future__ import annotations

import pickle
from dataclasses import replace

import pytest

from daguerre import factory
from daguerre.config import Settings
from daguerre.models.catalog import DEFAULT_MODEL


def test_worker_gets_no_secret(settings: Settings) -> None:
    """The configuration of a worker survives pickling, and has neither database nor secrets."""
    config = factory.engine_config(replace(settings, database_url="sqlite:///hunter2.db"))
    pickled = pickle.dumps(config)
    assert pickle.loads(pickled) == config and b"hunter2" not in pickled


@pytest.mark.parametrize("backend", factory.BACKENDS)
def test_backend_has_the_models_of_the_catalog(settings: Settings, backend: str) -> None:
    """Each backend makes an engine with the catalog's models, before any is loaded."""
    with factory.open_engine(settings, backend) as engine:
        assert [info.model for info in engine.models()] == [DEFAULT_MODEL]
        assert not engine.stats().is_ready
