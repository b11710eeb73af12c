"""What a safetensors file is, by the names and shapes of its tensors and its metadata.

Only the header is read. Loads no torch.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daguerre.errors import SettingsError
from daguerre.models.diffusers.component_files import (
    WEIGHTS,
    Header,
    StoredTensor,
    check_head,
    read_header,
)
from daguerre.models.diffusers.distillation import Distillation, find_distillation
from daguerre.models.diffusers.single_file import layouts
from daguerre.models.diffusers.single_file.formats import describe_format
from daguerre.models.diffusers.single_file.layouts import (
    DENOISER_PREFIX,
    LAYOUTS,
    Layout,
    Shapes,
    Variant,
)

LORA, TEXTUAL_INVERSION = "a LoRA", "a textual inversion"
_VAE, _DENOISER = "a VAE alone", "a denoiser alone, in the layout of diffusers"
# What changes a checkpoint -> the key of the catalog that names it.
_KEYS = {
    LORA: "loras",
    TEXTUAL_INVERSION: "embeddings",
    _VAE: "vae",
    _DENOISER: "unet or transformer",
}
# Pattern of a tensor's name -> what a file with such a tensor is. The first that matches counts.
_OTHER_MODELS: dict[str, str] = {
    r"lora_(unet|te)|\.lora_?(A|B|down|up)\b|^lora|\.lo(kr|ha)_|\.hada_w": LORA,
    r"^control_|controlnet_|input_hint_block|^adapter\.body": "a ControlNet or an adapter of one",
    r"^image_proj\.|^ip_adapter\.": "an IP-Adapter",
    r"motion_modules|time_stack|time_mixer|individual_token_refiner|patchify_proj|"
    r"(^|\.)head\.modulation$|attn\.qkv_x|^net\.blocks|^token_refiner": "a video model",
    r"scaled_fp8|scale_weight$|weight_scale$|input_scale$": "a checkpoint with scaled weights",
    r"\.absmax$|quant_map$": "a checkpoint quantized by bitsandbytes",
    r"^edm_mean$": "Playground 2.5",
    r"single_stream_modulation": "FLUX.2",
    r"distilled_guidance_layer": "Chroma",
    r"cap_embedder\.0": "Lumina 2 or Z-Image",
    r"txtfusion\.": "Krea 2",
    r"txt_in\.text_norm|transformer_blocks\.0\.img_mod": "Qwen-Image",
    r"double_stream_blocks": "HiDream",
    r"double_layers": "AuraFlow",
    r"cross_attn\.q_linear": "Sana or PixArt",
    r"clip_txt_mapper|effnet_mapper": "Stable Cascade",
}
# The same, for files that have no denoiser in one of the layouts.
_PARTS: dict[str, str] = {
    r"^(down_blocks|transformer_blocks|single_transformer_blocks)\.": _DENOISER,
    r"^(first_stage_model\.|vae\.)?(encoder|decoder)\.(conv_in|mid)": _VAE,
    r"text_model\.|^encoder\.block\.|^shared\.weight|resblocks\.": "a text encoder alone",
    r"^model\.layers\.\d+\.self_attn|^blk\.\d+\.attn": "a language model",
    r"rdb\d\.conv1|^model\.\d+\.sub\.": "an upscaler",
    r"^(bert|roberta|distilbert)\.": "a text encoder alone",
    r"^emb_params$|^clip_[lg]$|^string_to_param": TEXTUAL_INVERSION,
}
_REFINER_INPUTS = 2560  # of the embedding of sizes and scores
_STABLE_DIFFUSION_2_INPUTS = 1024  # of the text


@dataclass(frozen=True, slots=True)
class Recognition:
    """A supported file; `prefixes` has its components, `variant` its size if it is a known one.

    Otherwise `difference` says why it is not, by a tensor. `tensors` are those of the header.
    `distillation` is the kind of a distilled checkpoint, `sampler` has options of the sampler's
    configuration.
    """

    tensors: Mapping[str, StoredTensor]
    layout: Layout
    variant: Variant | None
    difference: str
    prefixes: Mapping[str, tuple[str, ...]]
    distillation: Distillation | None
    sampler: Mapping[str, Any]


def recognize(file: Path) -> Recognition:
    """Raises `SettingsError` if the file is damaged, or is anything else, and says what it is."""
    check_format(file, _accepted())
    header = read_header(file)
    _refuse(file, header.shapes, _OTHER_MODELS)
    layout, denoiser = _find_layout(file, header.shapes)
    _check_inputs(file, layout, denoiser)
    has_prefix = any(name.startswith(DENOISER_PREFIX) for name in header.shapes)
    prefixes = layout.component_prefixes(header.shapes)
    title = header.metadata.get("modelspec.title", "")
    distillation = find_distillation(layout.pipeline, file.stem, {}, {}, title)
    variant = layout.variant(denoiser)
    return Recognition(
        header.tensors,
        layout,
        variant,
        "" if variant else layout.difference(denoiser),
        {layout.denoiser: (DENOISER_PREFIX if has_prefix else "",), **prefixes},
        distillation,
        _sampler(layout, header, distillation),
    )


def describe(shapes: Shapes) -> str:
    """What a file with tensors of these names is, if it is not what a key of the catalog needs."""
    names = {name.removeprefix(DENOISER_PREFIX) for name in shapes}
    for layout in LAYOUTS:
        if layout.mark in names:
            return f"a checkpoint, by its tensor {layout.mark}; give it in the key path"
    if found := _find_kind(shapes, _OTHER_MODELS | _PARTS):
        what, name = found
        key = f"; give it in the key {_KEYS[what]}" if what in _KEYS else ""
        return f"{what}, by its tensor {name}{key}"
    return f"a file of an unknown kind, its first tensor is {next(iter(shapes), 'none')}"


def check_format(file: Path, accepted: str) -> None:
    """Raises `SettingsError` if the file is not safetensors; `accepted` says what it must be."""
    check_head(file)
    if found := describe_format(file):
        raise SettingsError(f"{file} is {found}; {accepted}")


def _find_kind(names: Collection[str], kinds: Mapping[str, str]) -> tuple[str, str] | None:
    """What a file with tensors of these names is, and the first tensor that shows it."""
    found = ((kinds[one], name) for one in kinds for name in names if re.search(one, name))
    return next(found, None)


def _refuse(file: Path, names: Collection[str], kinds: Mapping[str, str]) -> None:
    if found := _find_kind(names, kinds):
        what, name = found
        raise SettingsError(f"{file} is {what}, by its tensor {name}; {_advice(what)}")


def _advice(what: str) -> str:
    if key := _KEYS.get(what):
        return f"give it in the key {key} of the checkpoint that it changes"
    return _accepted()


def _accepted() -> str:
    models = ", ".join(layout.checkpoints for layout in LAYOUTS)
    return (
        f"a single file must be a {WEIGHTS} checkpoint in its original layout, of one of: {models}"
    )


def _find_layout(file: Path, shapes: Shapes) -> tuple[Layout, Shapes]:
    """The layout, and the shapes of the denoiser's tensors by their names without a prefix."""
    denoiser = {name.removeprefix(DENOISER_PREFIX): shape for name, shape in shapes.items()}
    found = [layout for layout in LAYOUTS if layout.mark in denoiser]
    if not found or (found[0].denoiser == "unet" and DENOISER_PREFIX + found[0].mark not in shapes):
        _refuse(file, shapes, _PARTS)
        first = next(iter(shapes), "none")
        raise SettingsError(
            f"{file} is of an unknown kind, its first tensor is {first}; {_accepted()}"
        )
    return (_find_unet(file, shapes, denoiser) if len(found) > 1 else found[0]), denoiser


