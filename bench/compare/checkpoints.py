"""Checkpoints for the comparison, made offline: real shapes, random weights.

Speed depends on shapes and types only. Images have a megapixel, so the decoder upscales 16 times
instead of 8: at 1024x1024 the denoiser works on 64x64 latents, like Stable Diffusion 1.5 at
512x512. The decoder has few channels. One checkpoint has all sizes of Stable Diffusion 1.5, for
servers that have these built in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers
import torch
from safetensors.torch import load_file, save_file

from bench import components


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of checkpoint. `make` writes it and returns the number of the denoiser's parameters.

    `words` describe it. If `is_whole`, all networks have their real sizes."""

    make: Callable[[Path], int]
    words: str
    steps: int
    guidance: float
    is_whole: bool = False


_DECODER = (16, 16, 32, 32, 32)  # channels of its levels, each with twice the width and height
_TINY_DECODER = (8,) * 6


def sd_15(
    folder: Path,
    channels: tuple[int, ...] = (320, 640, 1280, 1280),
    decoder: tuple[int, ...] = _DECODER,
) -> int:
    torch.manual_seed(1)
    return _sd_15(folder, channels, components.autoencoder(decoder), components.clip_vocabulary())


def sd_15_whole(folder: Path) -> int:
    """Write all networks in real size, under the names of the original weights."""
    torch.manual_seed(1)
    decoder = components.autoencoder((128, 256, 512, 512), layers_per_block=2, norm_num_groups=32)
    vocabulary = components.clip_vocabulary(49408)
    num_parameters = _sd_15(folder, (320, 640, 1280, 1280), decoder, vocabulary)
    weights = folder / "text_encoder" / "model.safetensors"
    named = {f"text_model.{name}": tensor for name, tensor in load_file(weights).items()}
    save_file(named, weights, {"format": "pt"})
    return num_parameters


def _sd_15(
    folder: Path, channels: tuple[int, ...], decoder: Any, vocabulary: Mapping[str, int]
) -> int:
    width = 768
    return _save(
        diffusers.StableDiffusionPipeline,
        folder,
        unet=diffusers.UNet2DConditionModel(
            sample_size=64,
            block_out_channels=channels,
            cross_attention_dim=width,
            attention_head_dim=8,
        ),
        vae=decoder,
        text_encoder=_clip(vocabulary, width, num_layers=12),
        tokenizer=components.clip_tokenizer(folder, vocabulary),
        scheduler=diffusers.DDIMScheduler(
            beta_start=0.00085,
            beta_end=0.012,
            beta_schedule="scaled_linear",
            clip_sample=False,
            set_alpha_to_one=False,
            steps_offset=1,
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def sd_3(
    folder: Path,
    num_layers: int = 12,
    num_heads: int = 6,
    decoder: tuple[int, ...] = _DECODER,
) -> int:
    """Write a checkpoint without the optional third text encoder."""
    torch.manual_seed(2)
    width, vocabulary = 256, components.clip_vocabulary()
    return _save(
        diffusers.StableDiffusion3Pipeline,
        folder,
        transformer=diffusers.SD3Transformer2DModel(
            sample_size=64,
            num_layers=num_layers,
            num_attention_heads=num_heads,
            attention_head_dim=64,
            caption_projection_dim=64 * num_heads,
            joint_attention_dim=2 * width,
            pooled_projection_dim=2 * width,
            pos_embed_max_size=96,
        ),
        vae=components.autoencoder(decoder, latent_channels=16, shift_factor=0.0609),
        text_encoder=_clip(vocabulary, width, num_layers=4, with_projection=True),
        text_encoder_2=_clip(vocabulary, width, num_layers=4, with_projection=True),
        text_encoder_3=None,
        tokenizer=components.clip_tokenizer(folder, vocabulary),
        tokenizer_2=components.clip_tokenizer(folder, vocabulary),
        tokenizer_3=None,
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0),
    )


KINDS = {
    "sd-1.5": Kind(sd_15, "the UNet of Stable Diffusion 1.5", 2, 7.5),
    "sd-1.5-narrow": Kind(
        lambda folder: sd_15(folder, (128, 256, 512, 512)),
        "the same with 0.4 of its channels",
        4,
        7.5,
    ),
    "sd-1.5-whole": Kind(sd_15_whole, "all of Stable Diffusion 1.5", 1, 7.5, is_whole=True),
    "dit": Kind(sd_3, "a transformer of SD 3's kind, 12 blocks of width 384", 4, 5.0),
}
TINY = {
    "sd-1.5": Kind(lambda folder: sd_15(folder, (32,) * 4, _TINY_DECODER), "tiny", 1, 7.5),
    "dit": Kind(lambda folder: sd_3(folder, 1, 1, _TINY_DECODER), "tiny", 1, 5.0),
}


def _save(pipeline: Any, folder: Path, **made: Any) -> int:
    components.save(pipeline, folder, **made)
    denoiser = made.get("unet") or made["transformer"]
    return sum(parameter.numel() for parameter in denoiser.parameters())


def _clip(
    vocabulary: Mapping[str, int], width: int, num_layers: int, with_projection: bool = False
) -> Any:
    return components.clip(
        vocabulary,
        with_projection,
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=num_layers,
        num_attention_heads=width // 64,
        projection_dim=width,
    )
