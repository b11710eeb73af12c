"""Every family: an image has the bits of the stock pipeline's, whatever else runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from daguerre.engine.batching import batcher

from .conftest import (
    REASON,
    Bench,
    OneJobAtATime,
    Request,
    failure,
    image_bytes,
    steps,
    stock_images,
)

pytest.importorskip("diffusers", reason=REASON)

FAMILIES = (
    "stable-diffusion",
    "latent-consistency",
    "stable-diffusion-xl",
    "stable-diffusion-3",
    "flux",
    "chroma",
    "pixart-sigma",
    "pixart-alpha",
    "aura-flow",
    "hunyuan-dit",
    "cogview-4",
    "ovis-image",
    "qwen-image",
    "z-image",
    "lumina-2",
    "sana",
    "sana-sprint",
    "flux-2",
    "flux-2-klein",
    "krea-2",
    "hunyuan-image",
    "kolors",
)
WITHOUT_NEGATIVE = ("flux", "flux-2", "flux-2-klein", "latent-consistency", "sana-sprint")
# Each call of the denoiser has one row: there is no second prediction, or it has a call of its own.
ONE_ROW = (
    *WITHOUT_NEGATIVE,
    *("chroma", "cogview-4", "ovis-image", "qwen-image", "lumina-2", "krea-2", "hunyuan-image"),
)
# Their pipelines require whole patches of the real networks' sizes.
SIZES = {
    **dict.fromkeys(("lumina-2", "hunyuan-dit", "cogview-4"), (32, 48)),
    **dict.fromkeys(("sana", "sana-sprint"), (32, 64)),
}
MIN_STEPS = {"pixart-alpha": 2}  # its pipeline makes one step with the samplers of LCM alone
UNPADDED = ("qwen-image", "lumina-2", "z-image", "cogview-4")
SHORT_PROMPTS = ("stable-diffusion", "latent-consistency", "stable-diffusion-xl")
# Prompts of different lengths.
REQUESTS = (
    Request("a red fox on the snow", seed=1, steps=5),
    Request("cat", seed=2, steps=7, guidance=2.5),
    Request("the very old house in the night", seed=3, steps=6, negative_prompt="blue sea"),
)
LONG = "the very old house on the green sea " * 4


def requests_of(family: str) -> list[Request]:
    requests = list(REQUESTS)
    if family in WITHOUT_NEGATIVE:
        requests[2] = replace(requests[2], negative_prompt="")
    if family not in SHORT_PROMPTS:
        requests[0] = replace(requests[0], prompt=LONG)
    return [replace(request, size=SIZES.get(family, request.size)) for request in requests]


def sharing(family: str) -> list[Request]:
    """Requests that can share a batch: if prompts are not padded, those of equal length."""
    requests = requests_of(family)
    if family not in UNPADDED:
        return requests
    prompts = ("a red fox", "the old cat", "a green ship")
    negative = ("blue", "red", "sea")
    if family == "lumina-2":  # they differ in length for its tokenizer
        prompts, negative = (prompts[0],) * 3, (negative[0],) * 3
    return [
        replace(request, prompt=prompt, negative_prompt=other)
        for request, prompt, other in zip(requests, prompts, negative, strict=True)
    ]


@pytest.mark.parametrize("family", FAMILIES)
def test_image_is_the_stock_pipelines(
    family: str, folder_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Alone, concurrently, and in shared batches, a request gets the stock pipeline's bits."""
    bench, requests = Bench(folder_of(family)), requests_of(family)
    stock = stock_images(folder_of(family), bench, requests)
    assert len(set(stock)) == len(stock)
    assert [bench.images([request])[0] for request in requests] == stock
    assert bench.images(requests) == stock

    monkeypatch.setattr(batcher, "MAX_ADDED_COST", float("inf"))
    requests = sharing(family)
    if family in UNPADDED:
        stock = stock_images(folder_of(family), bench, requests)
    denoiser = bench.model.family.denoiser
    rows = 1 if family in ONE_ROW else 2
    shared = bench.networks[denoiser] = OneJobAtATime(bench.networks[denoiser], rows)
    for _ in range(2):  # while batches of two and then of all are verified
        assert bench.images(requests) == stock
    shared.calls.clear()
    events = bench.run(requests)
    assert [image_bytes(each[-1]) for each in events] == stock
    per_step = bench.model.family.calls_per_step(bench.model.guidance)
    num_forwards = per_step * sum(len(steps(each)) for each in events)
    assert sum(shared.calls) == rows * num_forwards and len(shared.calls) < num_forwards
    assert max(shared.calls) == 3 * rows


