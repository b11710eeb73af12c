"""Native sizes: larger images are drawn in that many pixels, and enlarged."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from daguerre.engine.batching import batcher
from daguerre.models.diffusers import checkpoint
from daguerre.models.diffusers.native_size import NativeSize, native_size
from daguerre.params import SIZES, StepCompleted

from .conftest import REASON, Bench, OneJobAtATime, Request, stock_images

SMALL, LARGE = (32, 48), (64, 96)


def enlarged(pixels: bytes) -> bytes:
    """A small image in the large size."""
    image = Image.frombytes("RGB", SMALL, pixels)
    return np.asarray(image.resize(LARGE, Image.Resampling.LANCZOS)).tobytes()


def change(file: Path, **options: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | options))


@pytest.mark.parametrize("side", [512, 768])
def test_sizes_of_the_api(side: int) -> None:
    """Each is drawn in its exact aspect ratio and nearly the native size."""
    for width, height in SIZES.values():
        drawn = NativeSize(side).drawn(width, height)
        assert drawn[0] * height == drawn[1] * width
        assert 0.9 * side**2 <= drawn[0] * drawn[1] <= side**2
        assert not drawn[0] % 16 and not drawn[1] % 16
    assert NativeSize(512).enlarged_sizes(())["1344x768"] == "672x384"


def test_sizes_that_fit_are_drawn_directly() -> None:
    """At most as many pixels as the native size; 0 and 1024 draw each size of the API directly."""
    sizes = NativeSize(512).enlarged_sizes(["512x512", "256x1024", "576x512", "768x768"])
    assert not {"512x512", "256x1024"} & {*sizes}
    assert sizes["768x768"] == "512x512" and sizes["576x512"] == "544x480"
    assert NativeSize(16, 64).drawn(32, 48) == (32, 48)  # no multiple of the step fits
    assert NativeSize(0).enlarged_sizes(["2048x2048"]) == {}
    assert NativeSize(1024).enlarged_sizes(()) == {}


@pytest.mark.parametrize("step", [16, 32])
@pytest.mark.parametrize("side", [256, 300, 512, 1000, 2047])
def test_extra_sizes(side: int, step: int) -> None:
    """Any size is drawn in multiples of the step, near its aspect ratio, never larger than it."""
    sides = range(256, 2049, 64)
    sizes = ((w, h) for w in sides for h in sides if max(w, h) <= 2.5 * min(w, h))
    native = NativeSize(side, step)
    for width, height in (size for size in sizes if size[0] * size[1] > side**2):
        drawn = native.drawn(width, height)
        assert drawn[0] <= width and drawn[1] <= height
        assert not drawn[0] % step and not drawn[1] % step
        assert 0.4 * side**2 <= drawn[0] * drawn[1] <= side**2
        assert abs(math.log(drawn[0] * height / (drawn[1] * width))) < 0.1


@pytest.mark.parametrize(
    ("sample_size", "side"),
    [(64, 512), (96, 768), (128, 1024), (16, 0), (1 << 40, 0), ([64, 96], 0), (None, 0)],
)
def test_side_of_a_checkpoint(sample_size: Any, side: int, tmp_path: Path) -> None:
    """It is the denoiser's configuration that tells it, in latent pixels."""
    pytest.importorskip("diffusers", reason=REASON)
    from . import tiny

    unet = tiny.unet(cross_attention_dim=32, sample_size=sample_size)
    folder = tiny.stable_diffusion(tmp_path / "sd", unet=unet, vae=tiny.vae(num_levels=4))
    found = checkpoint.read(folder)
    assert native_size(found) == NativeSize(side)
    assert native_size(found, 0) == NativeSize(0) and native_size(found, 640) == NativeSize(640)


def test_step_of_a_checkpoint(tmp_path: Path) -> None:
    """A latent pixel of Sana is 32 pixels wide, and drawn sizes are multiples of that."""
    pytest.importorskip("diffusers", reason=REASON)
    from . import tiny_llm

    folder = tiny_llm.sana(tmp_path / "sana")
    change(folder / "transformer/config.json", sample_size=16)
    change(folder / "vae/config.json", encoder_block_out_channels=[8] * 6)
    assert native_size(checkpoint.read(folder)) == NativeSize(512, 32)


def test_family_without_a_native_size(folder_of: Callable[[str], Path]) -> None:
    """FLUX.1 draws each size directly, unless the catalog has a native size."""
    pytest.importorskip("diffusers", reason=REASON)
    assert native_size(checkpoint.read(folder_of("flux"))) == NativeSize(0)
    assert native_size(checkpoint.read(folder_of("flux")), 512) == NativeSize(512)


@pytest.mark.parametrize("family", ["stable-diffusion", "flux"])
def test_image_is_the_stock_pipelines_enlarged(
    family: str, folder_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large image is the stock pipeline's small one, enlarged; both sizes share batches."""
    pytest.importorskip("diffusers", reason=REASON)
    monkeypatch.setattr(batcher, "MAX_ADDED_COST", float("inf"))
    bench = Bench(folder_of(family), native_size=40)
    small = [Request("a fox", seed=seed, size=SMALL) for seed in (1, 2)]
    stock = stock_images(folder_of(family), bench, small)
    denoiser, rows = bench.model.family.denoiser, 1 if family == "flux" else 2
    shared = bench.networks[denoiser] = OneJobAtATime(bench.networks[denoiser], rows)
    requests = [small[0], Request("a fox", seed=2, size=LARGE, num_previews=1)]
    for _ in range(2):
        assert bench.images(requests) == [stock[0], enlarged(stock[1])]
    assert max(shared.calls) == 2 * rows
    assert len({bench.model.batch_class(request.params()) for request in requests}) == 1
    (events,) = bench.run(requests[1:])
    (preview,) = (
        event.preview
        for event in events
        if isinstance(event, StepCompleted) and event.preview is not None
    )
    assert preview.shape == (24, 16, 3)
