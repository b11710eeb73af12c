"""OpenVINO and PyTorch decide the same scenes with the shipped weights, if torch is installed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from daguerre.engine.forward import Inputs, Outputs
from daguerre.models.embedded.model import WEIGHTS, EmbeddedModel
from daguerre.models.embedded.text import TEXT_WIDTH
from daguerre.params import ImageParams

torch: Any = pytest.importorskip("torch", reason="torch is there for training alone")
restore: Any = pytest.importorskip("training.restore")
network: Any = pytest.importorskip("training.network")
served: Any = pytest.importorskip("training.served")
decisions: Any = pytest.importorskip("training.decisions")
sheet: Any = pytest.importorskip("training.sheet")

PROMPTS = sheet.read_prompts(Path(__file__).parents[2] / "training" / "prompts.txt")


def evaluated(module: Any) -> Callable[[Inputs], Outputs]:
    """A module of torch as a network."""

    def run(inputs: Inputs) -> Outputs:
        with torch.inference_mode():
            found = module(**{name: torch.from_numpy(value) for name, value in inputs.items()})
        arrays = found if isinstance(found, tuple) else (found,)
        return tuple(array.numpy() for array in arrays)

    return run


def test_openvino_and_torch_decide_the_same_scenes() -> None:
    """All fields are the same for the prompts of the contact sheet, with the card's noise."""
    model = EmbeddedModel("m", precision="float32")
    networks = dict(model.load())
    # Any meanings give the same tables of names.
    denoiser = restore.restore(WEIGHTS, torch.randn(network.NUM_NAMES, TEXT_WIDTH))
    torch_networks = {
        **networks,
        "reader": evaluated(served.Reader(denoiser)),
        "denoiser": evaluated(served.Steps(denoiser)),
    }
    asked = [ImageParams("m", text, seed=i) for i, text in enumerate(PROMPTS[::3])]
    found = decisions.decide(model, networks, asked)
    wanted = decisions.decide(model, torch_networks, asked)
    assert [one.scene for one in found] == [one.scene for one in wanted]
    assert len(np.unique([one.scene.kind for one in found])) > 3
