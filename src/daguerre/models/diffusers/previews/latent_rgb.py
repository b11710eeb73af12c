"""Latents as colours, without the decoder: one linear map for each, as cheap as a preview must be.

A latent pixel has mostly the mean colour of its patch of the image, so a matrix and an offset come
near to what the decoder paints there. They are fitted to the checkpoint's own decoder, once, on
pictures that are made for it: so there is no table of families. Knows nothing of requests or
samplers. Shapes: B pictures, C channels, H x W pixels, h x w latent pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from daguerre.engine.pipeline import Pixels

SIDE = 8  # of a picture that is fitted to, in latent pixels
# Of latents whose spread is one: small enough to change no colour, large enough for a channel in
# which the pictures differ by nothing.
RIDGE = 1e-4
_SEED = 1


@dataclass(frozen=True, slots=True, eq=False)
class LatentToRgb:
    """`matrix` (C, 3) and `offset` (3,) float32, from what the decoder is given to [-1, 1]."""

    matrix: torch.Tensor
    offset: torch.Tensor

    def pixels(self, latents: torch.Tensor) -> Pixels:
        """(h, w, 3) of the first of (B, C, h, w)."""
        painted = latents[0].float().movedim(0, -1) @ self.matrix + self.offset
        pixels: Pixels = ((painted + 1) * 127.5).round().clamp(0, 255).byte().cpu().numpy()
        return pixels


def fit_latent_to_rgb(vae: Any, factor: int) -> LatentToRgb:
    """By least squares, to the decoder's mean colours; `factor` pixels are one latent pixel. Draws
    from no generator that requests could see, and gives the same numbers each time."""
    pictures = torch.from_numpy(_calibration_images(max(4, 64 // factor), SIDE * factor))
    pictures = pictures.to(vae.device, vae.dtype)
    is_film = any(isinstance(module, torch.nn.Conv3d) for module in vae.modules())
    encoded = vae.encode(pictures.unsqueeze(2) if is_film else pictures)
    latents = encoded.latent if hasattr(encoded, "latent") else encoded.latent_dist.mode()
    decoded = vae.decode(latents, return_dict=False)[0].clamp(-1, 1)
    latents, decoded = (_drop_frame_axis(tensor).double() for tensor in (latents, decoded))
    colours = torch.nn.functional.adaptive_avg_pool2d(decoded, latents.shape[-2:])
    matrix, offset = _solve(_rows(latents), _rows(colours))
    place = {"dtype": torch.float32, "device": vae.device}
    return LatentToRgb(torch.tensor(matrix, **place), torch.tensor(offset, **place))


def unscale_latents(vae: Any, latents: torch.Tensor, width: int, height: int) -> torch.Tensor:
    """(1, C, h, w): a pipeline's latents, whole or as a row of 2 x 2 patches, as it gives them to
    its decoder. The sizes are the image's, in pixels."""
    config = vae.config
    if hasattr(vae, "bn"):  # patches are normalised
        std = (vae.bn.running_var + config.batch_norm_eps).sqrt()
        latents = latents * std + vae.bn.running_mean
    if latents.ndim == 3:
        latents = _unpacked(latents, width, height)
    scale = config.get("scaling_factor") or 1.0
    mean, std = config.get("latents_mean"), config.get("latents_std")
    if mean is None or std is None:
        return _drop_frame_axis(latents) / scale + (config.get("shift_factor") or 0.0)
    mean, std = (latents.new_tensor(each).view(1, -1, 1, 1) for each in (mean, std))
    return _drop_frame_axis(latents) * std / scale + mean


def _unpacked(latents: torch.Tensor, width: int, height: int) -> torch.Tensor:
    _, num_patches, channels = latents.shape
    rows = round((num_patches * height / width) ** 0.5)
    latents = latents.view(-1, rows, num_patches // rows, channels // 4, 2, 2)
    return latents.permute(0, 3, 1, 4, 2, 5).flatten(4, 5).flatten(2, 3)


def _drop_frame_axis(tensor: torch.Tensor) -> torch.Tensor:
    """Some decoders make films; a picture is one of one frame."""
    return tensor[:, :, 0] if tensor.ndim == 5 else tensor


def _rows(tensor: torch.Tensor) -> Any:
    return tensor.movedim(1, -1).flatten(0, -2).cpu().numpy()


def _solve(latents: Any, colours: Any) -> tuple[Any, Any]:
    """Matrix and offset, float64."""
    mean, std = latents.mean(axis=0), latents.std(axis=0)
    std = np.where(std > 0, std, 1.0)
    spread = (latents - mean) / std
    gram = spread.T @ spread / len(spread) + RIDGE * np.eye(len(std))
    matrix = np.linalg.solve(gram, spread.T @ (colours - colours.mean(axis=0)) / len(spread))
    matrix = matrix / std[:, None]
    return matrix, colours.mean(axis=0) - mean @ matrix


def _calibration_images(num: int, side: int) -> Any:
    """(B, 3, H, H) float32, [-1, 1]: soft clouds in all colours, half of them cut into flat areas
    with sharp edges."""
    random = np.random.RandomState(_SEED)
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side))
    frequency[0, 0] = 1.0  # the mean of a picture comes apart
    noise = np.fft.rfft2(random.standard_normal((num, 4, side, side))) / frequency
    noise[..., 0, 0] = 0.0
    clouds = np.fft.irfft2(noise, s=(side, side))
    clouds /= clouds.std(axis=(-2, -1), keepdims=True)
    clouds = 0.3 * clouds[:, :1] + 0.2 * clouds[:, 1:]  # light and dark, and hue
    clouds[::2] = np.round(clouds[::2] * 3) / 3
    base = random.uniform(-0.8, 0.8, (num, 3, 1, 1))
    return np.clip(base + clouds, -1, 1).astype(np.float32)
