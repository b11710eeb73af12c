"""Families whose text encoder is a language model."""

from __future__ import annotations

from dataclasses import replace

from daguerre.models.diffusers.caches import TAYLOR, TAYLOR_LITE
from daguerre.models.diffusers.families.clip_and_t5 import ALL_CACHES, FLUX_LAYOUT
from daguerre.models.diffusers.families.token_counts import (
    chat_counter,
    count_flux_2,
    count_krea_2,
    count_lumina_2,
    count_ovis_image,
    count_quoted_hunyuan_image,
    count_qwen_image,
    count_sana,
)
from daguerre.models.diffusers.family import Family, InputLayout

_FLUX_2 = Family(
    pipeline="Flux2Pipeline",
    checkpoints="FLUX.2 [dev]",
    denoiser_class="Flux2Transformer2DModel",
    decoder_class="AutoencoderKLFlux2",
    prompt_tokenizers=(("tokenizer", 512),),
    guidance=4.0,
    has_negative_prompt=False,
    layout=FLUX_LAYOUT,
    # First Block Cache cannot handle its two kinds of blocks, whose outputs differ.
    caches=frozenset({TAYLOR, TAYLOR_LITE}),
    count_tokens=count_flux_2,
)

_SANA = Family(
    pipeline="SanaPipeline",
    checkpoints="Sana",
    denoiser_class="SanaTransformer2DModel",
    decoder_class="AutoencoderDC",
    prompt_tokenizers=(("tokenizer", 300),),
    has_native_size=True,
    steps=20,
    guidance=4.5,
    caches=frozenset({TAYLOR_LITE}),
    call_kwargs={"use_resolution_binning": False, "clean_caption": False},
    count_tokens=count_sana,
)

LANGUAGE_MODELS = (
    _FLUX_2,
    replace(
        _FLUX_2,
        pipeline="Flux2KleinPipeline",
        checkpoints="FLUX.2 [klein] base",
        cfg_uses_two_calls=True,  # the second prediction always has an empty prompt
        count_tokens=chat_counter(enable_thinking=False),
        distilled={"checkpoints": "FLUX.2 [klein], distilled", "steps": 4, "guidance": None},
    ),
    _SANA,
    replace(
        _SANA,
        pipeline="SanaSprintPipeline",
        checkpoints="Sana-Sprint",
        steps=2,
        has_negative_prompt=False,  # the guidance is an input of the network
        caches=frozenset(),
        # The default time between two steps is an error for another number of steps.
        steps_kwargs=lambda steps: {} if steps == 2 else {"intermediate_timesteps": None},
    ),
    Family(
        pipeline="Lumina2Pipeline",
        checkpoints="Lumina-Image 2.0",
        denoiser_class="Lumina2Transformer2DModel",
        prompt_tokenizers=(("tokenizer", 256),),
        steps=30,
        guidance=4.0,
        cfg_uses_two_calls=True,
        # It counts the tokens and uses an attention mask only if the rows differ in length.
        layout=InputLayout(value_dependent=frozenset({"encoder_attention_mask"})),
        count_tokens=count_lumina_2,
    ),
    Family(
        pipeline="CogView4Pipeline",
        checkpoints="CogView4",
        denoiser_class="CogView4Transformer2DModel",
        prompt_tokenizers=(("tokenizer", 1024),),
        guidance=5.0,
        cfg_uses_two_calls=True,
    ),
    Family(
        pipeline="OvisImagePipeline",
        checkpoints="Ovis-Image",
        denoiser_class="OvisImageTransformer2DModel",
        has_loras=False,
        prompt_tokenizers=(("tokenizer", 256),),
        guidance=5.0,
        cfg_uses_two_calls=True,
        layout=FLUX_LAYOUT,
        count_tokens=count_ovis_image,
    ),
    Family(
        pipeline="QwenImagePipeline",
        checkpoints="Qwen-Image",
        denoiser_class="QwenImageTransformer2DModel",
        decoder_class="AutoencoderKLQwenImage",
        prompt_tokenizers=(("tokenizer", 512),),
        guidance=4.0,
        guidance_name="true_cfg_scale",
        cfg_uses_two_calls=True,
        empty_negative_prompt=" ",
        layout=InputLayout(masked={"encoder_hidden_states": "encoder_hidden_states_mask"}),
        caches=ALL_CACHES,
        count_tokens=count_qwen_image,
    ),
    Family(
        pipeline="ZImagePipeline",
        checkpoints="Z-Image",
        denoiser_class="ZImageTransformer2DModel",
        prompt_tokenizers=(("tokenizer", 512),),
        guidance=5.0,
        cfg_off_at=0.0,
        layout=InputLayout(ragged={"x": 1, "cap_feats": 32}),
        count_tokens=chat_counter(enable_thinking=True),
        notes="Z-Image Turbo: steps = 9, guidance = 0",
    ),
    Family(
        pipeline="Krea2Pipeline",
        checkpoints="Krea 2",
        denoiser_class="Krea2Transformer2DModel",
        decoder_class="AutoencoderKLQwenImage",
        prompt_tokenizers=(("tokenizer", 512),),
        steps=28,
        guidance=4.5,
        cfg_off_at=0.0,
        cfg_uses_two_calls=True,
        layout=InputLayout(broadcast=frozenset({"position_ids"})),
        count_tokens=count_krea_2,
        distilled={
            "checkpoints": "Krea 2, distilled",
            "steps": 8,
            "guidance": None,
            "has_negative_prompt": False,
            "call_kwargs": {"guidance_scale": 0.0},
        },
    ),
    Family(
        pipeline="KolorsPipeline",
        checkpoints="Kolors",
        denoiser="unet",
        denoiser_class="UNet2DConditionModel",
        prompt_tokenizers=(("tokenizer", 256),),
        guidance=5.0,
        text_layout=InputLayout(output_axis=1),
    ),
    Family(
        pipeline="HunyuanImagePipeline",
        checkpoints="HunyuanImage 2.1",
        denoiser_class="HunyuanImageTransformer2DModel",
        has_loras=False,
        decoder_class="AutoencoderKLHunyuanImage",
        text_encoders=("text_encoder", "text_encoder_2"),
        prompt_tokenizers=(("tokenizer", 1000),),
        guidance=3.5,
        cfg_uses_two_calls=True,
        guiders=("guider", "ocr_guider"),
        count_tokens=count_qwen_image,
        count_quoted=count_quoted_hunyuan_image,
        notes="at most 128 tokens in quotation marks",
        # The network takes the guidance as an input, and there is no guider.
        distilled={
            "checkpoints": "HunyuanImage 2.1, distilled",
            "steps": 8,
            "guidance": 3.25,
            "has_negative_prompt": False,
            "guidance_name": "distilled_guidance_scale",
            "cfg_uses_two_calls": False,
            "guiders": (),
        },
        distilled_if=("guidance_embeds", True),
    ),
)
