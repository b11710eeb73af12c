"""Families whose text encoders are CLIP or T5."""

from __future__ import annotations

from dataclasses import replace

from daguerre.models.diffusers.caches import FIRST_BLOCK, TAYLOR, TAYLOR_LITE
from daguerre.models.diffusers.families.token_counts import count_preprocessed
from daguerre.models.diffusers.family import Family, InputLayout

ALL_CACHES = frozenset({FIRST_BLOCK, TAYLOR, TAYLOR_LITE})
# Position IDs have an axis as long as the batch, but the denoiser uses the first row for all.
FLUX_LAYOUT = InputLayout(broadcast=frozenset({"img_ids", "txt_ids"}))

_PIXART_SIGMA = Family(
    pipeline="PixArtSigmaPipeline",
    checkpoints="PixArt-Σ",
    denoiser_class="PixArtTransformer2DModel",
    has_loras=False,
    prompt_tokenizers=(("tokenizer", 300),),
    has_native_size=True,
    steps=20,
    guidance=4.5,
    # The requested size instead of a similar one that is cropped, and a prompt that does not depend
    # on which packages for cleaning it are installed.
    call_kwargs={"use_resolution_binning": False, "clean_caption": False},
    count_tokens=count_preprocessed,
)

_STABLE_DIFFUSION = Family(
    pipeline="StableDiffusionPipeline",
    checkpoints="Stable Diffusion 1.x, 2.x",
    denoiser="unet",
    denoiser_class="UNet2DConditionModel",
    prompt_tokenizers=(("tokenizer", None),),
    has_prompt_chunks=True,
    has_native_size=True,
    skipped_clip_layers=0,
    guidance=7.5,
)

CLIP_AND_T5 = (
    _STABLE_DIFFUSION,
    Family(
        pipeline="StableDiffusionXLPipeline",
        checkpoints="SDXL",
        denoiser="unet",
        denoiser_class="UNet2DConditionModel",
        text_encoders=("text_encoder", "text_encoder_2"),
        prompt_tokenizers=(("tokenizer", None), ("tokenizer_2", None)),
        has_prompt_chunks=True,
        has_native_size=True,
        skipped_clip_layers=1,
        guidance=5.0,
        # Else it marks the pixels if the package invisible-watermark is installed.
        load_kwargs={"add_watermarker": False},
    ),
    replace(
        _STABLE_DIFFUSION,
        pipeline="LatentConsistencyModelPipeline",
        checkpoints="Latent consistency models of Stable Diffusion 1.x",
        steps=4,
        guidance=8.5,
        has_negative_prompt=False,  # the guidance is an input of the network
    ),
    Family(
        pipeline="StableDiffusion3Pipeline",
        checkpoints="Stable Diffusion 3, 3.5",
        denoiser_class="SD3Transformer2DModel",
        text_encoders=("text_encoder", "text_encoder_2", "text_encoder_3"),
        optional_text_encoders=frozenset({"text_encoder_3"}),
        prompt_tokenizers=(("tokenizer_3", 256), ("tokenizer", None), ("tokenizer_2", None)),
        steps=28,
        skipped_clip_layers=1,
        guidance=7.0,
        caches=frozenset({TAYLOR}),  # its last block outputs the image part alone
        notes="without its T5 encoder at most 77 tokens",
    ),
    Family(
        pipeline="FluxPipeline",
        checkpoints="FLUX.1 [dev]",
        denoiser_class="FluxTransformer2DModel",
        text_encoders=("text_encoder", "text_encoder_2"),
        prompt_tokenizers=(("tokenizer_2", 512),),
        steps=28,
        guidance=3.5,
        # Guidance is distilled into the network: there is no second prediction to steer.
        has_negative_prompt=False,
        layout=FLUX_LAYOUT,
        caches=ALL_CACHES,
        call_kwargs={"max_sequence_length": 512},
        distilled={
            "checkpoints": "FLUX.1 [schnell]",
            "prompt_tokenizers": (("tokenizer_2", 256),),
            "steps": 4,
            "guidance": None,
            "call_kwargs": {"max_sequence_length": 256},
        },
        distilled_if=("guidance_embeds", False),
    ),
    Family(
        pipeline="ChromaPipeline",
        checkpoints="Chroma",
        denoiser_class="ChromaTransformer2DModel",
        prompt_tokenizers=(("tokenizer", 512),),
        steps=35,
        guidance=5.0,
        cfg_uses_two_calls=True,
        layout=FLUX_LAYOUT,
    ),
    _PIXART_SIGMA,
    replace(
        _PIXART_SIGMA,
        pipeline="PixArtAlphaPipeline",
        checkpoints="PixArt-α",
        prompt_tokenizers=(("tokenizer", 120),),
    ),
    Family(
        pipeline="AuraFlowPipeline",
        checkpoints="AuraFlow",
        denoiser_class="AuraFlowTransformer2DModel",
        prompt_tokenizers=(("tokenizer", 256),),
        guidance=3.5,
    ),
    Family(
        pipeline="HunyuanDiTPipeline",
        checkpoints="Hunyuan-DiT",
        denoiser_class="HunyuanDiT2DModel",
        has_loras=False,
        text_encoders=("text_encoder", "text_encoder_2"),
        prompt_tokenizers=(("tokenizer_2", 256),),
        guidance=5.0,
        call_kwargs={"use_resolution_binning": False},
    ),
)
