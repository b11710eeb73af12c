"""The supported families of pipelines.

Each denoiser was read for operations that depend on the whole batch, and tests/models/diffusers
compares its images bit for bit with the stock pipeline's. To add a family, add an entry to
`FAMILIES`. Loads neither torch nor diffusers.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from daguerre.models.diffusers.caches import FIRST_BLOCK, TAYLOR, TAYLOR_LITE
from daguerre.models.diffusers.family import Family, InputLayout, TokenCounter


def _count_preprocessed(pipeline: Any, tokenizer: Any, text: str, is_negative: bool) -> int:
    (text,) = pipeline._text_preprocessing(text)
    return len(tokenizer(text).input_ids)


def _count_sana(pipeline: Any, tokenizer: Any, text: str, is_negative: bool) -> int:
    """An instruction precedes the prompt; the two marks at its ends are counted once."""
    if is_negative:
        return _count_preprocessed(pipeline, tokenizer, text, is_negative)
    parameters = inspect.signature(type(pipeline).__call__).parameters
    instruction = "\n".join(parameters["complex_human_instruction"].default)
    (text,) = pipeline._text_preprocessing(text)
    return len(tokenizer(instruction + text).input_ids) - len(tokenizer.encode(instruction)) + 2


def _count_lumina_2(pipeline: Any, tokenizer: Any, text: str, is_negative: bool) -> int:
    text = text if is_negative else f"{pipeline.system_prompt} <Prompt Start> {text}"
    return len(tokenizer(text).input_ids)


def _count_qwen_image(pipeline: Any, tokenizer: Any, text: str, is_negative: bool) -> int:
    text = pipeline.prompt_template_encode.format(text)
    return len(tokenizer(text).input_ids) - int(pipeline.prompt_template_encode_start_idx)


def _count_krea_2(pipeline: Any, tokenizer: Any, text: str, is_negative: bool) -> int:
    num_tokens = len(tokenizer(pipeline.prompt_template_encode_prefix + text).input_ids)
    num_suffix = int(pipeline.prompt_template_encode_num_suffix_tokens)
    return num_tokens - int(pipeline.prompt_template_encode_start_idx) + num_suffix


def _chat_counter(**options: Any) -> TokenCounter:
    """Counter for a prompt that is the user's message in a chat template with these options."""

    def count(pipeline: Any, tokenizer: Any, text: str, is_negative: bool) -> int:
        text = tokenizer.apply_chat_template(
            [{"role": "user", "content": text}],
            tokenize=False,
            add_generation_prompt=True,
            **options,
        )
        return len(tokenizer(text).input_ids)

    return count


def _count_flux_2(pipeline: Any, tokenizer: Any, text: str, is_negative: bool) -> int:
    from diffusers.pipelines.flux2.pipeline_flux2 import format_input

    encoded = tokenizer.apply_chat_template(
        format_input([text], system_message=pipeline.system_message),
        add_generation_prompt=False,
        tokenize=True,
        return_dict=True,
    )
    return len(encoded["input_ids"][0])


def _count_quoted_hunyuan_image(pipeline: Any, text: str) -> tuple[int, int]:
    """A second encoder reads the text in quotation marks."""
    from diffusers.pipelines.hunyuan_image.pipeline_hunyuanimage import extract_glyph_text

    quoted = extract_glyph_text(text)
    num_tokens = len(pipeline.tokenizer_2(quoted).input_ids) if quoted else 0
    return num_tokens, int(pipeline.tokenizer_2_max_length)


_ALL_CACHES = frozenset({FIRST_BLOCK, TAYLOR, TAYLOR_LITE})
# Position IDs have an axis as long as the batch, but the denoiser uses the first row for all.
_FLUX_LAYOUT = InputLayout(broadcast=frozenset({"img_ids", "txt_ids"}))

_FLUX_2 = Family(
    pipeline="Flux2Pipeline",
    checkpoints="FLUX.2 [dev]",
    denoiser_class="Flux2Transformer2DModel",
    decoder_class="AutoencoderKLFlux2",
    prompt_tokenizers=(("tokenizer", 512),),
    guidance=4.0,
    has_negative_prompt=False,
    layout=_FLUX_LAYOUT,
    # First Block Cache cannot handle its two kinds of blocks, whose outputs differ.
    caches=frozenset({TAYLOR, TAYLOR_LITE}),
    count_tokens=_count_flux_2,
)

