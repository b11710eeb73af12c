"""Int8 products on OpenVINO: a similar image, calibrated once, and the same for the same seed."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from no_network import side_effects

from daguerre.engine.batching import batcher
from daguerre.errors import SettingsError
from daguerre.models import nncf
from daguerre.models.diffusers import quantization
from daguerre.models.diffusers.calibration import Calibration
from daguerre.models.diffusers.families import FAMILIES
from daguerre.storage.artifact_cache import ArtifactCache

from .conftest import REASON, Bench, Request
from .test_quantization import distance

pytest.importorskip("diffusers", reason=REASON)
torch = pytest.importorskip("torch", reason=REASON)
if not find_spec("nncf"):  # an import would change the class of all later loggers
    pytest.skip("daguerre[quantization] is not installed", allow_module_level=True)

REQUESTS = (
    Request("a red fox on the snow", seed=1, steps=2),
    Request("cat", seed=2, steps=2),
)
# Mean difference, of 255, from the image without quantization, for random weights.
NEAR = 5.0


def made(folder: Path, kept: Path, **config: Any) -> Bench:
    return Bench(
        folder,
        store=ArtifactCache(kept, 1 << 40),
        **{
            "executor": "auto",
            "quantization": "int8",
            "calibration": Calibration(steps=1),
            **config,
        },
    )


def weights(folder: Path) -> dict[str, bytes]:
    """Name -> bytes of the constants of each graph; the names in a graph contain counters."""
    files = sorted(folder.rglob("*.bin"))
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


def refuse(*args: Any) -> Any:
    raise RuntimeError("no range of values")


@pytest.mark.parametrize(
    ("family", "dtype"), [("stable-diffusion", "float32"), ("flux", "bfloat16")]
)
def test_images(
    family: str,
    dtype: str,
    folder_of: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They are near those of float32, and batches are verified. Another conversion of the weights
    gives the same bytes, and a restart converts nothing."""
    monkeypatch.setattr(batcher, "MAX_ADDED_COST", float("inf"))
    folder = folder_of(family)
    bench = made(folder, tmp_path / "one", dtype=dtype)
    alone = [bench.images([request])[0] for request in REQUESTS]
    for _ in range(3):
        assert bench.images(REQUESTS) == alone
    assert bench.loop.certificates()  # whether exact or not

    denoiser = bench.model.family.denoiser
    fingerprint = bench.networks[denoiser].fingerprint
    assert "int8 by nncf" in fingerprint and "calibration 1: 1 steps" in fingerprint
    assert "openvino" in fingerprint and "int8 by" not in bench.networks["vae"].fingerprint
    full = made(folder, tmp_path / "full", quantization=None, dtype=dtype).images(REQUESTS)
    assert all(0 < distance(*pair) < NEAR for pair in zip(alone, full, strict=True))

    assert made(folder, tmp_path / "two", dtype=dtype).images(REQUESTS[:1]) == alone[:1]
    assert weights(tmp_path / "one") == weights(tmp_path / "two")
    monkeypatch.setattr(nncf, "quantize", refuse)
    assert made(folder, tmp_path / "one", dtype=dtype).images(REQUESTS[:1]) == alone[:1]


def test_failed_calibration_is_remembered(
    folder_of: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The denoiser runs eagerly, and the log says why and what to delete for another try."""
    folder = folder_of("stable-diffusion")
    monkeypatch.setattr(nncf, "quantize", refuse)
    for is_known in (False, True):
        caplog.clear()
        bench = made(folder, tmp_path)
        bench.images(REQUESTS[:1])
        assert "unet runs eagerly from now on" in caplog.text
        assert "no range of values" in caplog.text
        assert ("to retry, delete" in caplog.text) == is_known
        assert bench.networks["unet"].fingerprint.endswith("unet eager")


def test_quantized_layers(folder_of: Callable[[str], Path], tmp_path: Path) -> None:
    """The layers outside of the blocks, and those that make one vector per step or prompt, keep
    their type."""
    made(folder_of("stable-diffusion"), tmp_path).images(REQUESTS[:1])
    texts = [file.read_text() for file in tmp_path.rglob("*.xml")]
    (graph,) = (text for text in texts if "time_embedding" in text)
    quantized = {
        name
        for name in ("conv_in", "conv_out", "linear_1", "time_emb_proj", "to_q", "conv1")
        if re.search(rf'name="[^"]*\b{name}/[^"]*/fq_weights', graph)
    }
    assert quantized == {"to_q", "conv1"}


def test_calls_are_fitted() -> None:
    """A recorded call takes the shape and the types of another: values are repeated or cut. Each
    call gives one of its rows, and the constant part stays."""
    from daguerre.models.diffusers.executors import int8
    from daguerre.models.diffusers.executors.base import ExecutorError

    call = {"x": torch.tensor([[[1.0, 2.0]], [[3.0, 4.0]]]), "t": torch.tensor([5.0, 6.0])}
    like = {"call": "constant", "x": torch.zeros(4, 2, 3), "t": torch.zeros(4).long()}
    for row, x, t in ((0, [1, 2, 1], 5), (3, [3, 4, 3], 6)):
        found = int8.fitted(call, like, row)
        assert (found["call"], found["x"].tolist(), found["t"].tolist()) == (
            "constant",
            [[x, x]],
            [t],
        )
        assert found["t"].dtype == torch.int64
    assert int8.fitted(call, {"x": torch.zeros(1, 1, 1)}, 0)["x"].tolist() == [[[1]]]
    for name, like_tensor in (("mask", torch.zeros(1)), ("t", torch.zeros(1, 2))):
        with pytest.raises(ExecutorError, match=f"no input {name} of this kind"):
            int8.fitted(call, {name: like_tensor}, 0)


@pytest.mark.parametrize(
    ("pipeline", "device", "fault"),
    [
        ("ZImagePipeline", "cpu", "OpenVINO cannot run the denoiser of ZImagePipeline"),
        ("FluxPipeline", "cuda:0", "needs device 'cpu'; it is 'cuda:0'"),
    ],
)
def test_where_it_is_not_possible(pipeline: str, device: str, fault: str) -> None:
    """The error names the pipeline or the device, and what fits."""
    with pytest.raises(SettingsError, match=f"quantization is 'int8', .*{fault}; use 'int8-weight"):
        quantization.check_calibrated("int8", FAMILIES[pipeline], device)
    quantization.check_calibrated("int8-weight-only", FAMILIES[pipeline], device)


def test_quantization_reports_nothing(tmp_path: Path) -> None:
    """It opens no connection, forks no process, prints nothing and writes nothing to the home
    directory."""
    program = """
import logging, sys
import numpy as np
from daguerre.models import nncf
from daguerre.models.openvino import opset13, ov
x = opset13.parameter([2, 64], ov.Type.f32)
weights = opset13.constant(np.eye(64, dtype=np.float32))
model = ov.Model([opset13.matmul(x, weights, False, True)], [x])
sys.stdout = sys.stderr
nncf.quantize(model, [[np.ones((2, 64), np.float32)]], {}, [])
assert logging.getLoggerClass() is logging.Logger
"""
    assert side_effects(program, tmp_path) == []
