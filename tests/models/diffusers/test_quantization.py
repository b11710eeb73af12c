"""Eight-bit weights: a similar image, and the same one for the same seed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from daguerre.engine.batching import batcher
from daguerre.errors import SettingsError
from daguerre.models.diffusers import quantization
from daguerre.models.diffusers.caches import TAYLOR_LITE, Cache
from daguerre.models.diffusers.loaded_pipeline import LoadedCheckpoint
from daguerre.models.diffusers.pipeline_config import PipelineConfig
from daguerre.models.diffusers.quantization import CALIBRATED, FLOAT8, INT8, METHODS
from daguerre.storage.artifact_cache import ArtifactCache

from .conftest import REASON, Bench, Request, pipeline_images, stock_images

pytest.importorskip("diffusers", reason=REASON)
torch = pytest.importorskip("torch", reason=REASON)
ao = pytest.importorskip("torchao.quantization", reason="daguerre[quantization] is not installed")

ON_CPUS = tuple(method for method in METHODS if method not in (CALIBRATED, FLOAT8))
REQUESTS = (
    Request("a red fox on the snow", seed=1, steps=4),
    Request("cat", seed=2, steps=3, guidance=2.5),
    Request("the very old house", seed=3, steps=5),
)
# Mean difference, of 255, between images with and without quantisation.
NEAR = 3.0


def distance(one: bytes, other: bytes) -> float:
    pixels = (np.frombuffer(image, np.uint8).astype(float) for image in (one, other))
    return float(np.abs(next(pixels) - next(pixels)).mean())


def quantized_layers(bench: Bench) -> list[str]:
    """The denoiser's linear layers whose weights are not plain tensors."""
    denoiser = getattr(bench.model.weights_key.pipeline, bench.model.family.denoiser)
    return [
        name
        for name, layer in denoiser.named_modules()
        if isinstance(layer, torch.nn.Linear) and type(layer.weight.data) is not torch.Tensor
    ]


def quantize(pipeline: Any, method: str) -> None:
    """Quantises by torchao's own call, with the layers selected by hand."""
    configs = {
        "int8-weight-only": ao.Int8WeightOnlyConfig,
        "int8-dynamic": ao.Int8DynamicActivationInt8WeightConfig,
        "float8-weight-only": ao.Float8WeightOnlyConfig,
    }

    def is_chosen(module: Any, name: str) -> bool:
        is_part = any(part in name for part in (".attn.", ".ff.", ".ff_context.", "proj_"))
        return isinstance(module, torch.nn.Linear) and is_part

    ao.quantize_(pipeline.transformer, configs[method](), filter_fn=is_chosen)


@pytest.mark.parametrize("method", ON_CPUS)
def test_image_is_the_stock_pipelines_with_the_same_weights(
    method: str, folder_of: Callable[[str], Path]
) -> None:
    """Alone and concurrently, the bits are the stock pipeline's; the image is similar to the
    unquantised one. Layers that make one vector per step or prompt keep their type."""
    folder = folder_of("flux")
    bench, full = Bench(folder, quantization=method), Bench(folder)
    layers = quantized_layers(bench)
    assert any(".attn." in name for name in layers) and any(".ff." in name for name in layers)
    assert not [name for name in layers if "norm" in name or "embed" in name]
    assert quantized_layers(full) == []
    hooked: list[Any] = []

    def once(pipeline: Any) -> None:
        if not hooked:
            quantize(pipeline, method)
            hooked.append(pipeline)

    stock = stock_images(folder, bench, REQUESTS, once)
    assert [bench.images([request])[0] for request in REQUESTS] == stock
    assert bench.images(REQUESTS) == stock
    for drawn, whole in zip(stock, full.images(REQUESTS), strict=True):
        assert 0 < distance(drawn, whole) < NEAR
    assert f"{method} by torchao" in bench.networks["transformer"].fingerprint
    for name in ("vae", "text_encoder"):
        assert "torchao" not in bench.networks[name].fingerprint


