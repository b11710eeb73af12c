"""What the header of a LoRA file shows: its layers, and the checkpoints that have them.

A LoRA adds `scale * alpha / rank * up @ down` to the weight of each of its layers, where `down` has
`rank` rows. Without `alpha`, it equals the rank. Loads no torch.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from daguerre.errors import SettingsError
from daguerre.models.diffusers.adapters.lora import Lora
from daguerre.models.diffusers.checkpoint import Checkpoint
from daguerre.models.diffusers.component_files import WEIGHTS, read_header, read_json
from daguerre.models.diffusers.single_file import recognition

_TENSOR = re.compile(
    r"(?P<layer>.+)\.((?P<down>(lora_down|lora_A(\.default)?|down)\.weight)"
    r"|(?P<up>(lora_up|lora_B(\.default)?|up)\.weight)|(?P<bias>lora_B\.bias))"
)
# Part of a tensor's name -> the kind of adapter. diffusers ignores their tensors, or refuses them.
_OTHER_KINDS: Mapping[str, str] = {
    r"dora_scale|lora_magnitude_vector": "a DoRA",
    r"\.hada_": "a LoHa",
    r"\.lokr_": "a LoKr",
    r"\.lora_mid\.": "a LoCon with three matrices per layer",
    r"\.oft_|\.oft_blocks": "an OFT",
    r"\.(a1|a2|b1|b2)\.weight$": "a GLoRA",
    r"\.on_input$": "an IA³",
}
# Features of a text that the cross-attention of a UNet reads -> the checkpoints with that number.
_TEXT_WIDTHS = {768: "Stable Diffusion 1.x", 1024: "Stable Diffusion 2.x", 2048: "SDXL"}
_TEXT_ENCODER = re.compile(r"^lora_te|text_encoder|text_model")
_TEXT_LAYER = re.compile(r"attn2[._](processor\.)?to_k")
# Part of a layer's name -> the checkpoints, and the pipelines, that have such layers.
_OTHER_LAYERS: Mapping[str, tuple[str, frozenset[str]]] = {
    r"joint_blocks": ("Stable Diffusion 3", frozenset({"StableDiffusion3Pipeline"})),
    r"(^|[._])(double|single)_blocks|single_transformer_blocks": (
        "FLUX",
        frozenset({"FluxPipeline", "Flux2Pipeline", "Flux2KleinPipeline"}),
    ),
    r"(img|txt)_(mod|mlp)[._]": ("Qwen-Image", frozenset({"QwenImagePipeline"})),
    r"(^|[._])blocks[._]\d+[._](cross|self)_attn": ("Wan, a video model", frozenset()),
}


@dataclass(slots=True)
class Layer:
    """Names of a layer's tensors in a file."""

    down: str = ""
    up: str = ""
    bias: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        return self.down, self.up, self.bias


def check(lora: Lora, checkpoint: Checkpoint) -> None:
    """Raises `SettingsError` if the header shows that the file is not a LoRA for the checkpoint."""
    family = checkpoint.family
    if not family.has_loras:
        raise SettingsError(
            f"loras is given, but {family.pipeline} of diffusers loads none; remove the key"
        )
    if quantized := checkpoint.quantized_components:
        raise SettingsError(
            f"loras is given, but {', '.join(sorted(quantized))} in {checkpoint.path} is already"
            " quantized; use a checkpoint that is not"
        )
    recognition.check_format(lora.path, f"loras needs a {WEIGHTS} file")
    shapes = read_header(lora.path).shapes
    for pattern, kind in _OTHER_KINDS.items():
        if names := [name for name in shapes if re.search(pattern, name)]:
            raise SettingsError(
                f"{lora.path} is {kind}, by {len(names)} of its tensors such as {names[0]}; only"
                " LoRAs with two matrices per layer are supported"
            )
    layers = find_layers(lora.path, shapes)
    if not layers:
        what = recognition.describe(shapes)
        raise SettingsError(f"{lora.path} is not a LoRA, but {what}; loras takes LoRAs only")
    _check_family(lora.path, {name: shapes[one.down] for name, one in layers.items()}, checkpoint)


def has_text_layers(lora: Lora) -> bool:
    """Whether the file changes a text encoder."""
    return any(map(_TEXT_ENCODER.search, read_header(lora.path).shapes))


def find_layers(file: Path, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Layer]:
    """Name of a layer -> its tensors. Raises `SettingsError` for a layer that is incomplete."""
    layers: dict[str, Layer] = {}
    for name in shapes:
        if match := _TENSOR.fullmatch(name):
            part = next(part for part in ("down", "up", "bias") if match[part])
            setattr(layers.setdefault(match["layer"], Layer()), part, name)
    for one in layers.values():
        if not (one.down and one.up):
            name = next(filter(None, one.names))
            raise SettingsError(
                f"{file} has {name}, but not both matrices of that layer; download it again"
            )
        down, up = shapes[one.down], shapes[one.up]
        if len(down) < 2 or len(up) < 2 or down[0] != up[1]:
            raise SettingsError(
                f"{file}: {one.down} has the shape {down} and {one.up} {up}; they do not multiply;"
                " download it again"
            )
    return layers


def _check_family(
    file: Path, layers: Mapping[str, tuple[int, ...]], checkpoint: Checkpoint
) -> None:
    """Compares the LoRA's layers, by the shapes of their `down`, with those of the checkpoint."""
    family = checkpoint.family
    config = read_json(checkpoint.component_folder(family.denoiser) / "config.json")
    width = config.get("cross_attention_dim")
    for name, shape in layers.items():
        if _TEXT_LAYER.search(name) and shape[1] != width:
            found = _TEXT_WIDTHS.get(shape[1], "another UNet")
            reads = f"reads {width}" if width else "has no such layer"
            raise SettingsError(
                f"{file} is a LoRA for {found}, which reads {shape[1]} features of a text;"
                f" {checkpoint.path} is {family.checkpoints} and {reads}; use a LoRA for it"
            )
        for pattern, (checkpoints, pipelines) in _OTHER_LAYERS.items():
            if re.search(pattern, name) and family.pipeline not in pipelines:
                raise SettingsError(
                    f"{file} is a LoRA for {checkpoints}, by its layer {name}; {checkpoint.path} is"
                    f" {family.checkpoints}; use a LoRA for it"
                )
