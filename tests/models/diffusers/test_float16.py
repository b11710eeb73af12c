"""float16: the bits of the stock pipeline, and an image where its decoder overflows."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from daguerre.errors import InternalError
from daguerre.storage.artifact_cache import ArtifactCache

from .conftest import REASON, Bench, Request, failure, stock_images

pytest.importorskip("diffusers", reason=REASON)
torch = pytest.importorskip("torch", reason=REASON)

REQUESTS = (
    Request("a red fox on the snow", seed=1, steps=3),
    Request("cat", seed=2, steps=4, guidance=2.5),
    Request("the very old house", seed=3, steps=2, size=(24, 16)),
)


@pytest.mark.parametrize(
    "family",
    ["stable-diffusion", "stable-diffusion-xl", "stable-diffusion-3", "flux", "aura-flow"],
)
def test_images_are_the_stock_pipelines(family: str, folder_of: Callable[[str], Path]) -> None:
    """Alone and concurrently. Those of SDXL and AuraFlow convert their decoder for an image."""
    bench = Bench(folder_of(family), dtype="float16")
    stock = stock_images(folder_of(family), bench, REQUESTS, torch_dtype=torch.float16)
    assert [bench.images([request])[0] for request in REQUESTS] == stock
    assert bench.images(REQUESTS) == stock
    assert Bench(folder_of(family), dtype="float32").images(REQUESTS) != stock


@pytest.fixture(scope="module")
def overflowing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoint whose decoder's first activations exceed float16; a norm follows them."""
    from . import tiny

    vae = tiny.vae()
    with torch.no_grad():
        vae.decoder.conv_in.weight *= 6e4 / vae.decoder.conv_in.weight.abs().max()
    return tiny.stable_diffusion(tmp_path_factory.mktemp("overflowing") / "sd", vae=vae)


def decode_in_float32(folder: Path, bench: Bench, request: Request) -> bytes:
    """The image of the stock pipeline in float16 with a decoder in float32."""
    import diffusers

    pipeline = diffusers.DiffusionPipeline.from_pretrained(folder, torch_dtype=torch.float16)
    pipeline.set_progress_bar_config(disable=True)
    vae = pipeline.vae.float()
    decode = vae.decode
    vae.decode = lambda latents, **options: decode(latents.float(), **options)
    width, height = request.size
    image = pipeline(
        prompt=request.prompt,
        width=width,
        height=height,
        num_inference_steps=request.steps,
        guidance_scale=request.guidance or bench.model.guidance,
        generator=torch.Generator().manual_seed(request.seed),
    ).images[0]
    return np.asarray(image).tobytes()


def test_decoder_that_overflows(overflowing: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The image is decoded once again, in float32, alone and concurrently; no error is logged."""
    bench = Bench(overflowing, dtype="float16")
    expected = [decode_in_float32(overflowing, bench, request) for request in REQUESTS]
    assert [bench.images([request])[0] for request in REQUESTS] == expected
    assert bench.images(REQUESTS) == expected
    assert bench.model.weights_key.pipeline.vae.dtype == torch.float16
    assert "computed NaN" not in caplog.text


def test_only_the_decoding_that_overflows_is_repeated(
    folder_of: Callable[[str], Path], overflowing: Path
) -> None:
    """A request that does not overflow has the bits of float16, whatever ran before it."""
    bench = Bench(folder_of("stable-diffusion"), dtype="float16")
    vae = bench.model.weights_key.pipeline.vae
    before = bench.images(REQUESTS[:1])
    weight = vae.decoder.conv_in.weight
    kept = weight.data.clone()
    weight.data *= 6e4 / float(kept.abs().max())
    assert bench.images(REQUESTS[:1])
    weight.data.copy_(kept)
    assert bench.images(REQUESTS[:1]) == before


def test_decoder_with_damaged_weights(folder_of: Callable[[str], Path]) -> None:
    """NaN in float32, too, is an error."""
    bench = Bench(folder_of("flux"), dtype="float16")
    *_, weight = bench.model.weights_key.pipeline.vae.parameters()
    weight[0] = float("nan")
    error = failure(bench.run([replace(REQUESTS[0], steps=1)])[0][-1])
    assert isinstance(error, InternalError) and "network vae computed NaN" in error.message


@pytest.mark.slow
def test_default_executor(
    overflowing: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """OpenVINO computes in float32, and its result is compared with float32 where float16 has
    none."""
    eager = Bench(overflowing, dtype="float16").images(REQUESTS[:1])[0]
    store = ArtifactCache(tmp_path, 1 << 40)
    bench = Bench(overflowing, dtype="float16", executor="auto", store=store)
    with caplog.at_level(logging.WARNING, "daguerre"):
        image = bench.images(REQUESTS[:1])[0]
    assert "eagerly" not in caplog.text and "openvino" in bench.networks["vae"].fingerprint
    assert distance(image, eager) <= 4


def distance(one: bytes, other: bytes) -> int:
    """Largest difference of two images, of 255."""
    pixels: Any = [np.frombuffer(image, np.uint8).astype(int) for image in (one, other)]
    return int(np.abs(pixels[0] - pixels[1]).max())
