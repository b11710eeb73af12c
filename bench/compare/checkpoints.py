"""Checkpoints to compare servers with, made offline: the shapes of real ones, random weights.

Speed depends on shapes and types alone. A picture of the contract's smallest area has a megapixel,
so the decoder makes 16 pixels of one of the latents in place of 8: at 1024x1024 the denoiser works
on 64x64 latents, as that of Stable Diffusion 1.5 does at 512x512. The decoder has few channels.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers

_MAX_TOKENS = 77
_START, _END = "<|startoftext|>", "<|endoftext|>"


@dataclass(frozen=True, slots=True)
class Kind:
    """What is compared. `make` writes it into a folder and returns how many parameters its denoiser
    has; `words` say what it is."""

    make: Callable[[Path], int]
    words: str
    steps: int
    guidance: float


_DECODER = (16, 16, 32, 32, 32)  # channels of its levels, each of twice the pixels
_TINY_DECODER = (8,) * 6


def sd_15(
    folder: Path,
    channels: tuple[int, ...] = (320, 640, 1280, 1280),
    decoder: tuple[int, ...] = _DECODER,
) -> int:
    torch.manual_seed(1)
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
        vae=_decoder(decoder, latent_channels=4),
        text_encoder=_clip(width, num_layers=12),
        tokenizer=_tokenizer(folder),
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
    """Without the third text encoder, as the family allows."""
    torch.manual_seed(2)
    width = 256
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
        vae=_decoder(decoder, latent_channels=16, shift_factor=0.0609),
        text_encoder=_clip(width, num_layers=4, with_projection=True),
        text_encoder_2=_clip(width, num_layers=4, with_projection=True),
        text_encoder_3=None,
        tokenizer=_tokenizer(folder),
        tokenizer_2=_tokenizer(folder),
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
    "dit": Kind(sd_3, "a transformer of SD 3's kind, 12 blocks of width 384", 4, 5.0),
}
TINY = {
    "sd-1.5": Kind(lambda folder: sd_15(folder, (32,) * 4, _TINY_DECODER), "tiny", 1, 7.5),
    "dit": Kind(lambda folder: sd_3(folder, 1, 1, _TINY_DECODER), "tiny", 1, 5.0),
}


def _save(pipeline: Any, folder: Path, **components: Any) -> int:
    pipeline(**components).save_pretrained(folder, safe_serialization=True)
    denoiser = components.get("unet") or components["transformer"]
    return sum(parameter.numel() for parameter in denoiser.parameters())


def _decoder(channels: tuple[int, ...], **config: Any) -> Any:
    return diffusers.AutoencoderKL(
        block_out_channels=channels,
        down_block_types=["DownEncoderBlock2D"] * len(channels),
        up_block_types=["UpDecoderBlock2D"] * len(channels),
        norm_num_groups=8,
        **config,
    )


def _clip(width: int, num_layers: int, with_projection: bool = False) -> Any:
    vocabulary = _vocabulary()
    config = transformers.CLIPTextConfig(
        vocab_size=len(vocabulary),
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=num_layers,
        num_attention_heads=width // 64,
        max_position_embeddings=_MAX_TOKENS,
        projection_dim=width,
        bos_token_id=vocabulary[_START],
        eos_token_id=vocabulary[_END],
    )
    if with_projection:
        return transformers.CLIPTextModelWithProjection(config)
    return transformers.CLIPTextModel(config)


def _vocabulary() -> dict[str, int]:
    """Bytes, bytes that end a word, and the two marks: any text has tokens."""
    letters = [chr(number) for number in (*range(33, 127), *range(161, 173), *range(174, 256))]
    letters += [chr(256 + number) for number in range(256 - len(letters))]
    words = [*letters, *(letter + "</w>" for letter in letters), _START, _END]
    return {word: number for number, word in enumerate(words)}


def _tokenizer(folder: Path) -> Any:
    files = folder.parent / f"{folder.name}-tokenizer"
    files.mkdir(parents=True, exist_ok=True)
    (files / "vocab.json").write_text(json.dumps(_vocabulary()))
    (files / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = transformers.CLIPTokenizer.from_pretrained(files)
    tokenizer.model_max_length = _MAX_TOKENS
    return tokenizer