def _find_unet(file: Path, shapes: Shapes, denoiser: Shapes) -> Layout:
    """The layouts with a UNet differ in the text encoders, and in what the UNet reads from them."""
    sizes = denoiser.get("label_emb.0.0.weight", ())
    if sizes[-1:] == (_REFINER_INPUTS,) or _has_refiner_encoder(shapes):
        raise SettingsError(f"{file} is the refiner of SDXL, which changes images; {_accepted()}")
    if "label_emb.0.0.weight" in denoiser:
        return layouts.SDXL
    text = denoiser.get("middle_block.1.transformer_blocks.0.attn2.to_k.weight", ())
    has_open_clip = any(name.startswith("cond_stage_model.model.") for name in shapes)
    is_2 = has_open_clip or text[-1:] == (_STABLE_DIFFUSION_2_INPUTS,)
    return layouts.STABLE_DIFFUSION_2 if is_2 else layouts.STABLE_DIFFUSION_1


def _has_refiner_encoder(shapes: Shapes) -> bool:
    return any(name.startswith("conditioner.embedders.0.model.") for name in shapes)


def _check_inputs(file: Path, layout: Layout, denoiser: Shapes) -> None:
    inputs, outputs = (denoiser.get(name, ()) for name in layout.channels or ("", ""))
    if len(inputs) > 1 and outputs and inputs[1] != outputs[0]:
        what = layout.other_inputs.get(inputs[1], "a model that changes images")
        raise SettingsError(
            f"{file} is {what}: its denoiser reads {inputs[1]} channels and writes {outputs[0]};"
            f" {_accepted()}"
        )


def _sampler(layout: Layout, header: Header, distilled: Distillation | None) -> dict[str, Any]:
    """Options of the sampler for a distilled checkpoint, and for one that predicts velocity."""
    sampler = dict(distilled.kind.sampler) if distilled else {}
    is_unet = layout.denoiser == "unet"
    if is_unet and ("v_pred" in header.shapes or _predicts_velocity(header)):
        sampler["prediction_type"] = "v_prediction"
    if is_unet and "ztsnr" in header.shapes:
        sampler |= {
            "_class_name": sampler.get("_class_name", "EulerDiscreteScheduler"),
            "rescale_betas_zero_snr": True,
            "timestep_spacing": "trailing",
        }
    return sampler


def _predicts_velocity(header: Header) -> bool:
    return header.metadata.get("modelspec.prediction_type") in ("v", "v_prediction")
