"""Previews of latents without the decoder: one linear map from latent channels to RGB.

A latent pixel mostly holds the mean colour of its image patch, so a matrix and an offset can stand
in for the decoder. They are fitted to each checkpoint's decoder on calibration images, so no table
of families is needed. Shapes: B images, C channels, H x W pixels, h x w latent pixels.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from diffusers.utils.torch_utils import get_module_execution_device

from daguerre.engine.pipeline import Pixels
from daguerre.models.diffusers.executors.base import in_float32

SIDE = 8  # of a calibration image, in latent pixels
# Relative to latents of unit variance: small enough to change no colour, and large enough for a
# channel that is constant over the calibration images.
RIDGE = 1e-4
_SEED = 1


@dataclass(frozen=True, slots=True, eq=False)
class LatentToRgb:
    """`matrix` (C, 3) and `offset` (3,) float32 map the decoder's input to RGB in [-1, 1]."""

    matrix: torch.Tensor
    offset: torch.Tensor

    def pixels(self, latents: torch.Tensor) -> Pixels:
        """Pixels (h, w, 3) of the first of the latents (B, C, h, w)."""
        rgb = latents[0].float().movedim(0, -1) @ self.matrix + self.offset
        pixels: Pixels = ((rgb + 1) * 127.5).round().clamp(0, 255).byte().cpu().numpy()
        return pixels


def fit_latent_to_rgb(vae: Any, factor: int) -> LatentToRgb:
    """Fits the map to the decoder's mean colours by least squares.

    One latent pixel is `factor` x `factor` pixels. The result is the same each time, and no global
    random generator is used.
    """
    images = torch.from_numpy(_calibration_images(max(4, 64 // factor), SIDE * factor))
    # A decoder may overflow in float16.
    with in_float32(vae) if vae.dtype == torch.float16 else nullcontext():
        return _fit(vae, images)


def _fit(vae: Any, images: torch.Tensor) -> LatentToRgb:
    """`images` (B, 3, H, H) float32 in [-1, 1]."""
    device = get_module_execution_device(vae)  # where its weights are copied to
    images = images.to(device, vae.dtype)
    has_frames = any(isinstance(module, torch.nn.Conv3d) for module in vae.modules())
    encoded = vae.encode(images.unsqueeze(2) if has_frames else images)
    found = [getattr(encoded, name) for name in ("latent", "latents") if hasattr(encoded, name)]
    latents = found[0] if found else encoded.latent_dist.mode()
    decoded = vae.decode(latents, return_dict=False)[0].clamp(-1, 1)
    latents, decoded = (_drop_frame_axis(tensor).double() for tensor in (latents, decoded))
    rgb = torch.nn.functional.adaptive_avg_pool2d(decoded, latents.shape[-2:])
    solution = _ridge_regression(_samples(latents), _samples(rgb))
    return LatentToRgb(*(torch.tensor(x, dtype=torch.float32, device=device) for x in solution))


def unscale_latents(vae: Any, latents: torch.Tensor, width: int, height: int) -> torch.Tensor:
    """Converts a pipeline's latents to the decoder's input (1, C, h, w), as the pipeline does.

    Latents may be a sequence of 2 x 2 patches. `width` and `height` are the image's, in pixels.
    """
    config = vae.config
    if hasattr(vae, "bn"):  # FLUX.2 normalises patches
        std = (vae.bn.running_var + config.batch_norm_eps).sqrt()
        latents = latents * std + vae.bn.running_mean
    if latents.ndim == 3:
        latents = _unpatchify(latents, width, height)
    scale = config.get("scaling_factor") or 1.0
    mean, std = config.get("latents_mean"), config.get("latents_std")
    if mean is None or std is None:
        return _drop_frame_axis(latents) / scale + (config.get("shift_factor") or 0.0)
    mean, std = (latents.new_tensor(values).view(1, -1, 1, 1) for values in (mean, std))
    return _drop_frame_axis(latents) * std / scale + mean


def _unpatchify(latents: torch.Tensor, width: int, height: int) -> torch.Tensor:
    _, num_patches, channels = latents.shape
    rows = round((num_patches * height / width) ** 0.5)
    latents = latents.view(-1, rows, num_patches // rows, channels // 4, 2, 2)
    return latents.permute(0, 3, 1, 4, 2, 5).flatten(4, 5).flatten(2, 3)


def _drop_frame_axis(tensor: torch.Tensor) -> torch.Tensor:
    """Video decoders take and return one frame."""
    return tensor[:, :, 0] if tensor.ndim == 5 else tensor


def _samples(tensor: torch.Tensor) -> Any:
    """(B, C, h, w) -> (B * h * w, C)."""
    return tensor.movedim(1, -1).flatten(0, -2).cpu().numpy()


def _ridge_regression(latents: Any, rgb: Any) -> tuple[Any, Any]:
    """Matrix and offset, float64."""
    mean, std = latents.mean(axis=0), latents.std(axis=0)
    std = np.where(std > 0, std, 1.0)
    normalized = (latents - mean) / std
    gram = normalized.T @ normalized / len(normalized) + RIDGE * np.eye(len(std))
    matrix = np.linalg.solve(gram, normalized.T @ (rgb - rgb.mean(axis=0)) / len(normalized))
    matrix = matrix / std[:, None]
    return matrix, rgb.mean(axis=0) - mean @ matrix


def _calibration_images(num: int, side: int) -> Any:
    """Images (B, 3, H, H) float32 in [-1, 1]: 1/f noise in all colours, half of it posterised."""
    random = np.random.RandomState(_SEED)
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side))
    frequency[0, 0] = 1.0  # the mean is added below
    noise = np.fft.rfft2(random.standard_normal((num, 4, side, side))) / frequency
    noise[..., 0, 0] = 0.0
    clouds = np.fft.irfft2(noise, s=(side, side))
    clouds /= clouds.std(axis=(-2, -1), keepdims=True)
    clouds = 0.3 * clouds[:, :1] + 0.2 * clouds[:, 1:]  # luminance and hue
    clouds[::2] = np.round(clouds[::2] * 3) / 3
    base = random.uniform(-0.8, 0.8, (num, 3, 1, 1))
    return np.clip(base + clouds, -1, 1).astype(np.float32)
