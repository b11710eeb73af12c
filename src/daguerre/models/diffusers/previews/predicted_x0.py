"""What a request's sampler makes of the picture at each step: an estimate of the clean latents.

The sampler is listened to and not changed: its `step` is told what it always was, and answers what
it always did. What it was told, guidance included, gives the estimate without another forward.
Knows nothing of pipelines, decoders or colours. Shapes: * whatever the pipeline's latents are.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


class PredictedX0:
    """Of one request."""

    def __init__(self, sampler: Any) -> None:
        self._sampler = sampler
        self._told: tuple[torch.Tensor, Any, torch.Tensor] | None = None

    @contextmanager
    def attach(self) -> Iterator[None]:
        step = self._sampler.step

        # Pipelines look at its signature.
        @functools.wraps(step)
        def listened(
            model_output: torch.Tensor,
            timestep: Any,
            sample: torch.Tensor,
            *args: Any,
            **kwargs: Any,
        ) -> Any:
            stepped = step(model_output, timestep, sample, *args, **kwargs)
            self._told = (model_output, timestep, sample)
            return stepped

        self._sampler.step = listened
        try:
            yield
        finally:
            del self._sampler.step  # of this object; its class has it as before
            self._told = None

    @property
    def latents(self) -> torch.Tensor:
        """(1, *) as of the last step: clean where that kind of sampler is known, else as it was."""
        assert self._told is not None, "an estimate before the first step. This is a bug."
        output, timestep, sample = self._told
        return predict_x0(self._sampler, output, timestep, sample)


def predict_x0(
    sampler: Any, output: torch.Tensor, timestep: Any, sample: torch.Tensor
) -> torch.Tensor:
    """Called after the sampler's step. `sample` is alpha * clean + sigma * noise, and `output` what
    the network predicts of it; the result is (1, *)."""
    config = sampler.config
    kind = config.get("prediction_type", "flow_prediction")
    if output.shape != sample.shape or "sigma_data" in config:
        return sample
    if not hasattr(sampler, "sigmas"):
        if not hasattr(sampler, "alphas_cumprod"):
            return sample
        alpha = float(sampler.alphas_cumprod[int(timestep)]) ** 0.5
        return _clean(kind, output, sample, alpha, (1 - alpha**2) ** 0.5)
    sigma = float(sampler.sigmas[sampler.step_index - 1])
    if hasattr(sampler, "_sigma_to_alpha_sigma_t"):
        alpha, sigma = map(float, sampler._sigma_to_alpha_sigma_t(torch.tensor(sigma)))
        return _clean(kind, output, sample, alpha, sigma)
    if kind == "flow_prediction":
        return _clean(kind, output, sample, 1 - sigma, sigma)
    # These keep latents that noise is added to and nothing taken from; the network saw them scaled.
    scale = (sigma**2 + 1) ** -0.5
    return _clean(kind, output, sample * scale, scale, sigma * scale)


def _clean(
    kind: str, output: torch.Tensor, sample: torch.Tensor, alpha: float, sigma: float
) -> torch.Tensor:
    if kind == "epsilon":
        return (sample - sigma * output) / alpha
    if kind == "v_prediction":
        return alpha * sample - sigma * output
    if kind == "flow_prediction":
        return sample - sigma * output
    return output if kind == "sample" else sample