@pytest.mark.parametrize("method", ON_CPUS)
def test_rows_are_independent_or_refused(
    method: str, folder_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batches are verified with these weights, and no image changes."""
    monkeypatch.setattr(batcher, "MAX_ADDED_COST", float("inf"))
    bench = Bench(folder_of("flux"), quantization=method)
    alone = [bench.images([request])[0] for request in REQUESTS]
    for _ in range(3):
        assert bench.images(REQUESTS) == alone
    assert bench.loop.certificates()  # whether exact or not


def test_with_a_cache(folder_of: Callable[[str], Path]) -> None:
    """Both take effect, and each request still has its own state."""
    cache = Cache(TAYLOR_LITE, (("cache_interval", 2), ("disable_cache_before_step", 1)))
    requests = [replace(request, steps=request.steps + 4) for request in REQUESTS]
    bench = Bench(folder_of("flux"), quantization=INT8, cache=cache)
    alone = [bench.images([request])[0] for request in requests]
    assert bench.images(requests) == alone
    for kind in ({"quantization": INT8}, {"cache": cache}):
        assert Bench(folder_of("flux"), **kind).images(requests) != alone
    fingerprint = bench.networks["transformer"].fingerprint
    assert "cache taylorseer-lite" in fingerprint and "int8-dynamic by torchao" in fingerprint
    assert bench.model.info.description.endswith(
        ", cache taylorseer-lite cache_interval=2 disable_cache_before_step=1, int8-dynamic"
    )


def test_device_without_float8(folder_of: Callable[[str], Path]) -> None:
    """The error names the requirement of float8 and an alternative."""
    with pytest.raises(
        SettingsError, match="needs a CUDA device of compute capability 8.9 or higher"
    ):
        Bench(folder_of("flux"), quantization=FLOAT8, dtype="bfloat16")


def test_auto_is_eager_for_a_quantized_network(
    folder_of: Callable[[str], Path], tmp_path: Path
) -> None:
    """Quantised layers are not converted for OpenVINO; the decoder is."""
    store = ArtifactCache(tmp_path, 1 << 40)
    bench = Bench(
        folder_of("flux"), quantization=INT8, executor="auto", store=store, dtype="bfloat16"
    )
    assert bench.networks["transformer"].fingerprint.endswith("transformer eager")
    assert "openvino" in bench.networks["vae"].fingerprint


def quantized_config(method: str) -> Any:
    import diffusers

    if method == "quanto":
        pytest.importorskip("optimum.quanto", reason="optimum-quanto is not installed")
        return diffusers.QuantoConfig(weights_dtype="int8")
    configs = {"int8": ao.Int8WeightOnlyConfig, "float8": ao.Float8WeightOnlyConfig}
    return diffusers.TorchAoConfig(configs[method]())


@pytest.mark.parametrize("method", ["int8", "float8", "quanto"])
def test_checkpoint_that_is_stored_quantized(
    method: str, folder_of: Callable[[str], Path], tmp_path: Path
) -> None:
    """The bits are the stock pipeline's in the stored type, alone and concurrently, and with the
    default executor, too, whose decoder differs in low bits."""
    import diffusers

    folder = shutil.copytree(folder_of("flux"), tmp_path / "quantized")
    shutil.rmtree(folder / "transformer")
    transformer = diffusers.FluxTransformer2DModel.from_pretrained(
        folder_of("flux") / "transformer",
        quantization_config=quantized_config(method),
        torch_dtype=torch.bfloat16,
    )
    transformer.save_pretrained(folder / "transformer")
    bench = Bench(folder)
    loaded = bench.model.weights_key
    dtype = "float32" if method == "quanto" else "bfloat16"
    assert loaded.config.dtype == dtype and quantized_layers(bench)
    stock = diffusers.DiffusionPipeline.from_pretrained(folder, torch_dtype=getattr(torch, dtype))
    expected = pipeline_images(stock, bench, REQUESTS)
    assert [bench.images([request])[0] for request in REQUESTS] == expected
    assert bench.images(REQUESTS) == expected
    package = "optimum-quanto" if method == "quanto" else "torchao"
    assert f"{package} 0." in bench.networks["transformer"].fingerprint
    plain = LoadedCheckpoint(PipelineConfig(folder_of("flux"), dtype=dtype, device="cpu"))
    assert loaded.num_bytes < plain.num_bytes
    default = Bench(folder, executor="auto", store=ArtifactCache(tmp_path / "cache", 1 << 40))
    assert default.networks["transformer"].fingerprint.endswith("transformer eager")


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (
            {"load_in_4bit": True},
            "bitsandbytes, which diffusers loads on CUDA devices only",
        ),
        ({"quant_method": "quanto"}, "in bfloat16 can end the process on a CPU; dtype must be"),
    ],
)
def test_stored_quantized_and_refused_on_a_cpu(
    config: dict[str, Any],
    words: str,
    folder_of: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The error names the package, and what is accepted."""
    folder = shutil.copytree(folder_of("flux"), tmp_path / "quantized")
    file = folder / "transformer" / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"quantization_config": config}))
    monkeypatch.setattr(quantization, "_is_installed", lambda module: True)
    with pytest.raises(SettingsError, match=words):
        LoadedCheckpoint(PipelineConfig(folder, device="cpu", dtype="bfloat16"))


def test_unknown_quantization(folder_of: Callable[[str], Path], tmp_path: Path) -> None:
    """The error names the method, and the packages whose weights are known to load."""
    folder = shutil.copytree(folder_of("flux"), tmp_path / "gguf")
    file = folder / "transformer" / "config.json"
    stored = {"quantization_config": {"quant_method": "gguf"}}
    file.write_text(json.dumps(json.loads(file.read_text()) | stored))
    words = "quantized by gguf; known are bitsandbytes, optimum-quanto, torchao"
    with pytest.raises(SettingsError, match=words):
        Bench(folder)
