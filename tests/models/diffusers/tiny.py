"""Tiny checkpoints with random weights in diffusers format, tokenizers included, made offline.

Their classes and their layout on disk are those of real ones; only the sizes differ.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers

from bench import components

WORDS = (
    "a an the red green blue fox cat ship house on in under snow night sea with very old".split()
)


def stable_diffusion(
    folder: Path, pipeline: Any = diffusers.StableDiffusionPipeline, **changes: Any
) -> Path:
    """`changes` replace components."""
    made: dict[str, Any] = {
        "unet": unet(cross_attention_dim=32),
        "vae": vae(),
        "text_encoder": clip(),
        "tokenizer": _clip_tokenizer(folder),
        # Calls the denoiser twice in its first step, so a request has more forwards than steps.
        "scheduler": diffusers.PNDMScheduler(
            beta_start=0.00085,
            beta_end=0.012,
            beta_schedule="scaled_linear",
            skip_prk_steps=True,
            steps_offset=1,
        ),
        "safety_checker": None,
        "feature_extractor": None,
        "requires_safety_checker": False,
    }
    return components.save(pipeline, folder, **{**made, **changes})


def latent_consistency(folder: Path) -> Path:
    return stable_diffusion(
        folder,
        diffusers.LatentConsistencyModelPipeline,
        unet=unet(cross_attention_dim=32, time_cond_proj_dim=32),
        scheduler=diffusers.LCMScheduler(beta_start=0.00085, beta_end=0.012),
    )


def stable_diffusion_xl(folder: Path, width_2: int = 32, **changes: Any) -> Path:
    """`width_2` is that of the second text encoder; `changes` replace components."""
    made: dict[str, Any] = {
        "unet": unet(
            cross_attention_dim=32 + width_2,
            attention_head_dim=(2, 4),
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            transformer_layers_per_block=(1, 2),
            projection_class_embeddings_input_dim=6 * 8 + width_2,
        ),
        "vae": vae(),
        "text_encoder": clip(),
        "text_encoder_2": clip(with_projection=True, width=width_2),
        "tokenizer": _clip_tokenizer(folder),
        "tokenizer_2": _clip_tokenizer(folder),
        # Adds noise at every step.
        "scheduler": diffusers.EulerAncestralDiscreteScheduler(timestep_spacing="leading"),
    }
    return components.save(diffusers.StableDiffusionXLPipeline, folder, **{**made, **changes})


def stable_diffusion_3(folder: Path, width_2: int = 32, **changes: Any) -> Path:
    """`width_2` is that of the second text encoder; `changes` replace components."""
    made: dict[str, Any] = {
        "transformer": diffusers.SD3Transformer2DModel(
            sample_size=32,
            patch_size=1,
            in_channels=4,
            num_layers=2,
            attention_head_dim=8,
            num_attention_heads=4,
            caption_projection_dim=32,
            joint_attention_dim=32 + width_2,
            pooled_projection_dim=32 + width_2,
            out_channels=4,
            pos_embed_max_size=128,
        ),
        "vae": vae(shift_factor=0.0609),
        "text_encoder": clip(with_projection=True),
        "text_encoder_2": clip(with_projection=True, width=width_2),
        "text_encoder_3": t5(32 + width_2),
        "tokenizer": _clip_tokenizer(folder),
        "tokenizer_2": _clip_tokenizer(folder),
        "tokenizer_3": t5_tokenizer(folder),
        "scheduler": diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0),
    }
    return components.save(diffusers.StableDiffusion3Pipeline, folder, **{**made, **changes})


def flux(folder: Path, is_schnell: bool = False) -> Path:
    torch.manual_seed(6)
    return components.flux(
        folder,
        WORDS,
        has_guidance=not is_schnell,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        axes_dims_rope=(4, 4, 8),
    )


def pixart_sigma(folder: Path) -> Path:
    return pixart(diffusers.PixArtSigmaPipeline, folder)


def pixart(pipeline: Any, folder: Path, **config: Any) -> Path:
    """`config` is that of the denoiser."""
    return components.save(
        pipeline,
        folder,
        transformer=diffusers.PixArtTransformer2DModel(
            **{"sample_size": 16, "use_additional_conditions": False, **config},
            num_layers=2,
            patch_size=2,
            attention_head_dim=8,
            num_attention_heads=3,
            caption_channels=32,
            in_channels=4,
            cross_attention_dim=24,
            out_channels=8,
            attention_bias=True,
            activation_fn="gelu-approximate",
            num_embeds_ada_norm=1000,
            norm_type="ada_norm_single",
            norm_elementwise_affine=False,
            norm_eps=1e-6,
        ),
        vae=vae(),
        text_encoder=t5(32),
        tokenizer=t5_tokenizer(folder),
        scheduler=diffusers.DPMSolverMultistepScheduler(),
    )


MAKERS: Mapping[str, Callable[[Path], Path]] = {
    "stable-diffusion": stable_diffusion,
    "latent-consistency": latent_consistency,
    "stable-diffusion-xl": stable_diffusion_xl,
    "stable-diffusion-3": stable_diffusion_3,
    "flux": flux,
    "pixart-sigma": pixart_sigma,
}


def unet(**config: Any) -> Any:
    torch.manual_seed(1)
    return diffusers.UNet2DConditionModel(
        **{
            "block_out_channels": (32, 64),
            "layers_per_block": 1,
            "sample_size": 16,
            "in_channels": 4,
            "out_channels": 4,
            "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
            "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
            "attention_head_dim": 8,
            **config,
        }
    )


def vae(num_levels: int = 2, **config: Any) -> Any:
    """With two levels a latent pixel is 2 x 2 pixels of the image; with four 8 x 8, as usual."""
    torch.manual_seed(2)
    return components.autoencoder([8 * 2**level for level in range(num_levels)], **config)


def clip(with_projection: bool = False, width: int = 32, num_layers: int = 2) -> Any:
    torch.manual_seed(3)
    return components.clip(
        components.clip_vocabulary(),
        with_projection,
        vocab_size=600,
        hidden_size=width,
        intermediate_size=37,
        num_hidden_layers=num_layers,
        num_attention_heads=4,
        projection_dim=width,
    )


def _clip_tokenizer(folder: Path) -> Any:
    return components.clip_tokenizer(folder, components.clip_vocabulary())


def safety_checker(threshold: float) -> dict[str, Any]:
    """A checker that rejects all images for a threshold below -1, and none above 1."""
    from diffusers.pipelines.stable_diffusion import StableDiffusionSafetyChecker

    torch.manual_seed(5)
    sizes = {"hidden_size": 32, "intermediate_size": 37, "num_hidden_layers": 1}
    vision = {**sizes, "num_attention_heads": 4, "image_size": 32, "patch_size": 8}
    config = transformers.CLIPConfig(
        vision_config={**vision, "projection_dim": 32}, projection_dim=32
    )
    checker = StableDiffusionSafetyChecker(config)
    checker.concept_embeds_weights.fill_(threshold)
    checker.special_care_embeds_weights.fill_(threshold)
    extractor = transformers.CLIPImageProcessor(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    )
    return {"safety_checker": checker, "feature_extractor": extractor}


def t5(width: int) -> Any:
    torch.manual_seed(4)
    return components.t5(width)


def t5_tokenizer(folder: Path) -> Any:
    return components.t5_tokenizer(folder, WORDS)
