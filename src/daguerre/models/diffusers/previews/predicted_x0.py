"""The clean latents (x0) that a request's sampler predicts at each step.

The sampler's `step` is wrapped, and its arguments and results do not change. The model output that
it receives, guidance included, gives x0 without another forward. Shapes: * those of the pipeline's
latents.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import torch


class PredictedX0:
    """Prediction of one request's sampler, whose `step` it wraps."""

    def __init__(self, sampler: Any) -> None:
        self._sampler, step = sampler, sampler.step
        self._last_step: tuple[torch.Tensor, Any, torch.Tensor] | None = None

        @functools.wraps(step)  # pipelines inspect its signature
        def wrapped(
            model_output: torch.Tensor, timestep: Any, sample: torch.Tensor, *args: Any, **kw: Any
        ) -> Any:
            stepped = step(model_output, timestep, sample, *args, **kw)
            self._last_step = (model_output, timestep, sample)
            return stepped

        sampler.step = wrapped

    def latents(self) -> torch.Tensor:
        """Predicted x0 (1, *) after the last step; the noisy latents for an unknown sampler."""
        assert self._last_step is not None, "no step has completed. This is a bug."
        return predict_x0(self._sampler, *self._last_step)


def predict_x0(
    sampler: Any, output: torch.Tensor, timestep: Any, sample: torch.Tensor
) -> torch.Tensor:
    """Predicted x0 (1, *) of the step that the sampler has just completed.

    `sample` is alpha * x0 + sigma * noise, and `output` is the model's prediction. Returns `sample`
    if the sampler is of an unknown kind.
    """
    config = sampler.config
    kind = config.get("prediction_type", "flow_prediction")
    if kind == "trigflow":  # the time is an angle
        angle = float(timestep.flatten()[0])
        predicted = _solve("v_prediction", output, sample, math.cos(angle), math.sin(angle))
        return predicted / config["sigma_data"]
    if output.shape != sample.shape or "sigma_data" in config:
        return sample
    if not hasattr(sampler, "sigmas"):
        if not hasattr(sampler, "alphas_cumprod"):
            return sample
        alpha = float(sampler.alphas_cumprod[int(timestep)]) ** 0.5
        return _solve(kind, output, sample, alpha, (1 - alpha**2) ** 0.5)
    sigma = float(sampler.sigmas[sampler.step_index - 1])
    if hasattr(sampler, "_sigma_to_alpha_sigma_t"):
        alpha, sigma = map(float, sampler._sigma_to_alpha_sigma_t(torch.tensor(sigma)))
        return _solve(kind, output, sample, alpha, sigma)
    if kind == "flow_prediction":
        return _solve(kind, output, sample, 1 - sigma, sigma)
    # The other samplers keep x0 + sigma * noise and scale it for the network.
    scale = (sigma**2 + 1) ** -0.5
    return _solve(kind, output, sample * scale, scale, sigma * scale)


def _solve(
    kind: str, output: torch.Tensor, sample: torch.Tensor, alpha: float, sigma: float
) -> torch.Tensor:
    """Solves sample = alpha * x0 + sigma * noise for x0, given the kind of prediction."""
    if kind == "epsilon":
        return (sample - sigma * output) / alpha
    if kind == "v_prediction":
        return alpha * sample - sigma * output
    if kind == "flow_prediction":
        return sample - sigma * output
    return output if kind == "sample" else sample
