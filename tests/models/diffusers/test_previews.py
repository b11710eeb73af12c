"""Previews of checkpoints: what they show, and that they change no image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from daguerre.params import Event, StepCompleted

from .conftest import REASON, Bench, Request, image_bytes, steps
from .test_images import FAMILIES, requests_of

diffusers = pytest.importorskip("diffusers", reason=REASON)
torch = pytest.importorskip("torch", reason=REASON)

# diffusers' samplers that follow one of the four conventions for adding noise.
SAMPLERS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("DDIMScheduler", {}),
    ("DDIMScheduler", {"prediction_type": "v_prediction"}),
    ("DDIMScheduler", {"prediction_type": "sample"}),
    ("DDPMScheduler", {}),
    ("PNDMScheduler", {"skip_prk_steps": True}),
    ("LCMScheduler", {}),
    ("EulerDiscreteScheduler", {}),
    ("EulerDiscreteScheduler", {"prediction_type": "v_prediction"}),
    ("EulerDiscreteScheduler", {"use_karras_sigmas": True}),
    ("EulerAncestralDiscreteScheduler", {}),
    ("EulerAncestralDiscreteScheduler", {"prediction_type": "v_prediction"}),
    ("HeunDiscreteScheduler", {}),
    ("DPMSolverMultistepScheduler", {}),
    ("DPMSolverMultistepScheduler", {"prediction_type": "v_prediction"}),
    ("DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++"}),
    (
        "DPMSolverMultistepScheduler",
        {"use_flow_sigmas": True, "prediction_type": "flow_prediction", "flow_shift": 3.0},
    ),
    ("DPMSolverSinglestepScheduler", {"lower_order_final": True}),
    ("DEISMultistepScheduler", {}),
    ("UniPCMultistepScheduler", {}),
    ("FlowMatchEulerDiscreteScheduler", {}),
    ("FlowMatchEulerDiscreteScheduler", {"shift": 3.0}),
    ("FlowMatchHeunDiscreteScheduler", {}),
)


def previews_of(events: Sequence[Event]) -> dict[int, Any]:
    """Step -> preview."""
    return {
        e.index: e.preview for e in events if isinstance(e, StepCompleted) and e.preview is not None
    }


def half_way(sampler: Any) -> tuple[Any, Any, Any, Any]:
    """Timestep, perfect prediction, noisy and clean latents at the third step of the sampler."""
    random = torch.Generator().manual_seed(3)
    clean, noise = (torch.randn((1, 4, 6, 6), generator=random, dtype=torch.float64) for _ in "ab")
    sampler.set_timesteps(8)
    sample: Any = None
    output: Any = None
    for timestep in sampler.timesteps[:3]:
        sample, output = mixed(sampler, timestep, clean, noise)
        sampler.step(output, timestep, sample)
    return timestep, output, sample, clean


def mixed(sampler: Any, timestep: Any, clean: Any, noise: Any) -> tuple[Any, Any]:
    """Noisy latents by diffusers' convention, and the prediction that a network is trained for."""
    if hasattr(sampler, "scale_noise"):
        if sampler.step_index is None:  # Heun's sampler has its inner timesteps twice
            sigma = sampler.sigmas[0]
        else:
            sigma = sampler.sigmas[sampler.step_index]
        sigma = sigma.double()
        return (1 - sigma) * clean + sigma * noise, noise - clean
    sample = sampler.add_noise(clean, noise, timestep[None])
    kind = sampler.config.prediction_type
    if kind == "epsilon":
        return sample, noise
    if kind == "sample":
        return sample, clean
    if kind == "flow_prediction":
        return sample, noise - clean
    alphas = sampler.alphas_cumprod.double()
    alpha = alphas[int(timestep)] ** 0.5
    return sample, alpha * noise - (1 - alpha**2) ** 0.5 * clean


@pytest.mark.parametrize(("name", "config"), SAMPLERS)
def test_predicted_x0(name: str, config: dict[str, Any]) -> None:
    """A perfect prediction gives the latents that the sampler's own `add_noise` started from."""
    from daguerre.models.diffusers.previews.predicted_x0 import predict_x0

    sampler = getattr(diffusers, name).from_config({"clip_sample": False, **config})
    timestep, output, sample, expected = half_way(sampler)
    assert torch.linalg.norm(sample - expected) > 1
    found = predict_x0(sampler, output, timestep, sample)
    assert torch.allclose(found, expected, atol=2e-3), float((found - expected).abs().max())


def test_unknown_sampler() -> None:
    """The noisy latents are shown if the sampler's convention is unknown."""
    from daguerre.models.diffusers.previews.predicted_x0 import predict_x0

    sampler = diffusers.EDMEulerScheduler()
    timestep, output, sample, _ = half_way(sampler)
    assert predict_x0(sampler, output, timestep, sample) is sample


