"""The families of pipelines that are served: what each is called, made of and asked.

A family stands here when its denoiser was read for anything that depends on the whole batch, and
its pictures were compared bit for bit with the stock pipeline's (tests/checkpoints). Holds facts
only; loads neither torch nor diffusers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from daguerre.models.diffusers.caches import FIRST_BLOCK, TAYLOR, TAYLOR_LITE

_NONE: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class InputLayout:
    """Which inputs of a network are not rows on the first axis of a tensor.

    `shared` carry no rows, though their first axis may be as long as the rows. `decisive` carry
    rows whose values choose the arithmetic, such as masks that a network counts: forwards share
    only where these are equal. `listed` are lists with a tensor per row; the network fills up each
    to a multiple of this many, and forwards share where the filled lengths are equal.
    """

    broadcast: frozenset[str] = frozenset()
    value_dependent: frozenset[str] = frozenset()
    ragged: Mapping[str, int] = field(default_factory=lambda: _NONE)


PLAIN = InputLayout()


@dataclass(frozen=True, slots=True)
class Family:
    """`steps` and `guidance` are the defaults of the stock pipeline, or of the checkpoints' card.

    `prompt_tokenizers` are the tokenizers that may take in most of a prompt, the first of these
    that a checkpoint has does, each with the most tokens it is asked for, or None for its own
    limit. A family without `guidance` has none to be set. `call_kwargs` and `load_kwargs` are
    arguments that keep the stock pipeline from doing what the contract excludes. `caches` are those
    that fit the denoiser, and tell its predictions apart. `guiders` are the pipeline's parts that
    are told the guidance, where its call is not; the first must be there.
    """

    pipeline: str
    denoiser_class: str
    text_encoders: tuple[str, ...]
    prompt_tokenizers: tuple[tuple[str, int | None], ...]
    steps: int
    guidance: float | None
    has_negative_prompt: bool
    denoiser: str = "transformer"
    decoder_class: str = "AutoencoderKL"
    optional_text_encoders: frozenset[str] = (
        frozenset()
    )  # of the text encoders, those that may be missing
    guidance_name: str = "guidance_scale"
    cfg_off_at: float = 1.0  # up to this guidance there is no second, unguided prediction
    cfg_uses_two_calls: bool = (
        False  # a guided step asks the denoiser twice, not for twice the rows
    )
    empty_negative_prompt: str | None = (
        None  # the negative prompt for none, where guidance is off without one
    )
    guiders: tuple[str, ...] = ()
    layout: InputLayout = PLAIN
    caches: frozenset[str] = frozenset()
    call_kwargs: Mapping[str, Any] = field(default_factory=lambda: _NONE)
    load_kwargs: Mapping[str, Any] = field(default_factory=lambda: _NONE)

    def is_guided(self, guidance: float | None) -> bool:
        """Whether there is a second prediction, for a negative prompt to go into."""
        return guidance is not None and guidance > self.cfg_off_at

    def num_forwards(self, guidance: float | None) -> int:
        """Of the denoiser in one step."""
        return 2 if self.cfg_uses_two_calls and self.is_guided(guidance) else 1


_FLUX = Family(
    pipeline="FluxPipeline",
    denoiser_class="FluxTransformer2DModel",
    text_encoders=("text_encoder", "text_encoder_2"),
    prompt_tokenizers=(("tokenizer_2", 512),),
    steps=28,
    guidance=3.5,
    # Guidance is distilled into the network: there is no second forward to put a prompt into.
    has_negative_prompt=False,
    layout=InputLayout(broadcast=frozenset({"img_ids", "txt_ids"})),
    caches=frozenset({FIRST_BLOCK, TAYLOR, TAYLOR_LITE}),
    call_kwargs={"max_sequence_length": 512},
)
# FLUX.1 [schnell]: the same pipeline, distilled to four steps, reading 256 tokens.
_FLUX_SCHNELL = replace(
    _FLUX,
    prompt_tokenizers=(("tokenizer_2", 256),),
    steps=4,
    guidance=None,
    call_kwargs={"max_sequence_length": 256},
)
_FLUX_2 = Family(
    pipeline="Flux2Pipeline",
    denoiser_class="Flux2Transformer2DModel",
    decoder_class="AutoencoderKLFlux2",
    text_encoders=("text_encoder",),
    prompt_tokenizers=(("tokenizer", 512),),
    steps=50,
    guidance=4.0,
    has_negative_prompt=False,
    # Positions have rows, and the denoiser takes those of the first for all.
    layout=InputLayout(broadcast=frozenset({"img_ids", "txt_ids"})),
    # Its two kinds of blocks answer differently, which First Block Cache cannot.
    caches=frozenset({TAYLOR, TAYLOR_LITE}),
)
# FLUX.2 [klein] base: guided by a second prediction, whose prompt is always empty.
_KLEIN = replace(_FLUX_2, pipeline="Flux2KleinPipeline", cfg_uses_two_calls=True)
_KLEIN_DISTILLED = replace(_KLEIN, steps=4, guidance=None)
_KREA_2 = Family(
    pipeline="Krea2Pipeline",
    denoiser_class="Krea2Transformer2DModel",
    decoder_class="AutoencoderKLQwenImage",
    text_encoders=("text_encoder",),
    prompt_tokenizers=(("tokenizer", 512),),
    steps=28,
    guidance=4.5,
    has_negative_prompt=True,
    cfg_off_at=0.0,
    cfg_uses_two_calls=True,
    layout=InputLayout(broadcast=frozenset({"position_ids"})),
)
_KREA_2_DISTILLED = replace(
    _KREA_2, steps=8, guidance=None, has_negative_prompt=False, call_kwargs={"guidance_scale": 0.0}
)
_HUNYUAN_IMAGE = Family(
    pipeline="HunyuanImagePipeline",
    denoiser_class="HunyuanImageTransformer2DModel",
    decoder_class="AutoencoderKLHunyuanImage",
    text_encoders=("text_encoder", "text_encoder_2"),
    prompt_tokenizers=(("tokenizer", 1000),),
    steps=50,
    guidance=3.5,
    has_negative_prompt=True,
    cfg_uses_two_calls=True,
    guiders=("guider", "ocr_guider"),
)
# HunyuanImage 2.1, distilled: the network is told the guidance, and there is no guider.
_HUNYUAN_IMAGE_DISTILLED = replace(
    _HUNYUAN_IMAGE,
    steps=8,
    guidance=3.25,
    has_negative_prompt=False,
    guidance_name="distilled_guidance_scale",
    cfg_uses_two_calls=False,
    guiders=(),
)

FAMILIES: Mapping[str, Family] = {
    family.pipeline: family
    for family in (
        Family(
            pipeline="StableDiffusionPipeline",
            denoiser="unet",
            denoiser_class="UNet2DConditionModel",
            text_encoders=("text_encoder",),
            prompt_tokenizers=(("tokenizer", None),),
            steps=50,
            guidance=7.5,
            has_negative_prompt=True,
        ),
        Family(
            pipeline="StableDiffusionXLPipeline",
            denoiser="unet",
            denoiser_class="UNet2DConditionModel",
            text_encoders=("text_encoder", "text_encoder_2"),
            prompt_tokenizers=(("tokenizer", None), ("tokenizer_2", None)),
            steps=50,
            guidance=5.0,
            has_negative_prompt=True,
            # Or it would mark the pixels wherever a certain package happens to be installed.
            load_kwargs={"add_watermarker": False},
        ),
        Family(
            pipeline="StableDiffusion3Pipeline",
            denoiser_class="SD3Transformer2DModel",
            text_encoders=("text_encoder", "text_encoder_2", "text_encoder_3"),
            optional_text_encoders=frozenset({"text_encoder_3"}),
            prompt_tokenizers=(("tokenizer_3", 256), ("tokenizer", None)),
            steps=28,
            guidance=7.0,
            has_negative_prompt=True,
            caches=frozenset({TAYLOR}),  # its last block answers for the picture alone
        ),
        _FLUX,
        _FLUX_2,
        _KLEIN,
        Family(
            pipeline="PixArtSigmaPipeline",
            denoiser_class="PixArtTransformer2DModel",
            text_encoders=("text_encoder",),
            prompt_tokenizers=(("tokenizer", 300),),
            steps=20,
            guidance=4.5,
            has_negative_prompt=True,
            # The contract's size is drawn, not a near one that is cropped; and the prompt does not
            # depend on whether packages that clean it are installed.
            call_kwargs={"use_resolution_binning": False, "clean_caption": False},
        ),
        Family(
            pipeline="SanaPipeline",
            denoiser_class="SanaTransformer2DModel",
            decoder_class="AutoencoderDC",
            text_encoders=("text_encoder",),
            prompt_tokenizers=(("tokenizer", 300),),
            steps=20,
            guidance=4.5,
            has_negative_prompt=True,
            caches=frozenset({TAYLOR_LITE}),
            call_kwargs={"use_resolution_binning": False, "clean_caption": False},
        ),
        Family(
            pipeline="Lumina2Pipeline",
            denoiser_class="Lumina2Transformer2DModel",
            text_encoders=("text_encoder",),
            prompt_tokenizers=(("tokenizer", 256),),
            steps=30,
            guidance=4.0,
            has_negative_prompt=True,
            cfg_uses_two_calls=True,
            # It counts the words and, where rows have not equally many, attends with a mask.
            layout=InputLayout(value_dependent=frozenset({"encoder_attention_mask"})),
        ),
        Family(
            pipeline="QwenImagePipeline",
            denoiser_class="QwenImageTransformer2DModel",
            decoder_class="AutoencoderKLQwenImage",
            text_encoders=("text_encoder",),
            prompt_tokenizers=(("tokenizer", 512),),
            steps=50,
            guidance=4.0,
            has_negative_prompt=True,
            guidance_name="true_cfg_scale",
            cfg_uses_two_calls=True,
            empty_negative_prompt=" ",
            caches=frozenset({FIRST_BLOCK, TAYLOR, TAYLOR_LITE}),
        ),
        Family(
            pipeline="ZImagePipeline",
            denoiser_class="ZImageTransformer2DModel",
            text_encoders=("text_encoder",),
            prompt_tokenizers=(("tokenizer", 512),),
            steps=50,
            guidance=5.0,
            has_negative_prompt=True,
            cfg_off_at=0.0,
            layout=InputLayout(ragged={"x": 1, "cap_feats": 32}),
        ),
        _KREA_2,
        _HUNYUAN_IMAGE,
    )
}


def find(index: Mapping[str, Any], denoiser_config: Mapping[str, Any]) -> Family:
    """That of a checkpoint's `model_index.json`, whose pipeline is one of `FAMILIES`."""
    family = FAMILIES[index["_class_name"]]
    is_distilled = index.get("is_distilled") is True
    if family is _FLUX and not denoiser_config.get("guidance_embeds", False):
        return _FLUX_SCHNELL
    if family is _KLEIN and is_distilled:
        return _KLEIN_DISTILLED
    if family is _KREA_2 and is_distilled:
        return _KREA_2_DISTILLED
    if family is _HUNYUAN_IMAGE and denoiser_config.get("guidance_embeds", False):
        return _HUNYUAN_IMAGE_DISTILLED
    return family
