"""The families of pipelines that are served: what each is called, made of and asked.

A family stands here when its denoiser was read for anything that depends on the whole batch, and
its pictures were compared bit for bit with the stock pipeline's (tests/models/diffusers). Holds
facts only; loads neither torch nor diffusers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True, slots=True)
class Family:
    """`steps` and `guidance` are the defaults of the stock pipeline, or of the checkpoints' card.

    `reader` is the tokenizer that takes in most of a prompt, the first of these that a checkpoint
    has, with the most tokens it is asked for, or None for its own limit. A family without
    `guidance` has none to be set. `call` and `load` are arguments that keep the stock pipeline from
    doing what the contract excludes.
    """

    pipeline: str
    denoiser: str
    denoiser_class: str
    text_encoders: tuple[str, ...]
    readers: tuple[tuple[str, int | None], ...]
    steps: int
    guidance: float | None
    has_negative_prompt: bool
    # Inputs of the denoiser that carry no rows, though their first axis may be as long as the rows.
    shared: frozenset[str] = frozenset()
    call: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    load: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


_FLUX = Family(
    pipeline="FluxPipeline",
    denoiser="transformer",
    denoiser_class="FluxTransformer2DModel",
    text_encoders=("text_encoder", "text_encoder_2"),
    readers=(("tokenizer_2", 512),),
    steps=28,
    guidance=3.5,
    # Guidance is distilled into the network: there is no second forward to put a prompt into.
    has_negative_prompt=False,
    shared=frozenset({"img_ids", "txt_ids"}),
    call={"max_sequence_length": 512},
)
# FLUX.1 [schnell]: the same pipeline, distilled to four steps, reading 256 tokens.
_FLUX_SCHNELL = replace(
    _FLUX,
    readers=(("tokenizer_2", 256),),
    steps=4,
    guidance=None,
    call={"max_sequence_length": 256},
)

FAMILIES: Mapping[str, Family] = {
    family.pipeline: family
    for family in (
        Family(
            pipeline="StableDiffusionPipeline",
            denoiser="unet",
            denoiser_class="UNet2DConditionModel",
            text_encoders=("text_encoder",),
            readers=(("tokenizer", None),),
            steps=50,
            guidance=7.5,
            has_negative_prompt=True,
        ),
        Family(
            pipeline="StableDiffusionXLPipeline",
            denoiser="unet",
            denoiser_class="UNet2DConditionModel",
            text_encoders=("text_encoder", "text_encoder_2"),
            readers=(("tokenizer", None), ("tokenizer_2", None)),
            steps=50,
            guidance=5.0,
            has_negative_prompt=True,
            # Or it would mark the pixels wherever a certain package happens to be installed.
            load={"add_watermarker": False},
        ),
        Family(
            pipeline="StableDiffusion3Pipeline",
            denoiser="transformer",
            denoiser_class="SD3Transformer2DModel",
            text_encoders=("text_encoder", "text_encoder_2", "text_encoder_3"),
            readers=(("tokenizer_3", 256), ("tokenizer", None)),
            steps=28,
            guidance=7.0,
            has_negative_prompt=True,
        ),
        _FLUX,
        Family(
            pipeline="PixArtSigmaPipeline",
            denoiser="transformer",
            denoiser_class="PixArtTransformer2DModel",
            text_encoders=("text_encoder",),
            readers=(("tokenizer", 300),),
            steps=20,
            guidance=4.5,
            has_negative_prompt=True,
            # The contract's size is drawn, not a near one that is cropped; and the prompt does not
            # depend on whether packages that clean it are installed.
            call={"use_resolution_binning": False, "clean_caption": False},
        ),
    )
}


def find(pipeline: str, denoiser_config: Mapping[str, Any]) -> Family:
    family = FAMILIES[pipeline]
    if family is _FLUX and not denoiser_config.get("guidance_embeds", False):
        return _FLUX_SCHNELL
    return family
