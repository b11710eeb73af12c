"""`clip_skip`: an earlier hidden state of CLIP's text encoders, for short and long prompts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from daguerre.errors import SettingsError

from .conftest import REASON, Bench, Request

diffusers = pytest.importorskip("diffusers", reason=REASON)
torch = pytest.importorskip("torch", reason=REASON)

from . import original_layout, tiny  # noqa: E402
from .test_prompt_chunks import LONG, reference  # noqa: E402

REQUESTS = ((Request("a red fox", seed=1, negative_prompt="cat"), 1), (Request(LONG, seed=2), 2))


def stable_diffusion(folder: Path) -> Path:
    return tiny.stable_diffusion(folder, text_encoder=tiny.clip(num_layers=4))


def stable_diffusion_xl(folder: Path) -> Path:
    encoder_2 = tiny.clip(with_projection=True, num_layers=5)
    return tiny.stable_diffusion_xl(
        folder, text_encoder=tiny.clip(num_layers=4), text_encoder_2=encoder_2
    )


@pytest.mark.parametrize(
    ("make", "clip_skips"), [(stable_diffusion, (1, 3)), (stable_diffusion_xl, (1, 2))]
)
def test_images(make: Callable[[Path], Path], clip_skips: tuple[int, ...], tmp_path: Path) -> None:
    """The encoder's output is that of an earlier layer."""
    folder = make(tmp_path / "model")
    found = set()
    for clip_skip in (0, *clip_skips):
        bench = Bench(folder, clip_skip=clip_skip)
        for request, num_chunks in REQUESTS:
            expected = reference(folder, bench.model, request, num_chunks, clip_skip)
            assert bench.images([request]) == [expected]
            found.add(expected)
    assert len(found) == (1 + len(clip_skips)) * len(REQUESTS)


def test_image_of_stable_diffusion_3(tmp_path: Path) -> None:
    """The stock pipeline is called with the same number."""
    encoders: Any = {
        "text_encoder": tiny.clip(with_projection=True, num_layers=3),
        "text_encoder_2": tiny.clip(with_projection=True, num_layers=3),
    }
    folder = tiny.stable_diffusion_3(tmp_path / "model", **encoders)
    bench = Bench(folder, clip_skip=1)
    stock = diffusers.DiffusionPipeline.from_pretrained(folder)
    stock.set_progress_bar_config(disable=True)
    request = REQUESTS[0][0]
    image = stock(
        prompt=request.prompt,
        negative_prompt=request.negative_prompt,
        width=request.size[0],
        height=request.size[1],
        num_inference_steps=request.steps,
        guidance_scale=bench.model.guidance,
        generator=torch.Generator().manual_seed(request.seed),
        clip_skip=1,
    ).images[0]
    assert bench.images([request]) == [np.asarray(image).tobytes()]


def test_single_file(tmp_path: Path) -> None:
    base = stable_diffusion(tmp_path / "base")
    pipeline = diffusers.DiffusionPipeline.from_pretrained(base)
    file = original_layout.write(
        tmp_path / "model.safetensors",
        original_layout.unet(pipeline.unet),
        original_layout.vae(pipeline.vae),
        original_layout.clip(pipeline.text_encoder, "cond_stage_model.transformer."),
    )
    request, num_chunks = REQUESTS[0]
    bench = Bench(file, base=base, clip_skip=1)
    expected = reference(base, bench.model, request, num_chunks, clip_skip=1)
    assert bench.images([request]) == [expected]


@pytest.mark.parametrize(
    ("family", "clip_skip", "words"),
    [
        ("stable-diffusion", 2, "text_encoder/config.json has 2 layers; it must be at most 1"),
        ("stable-diffusion-xl", 1, "text_encoder/config.json has 2 layers; it must be at most 0"),
        ("flux", 1, "clip_skip is 1, but FluxPipeline takes none; remove it"),
        ("sana", 1, "clip_skip is 1, but SanaPipeline takes none; remove it"),
    ],
)
def test_refusal(family: str, clip_skip: int, words: str, folder_of: Callable[[str], Path]) -> None:
    with pytest.raises(SettingsError) as caught:
        Bench(folder_of(family), clip_skip=clip_skip)
    message = caught.value.message
    assert message.startswith(f"model 'tiny': clip_skip is {clip_skip}, ") and words in message