FAMILIES: Mapping[str, Family] = {
    family.pipeline: family
    for family in (
        Family(
            pipeline="StableDiffusionPipeline",
            checkpoints="Stable Diffusion 1.x, 2.x",
            denoiser="unet",
            denoiser_class="UNet2DConditionModel",
            prompt_tokenizers=(("tokenizer", None),),
            has_prompt_chunks=True,
            has_native_size=True,
            guidance=7.5,
        ),
        Family(
            pipeline="StableDiffusionXLPipeline",
            checkpoints="SDXL",
            denoiser="unet",
            denoiser_class="UNet2DConditionModel",
            text_encoders=("text_encoder", "text_encoder_2"),
            prompt_tokenizers=(("tokenizer", None), ("tokenizer_2", None)),
            has_prompt_chunks=True,
            has_native_size=True,
            guidance=5.0,
            # Else it marks the pixels if the package invisible-watermark is installed.
            load_kwargs={"add_watermarker": False},
        ),
        Family(
            pipeline="StableDiffusion3Pipeline",
            checkpoints="Stable Diffusion 3, 3.5",
            denoiser_class="SD3Transformer2DModel",
            text_encoders=("text_encoder", "text_encoder_2", "text_encoder_3"),
            optional_text_encoders=frozenset({"text_encoder_3"}),
            prompt_tokenizers=(("tokenizer_3", 256), ("tokenizer", None), ("tokenizer_2", None)),
            steps=28,
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
            layout=_FLUX_LAYOUT,
            caches=_ALL_CACHES,
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
        _FLUX_2,
        replace(
            _FLUX_2,
            pipeline="Flux2KleinPipeline",
            checkpoints="FLUX.2 [klein] base",
            cfg_uses_two_calls=True,  # the second prediction always has an empty prompt
            count_tokens=_chat_counter(enable_thinking=False),
            distilled={"checkpoints": "FLUX.2 [klein], distilled", "steps": 4, "guidance": None},
        ),
        Family(
            pipeline="PixArtSigmaPipeline",
            checkpoints="PixArt-Σ",
            denoiser_class="PixArtTransformer2DModel",
            prompt_tokenizers=(("tokenizer", 300),),
            has_native_size=True,
            steps=20,
            guidance=4.5,
            # The requested size instead of a similar one that is cropped, and a prompt that does
            # not depend on which packages for cleaning it are installed.
            call_kwargs={"use_resolution_binning": False, "clean_caption": False},
            count_tokens=_count_preprocessed,
        ),
        Family(
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
            count_tokens=_count_sana,
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
            count_tokens=_count_lumina_2,
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
            caches=_ALL_CACHES,
            count_tokens=_count_qwen_image,
        ),
        Family(
            pipeline="ZImagePipeline",
            checkpoints="Z-Image",
            denoiser_class="ZImageTransformer2DModel",
            prompt_tokenizers=(("tokenizer", 512),),
            guidance=5.0,
            cfg_off_at=0.0,
            layout=InputLayout(ragged={"x": 1, "cap_feats": 32}),
            count_tokens=_chat_counter(enable_thinking=True),
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
            count_tokens=_count_krea_2,
            distilled={
                "checkpoints": "Krea 2, distilled",
                "steps": 8,
                "guidance": None,
                "has_negative_prompt": False,
                "call_kwargs": {"guidance_scale": 0.0},
            },
        ),
        Family(
            pipeline="HunyuanImagePipeline",
            checkpoints="HunyuanImage 2.1",
            denoiser_class="HunyuanImageTransformer2DModel",
            decoder_class="AutoencoderKLHunyuanImage",
            text_encoders=("text_encoder", "text_encoder_2"),
            prompt_tokenizers=(("tokenizer", 1000),),
            guidance=3.5,
            cfg_uses_two_calls=True,
            guiders=("guider", "ocr_guider"),
            count_tokens=_count_qwen_image,
            count_quoted=_count_quoted_hunyuan_image,
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
}


def find_family(index: Mapping[str, Any], denoiser_config: Mapping[str, Any]) -> Family:
    """Family of a checkpoint, by the index of a supported pipeline and its denoiser's config."""
    family = FAMILIES[index["_class_name"]]
    option, value = family.distilled_if
    is_distilled = bool({**index, **denoiser_config}.get(option)) is value
    return replace(family, **family.distilled) if is_distilled else family
