"""The Python API with a checkpoint in diffusers format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import daguerre
from daguerre.engine.thread_engine import ThreadEngine
from daguerre.errors import SettingsError
from daguerre.models.diffusers.model import DiffusersModel
from daguerre.params import ImageParams

from .conftest import REASON

diffusers = pytest.importorskip("diffusers", reason=REASON)
torch = pytest.importorskip("torch", reason=REASON)

SMALL = ImageParams("any", "a red fox", width=32, height=32, seed=3)  # smaller than the API allows


@pytest.fixture(autouse=True)
def _data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGUERRE_HOME", str(tmp_path / "home"))


def test_model_from_a_directory(
    folder_of: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A path loads a checkpoint, and closing frees it. The catalog gives the same pixels."""
    path = folder_of("stable-diffusion")
    with daguerre.Model.load(path) as model:
        assert model.id == path.name
        image = model.generate(SMALL)
        engine = model._engine
        assert isinstance(engine, ThreadEngine)
        (served,) = engine._models.values()
        assert isinstance(served, DiffusersModel) and served.weights_key.pipeline is not None
    assert served.weights_key.pipeline is None
    catalog = tmp_path / "daguerre.toml"
    catalog.write_text(f'[models.tiny]\nsource = "diffusers"\npath = "{path}"\n')
    with daguerre.Model.load("tiny", catalog=catalog) as model:
        again = model.generate(SMALL)
    assert image.pixels.std() > 0 and np.array_equal(image.pixels, again.pixels)


def test_directory_without_a_checkpoint(tmp_path: Path) -> None:
    """A directory that is not a checkpoint is refused with its path."""
    with pytest.raises(SettingsError, match="model_index.json"):
        daguerre.Model.load(tmp_path)
