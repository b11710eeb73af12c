"""Reading networks from their files, compared with OpenVINO's reading."""

from __future__ import annotations

import numpy as np
import pytest

from daguerre.models.embedded.model import WEIGHTS
from daguerre.models.openvino import openvino_core
from training.ir import read_parameters


@pytest.mark.parametrize("name", ["denoiser", "text_encoder"])
def test_matrices_are_those_of_the_runtime(name: str) -> None:
    """Every named matrix is found, with the values that OpenVINO reads."""
    found = read_parameters(WEIGHTS / f"{name}.xml")
    num_compared = 0
    for op in openvino_core().read_model(WEIGHTS / f"{name}.xml").get_ops():
        full = op.get_friendly_name()
        if op.get_type_name() == "Constant" and full.endswith(".weight_compressed"):
            mine = found[full.removeprefix("self.").removesuffix("_compressed")]
            assert np.array_equal(mine, op.get_data().astype(np.float32))
            num_compared += 1
    assert num_compared > 20


def test_biases_and_norms_are_found() -> None:
    """Unnamed constants are found under the module that uses them."""
    found = read_parameters(WEIGHTS / "text_encoder.xml")
    layers = [name for name in found if name.startswith("bert.encoder.layer.0.")]
    weights = {name.removesuffix(".weight") for name in layers if name.endswith(".weight")}
    biases = {name.removesuffix(".bias") for name in layers if name.endswith(".bias")}
    assert weights == biases and len(weights) == 8  # six linear layers and two norms