@pytest.mark.parametrize("family", FAMILIES)
def test_every_input_changes_the_image(family: str, folder_of: Callable[[str], Path]) -> None:
    """Prompt, seed, steps, guidance and, if supported, the negative prompt change the image."""
    bench = Bench(folder_of(family))
    first = Request("a red fox", size=SIZES.get(family, (16, 24)))
    others = [
        replace(first, prompt="a green fox", seed=1),
        replace(first, seed=2),
        replace(first, steps=5),
        replace(first, guidance=9.0),
    ]
    if family not in WITHOUT_NEGATIVE:
        others.append(replace(first, negative_prompt="blue"))
    images = [bench.images([request])[0] for request in (first, *others)]
    assert len(set(images)) == len(images)


def test_transposed_sizes_do_not_share(
    folder_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sizes with the same number of patches differ in the positions, which are not rows."""
    monkeypatch.setattr(batcher, "MAX_ADDED_COST", float("inf"))
    bench = Bench(folder_of("flux"))
    shared = bench.networks["transformer"] = OneJobAtATime(bench.networks["transformer"], 1)
    requests = [Request("a fox", seed=1), Request("a fox", seed=2, size=(24, 16))]
    alone = [bench.images([request])[0] for request in requests]
    for _ in range(3):
        assert bench.images(requests) == alone
    assert set(shared.calls) == {1}


def test_bfloat16(folder_of: Callable[[str], Path]) -> None:
    """Concurrent requests in bfloat16 get the same bits as alone."""
    bench = Bench(folder_of("stable-diffusion"), dtype="bfloat16")
    alone = [bench.images([request])[0] for request in REQUESTS]
    assert bench.images(REQUESTS) == alone
    assert alone != Bench(folder_of("stable-diffusion")).images(REQUESTS)


def test_optional_encoder(tmp_path: Path) -> None:
    """Stable Diffusion 3 without T5 has the stock pipeline's bits and CLIP's limit for prompts."""
    from . import tiny

    missing: dict[str, Any] = {"text_encoder_3": None, "tokenizer_3": None}
    folder = tiny.stable_diffusion_3(tmp_path / "without", **missing)
    bench, request = Bench(folder), Request("a red fox on the snow")
    assert bench.images([request]) == stock_images(folder, bench, [request], **missing)
    assert "77" in str(failure(bench.run([replace(request, prompt=LONG)])[0][-1]))


@pytest.mark.parametrize(
    ("sampler", "config"),
    [("LMSDiscreteScheduler", {}), ("EulerDiscreteScheduler", {"use_beta_sigmas": True})],
)
def test_samplers_that_need_scipy(sampler: str, config: dict[str, Any], tmp_path: Path) -> None:
    """The extra installs it, and the images are the stock pipeline's."""
    pytest.importorskip("scipy")
    import diffusers

    from . import tiny

    scheduler = getattr(diffusers, sampler)(**config)
    folder = tiny.stable_diffusion(tmp_path / "sd", scheduler=scheduler)
    bench, request = Bench(folder), Request("a red fox on the snow")
    assert bench.images([request]) == stock_images(folder, bench, [request])


def test_progress(folder_of: Callable[[str], Path]) -> None:
    """Progress counts from 1 to the number of the sampler's timesteps."""
    for family, total in (("stable-diffusion", 5), ("flux", 4), ("qwen-image", 4)):
        events = Bench(folder_of(family)).run([Request("a fox", steps=4)])
        assert steps(events[0]) == [(index, total) for index in range(1, total + 1)]
