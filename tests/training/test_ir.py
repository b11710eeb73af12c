"""Reading networks from their files, compared with OpenVINO's reading."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from daguerre.models.embedded.model import WEIGHTS
from daguerre.models.openvino import openvino_core, ov
from training.ir import read_parameters


@pytest.mark.parametrize("name", ["denoiser", "reader", "text_encoder"])
def test_matrices_are_those_of_the_runtime(name: str) -> None:
    """Every named matrix is found, with the values that OpenVINO computes from int8 and scales."""
    found = read_parameters(WEIGHTS / f"{name}.xml")
    num_compared = 0
    for op in openvino_core().read_model(WEIGHTS / f"{name}.xml").get_ops():
        full = op.get_friendly_name()
        if op.get_type_name() == "Multiply" and full.endswith(".weight"):
            mine = found[full.removeprefix("self.")]
            assert np.allclose(mine, _constant(op), rtol=1e-6)
            num_compared += 1
    assert num_compared > 10


def _constant(op: Any) -> NDArray[np.float32]:
    """The value of an operation without inputs, evaluated by the runtime."""
    network = openvino_core().compile_model(ov.Model([op.output(0)], []), "CPU")
    found: NDArray[np.float32] = network([])[0]
    return found


def test_biases_and_norms_are_found() -> None:
    """Unnamed constants are found under the module that uses them."""
    found = read_parameters(WEIGHTS / "text_encoder.xml")
    layers = [name for name in found if name.startswith("bert.encoder.layer.0.")]
    weights = {name.removesuffix(".weight") for name in layers if name.endswith(".weight")}
    biases = {name.removesuffix(".bias") for name in layers if name.endswith(".bias")}
    assert weights == biases and len(weights) == 8  # six linear layers and two norms