@pytest.mark.parametrize("family", FAMILIES)
def test_previews_change_no_image(family: str, folder_of: Callable[[str], Path]) -> None:
    """Three different previews have the image's aspect ratio, and the images keep their bytes."""
    bench = Bench(folder_of(family))
    requests = requests_of(family)[:2]
    plain = bench.images(requests)
    events = bench.run([replace(requests[0], num_previews=3), requests[1]])
    assert [image_bytes(each[-1]) for each in events] == plain
    total = steps(events[0])[-1][1]
    assert steps(events[0]) == [(index, total) for index in range(1, total + 1)]
    previews = previews_of(events[0])
    assert sorted(previews) == [total * part // 4 for part in (1, 2, 3)] and not previews_of(
        events[1]
    )
    width, height = requests[0].size
    for drawn in previews.values():
        assert drawn.shape[0] * width == drawn.shape[1] * height and drawn.shape[0] <= height
    assert len({drawn.tobytes() for drawn in previews.values()}) == 3
    assert_decoded(bench, requests[0])


def assert_decoded(bench: Bench, request: Request) -> None:
    """`unscale_latents` gives what the stock pipeline passes to its decoder."""
    from daguerre.models.diffusers.previews.latent_rgb import unscale_latents

    pipeline, stepped, decoded = bench.model.weights_key.copy(), [], []
    step, decode = pipeline.scheduler.step, pipeline.vae.decode

    def stepping(*args: Any, **kwargs: Any) -> Any:
        results = step(*args, **kwargs)
        stepped.append(results[0] / pipeline.scheduler.config.get("sigma_data", 1.0))
        return results

    def decoding(latents: Any, *args: Any, **kwargs: Any) -> Any:
        decoded.append(latents)
        return decode(latents, *args, **kwargs)

    width, height = request.size
    pipeline.scheduler.step, pipeline.vae.decode = stepping, decoding
    try:
        pipeline(
            prompt=request.prompt,
            width=width,
            height=height,
            num_inference_steps=2,
            **bench.model.family.call_kwargs,
        )
    finally:
        pipeline.vae.decode = decode  # the copy shares its modules with the bench
    found = unscale_latents(pipeline.vae, stepped[-1], width, height)
    assert torch.allclose(found, decoded[0].reshape(found.shape), atol=1e-5)


def test_each_request_has_a_sampler(
    folder_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request wraps the `step` of its own sampler, and the checkpoint's stays as it is."""
    from daguerre.models.diffusers.previews import predicted_x0

    wrapped: list[Any] = []
    original = predicted_x0.PredictedX0

    def watched(sampler: Any) -> predicted_x0.PredictedX0:
        wrapped.append(sampler)
        return original(sampler)

    monkeypatch.setattr(predicted_x0, "PredictedX0", watched)
    bench = Bench(folder_of("flux"))
    bench.run([Request("a fox", num_previews=3)] * 2)
    assert ["step" in vars(sampler) for sampler in wrapped] == [True, True]
    assert wrapped[0] is not wrapped[1]
    assert "step" not in vars(bench.model.weights_key.pipeline.scheduler)


def linear(factor: int) -> Any:
    """A decoder that is a linear map of each latent pixel."""
    torch.manual_seed(6)
    return torch.nn.Sequential(torch.nn.Conv2d(4, 3, 1), torch.nn.Upsample(scale_factor=factor))


def colours_of(vae: Any, latents: Any) -> Any:
    """The decoder's mean colour for each latent pixel, from 0 to 255."""
    painted = (vae.decode(latents).sample.clamp(-1, 1) + 1) * 127.5
    means = torch.nn.functional.adaptive_avg_pool2d(painted, latents.shape[-2:])
    return means[0].movedim(0, -1).numpy()


def test_linear_decoder() -> None:
    """The fit finds the map of a linear decoder."""
    from daguerre.models.diffusers.previews.latent_rgb import fit_latent_to_rgb

    from . import tiny

    vae = tiny.vae(num_levels=4).eval().requires_grad_(False)
    vae.decoder = linear(factor=8).requires_grad_(False)
    images = torch.rand((1, 3, 64, 96), generator=torch.Generator().manual_seed(7)) * 2 - 1
    latents = vae.encode(images).latent_dist.mode()
    expected = colours_of(vae, latents)
    assert expected.std(axis=(0, 1)).min() > 1
    assert abs(fit_latent_to_rgb(vae, 8).pixels(latents) - expected).max() <= 1


def test_fit_is_deterministic() -> None:
    """The fit gives the same numbers each time and uses no global generator."""
    from daguerre.models.diffusers.previews.latent_rgb import fit_latent_to_rgb

    from . import tiny

    vae = tiny.vae().eval().requires_grad_(False)
    before = torch.get_rng_state()
    first, second = fit_latent_to_rgb(vae, 2), fit_latent_to_rgb(vae, 2)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first.matrix, second.matrix) and torch.equal(first.offset, second.offset)


def test_decoder_that_cannot_be_fitted(
    folder_of: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The checkpoint is served without previews, and the error is logged."""
    from daguerre.models.diffusers.previews import latent_rgb

    def failing(vae: Any, factor: int) -> Any:
        raise RuntimeError("out of range")

    monkeypatch.setattr(latent_rgb, "fit_latent_to_rgb", failing)
    events = Bench(folder_of("flux")).run([Request("a fox", num_previews=3)])[0]
    assert image_bytes(events[-1]) and not previews_of(events)
    assert "is served without previews" in caplog.text and "out of range" in caplog.text
