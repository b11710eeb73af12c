"""Tiny LoRAs with random weights, in the layouts in which they are published."""

from __future__ import annotations

import re
import warnings
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import torch
from safetensors.torch import load_file, save_file

from daguerre.models.diffusers.adapters.lora import Lora

from . import original_layout

State: TypeAlias = dict[str, torch.Tensor]
Pair: TypeAlias = tuple[torch.Tensor, torch.Tensor]
# Layers of a module by name -> whether a LoRA has them.
ATTENTION = re.compile(r"\.(to_q|to_k|to_v|to_out\.0|q_proj|k_proj|v_proj|out_proj)$")
ALL = re.compile(r"")


def write(file: Path, *states: State, **metadata: str) -> Path:
    save_file({name: t for state in states for name, t in state.items()}, file, metadata or None)
    return file


def read(file: Path) -> State:
    return dict(load_file(file))


def pair(shape: Sequence[int], rank: int = 4, name: str = "") -> Pair:
    """Random matrices `down` and `up` of a layer whose weights have this shape."""
    generator = torch.Generator().manual_seed(zlib.crc32(f"{name} {rank}".encode()))
    shapes = (rank, *shape[1:]), (shape[0], rank, *(1 for _ in shape[2:]))
    down, up = (torch.randn(one, generator=generator) / 4 for one in shapes)
    return down, up


def matrices(module: Any, layers: re.Pattern[str] = ATTENTION, rank: int = 4) -> dict[str, Pair]:
    """Layer of a module -> its matrices."""
    return {
        name: pair(layer.weight.shape, rank, name)
        for name, layer in module.named_modules()
        if isinstance(layer, torch.nn.Linear | torch.nn.Conv2d) and layers.search(name)
    }


def peft(prefix: str, made: Mapping[str, Pair]) -> State:
    """As diffusers saves it."""
    return {
        f"{prefix}.{layer}.lora_{letter}.weight": matrix
        for layer, pair in made.items()
        for letter, matrix in zip("AB", pair, strict=True)
    }


def kohya(
    prefix: str, made: Mapping[str, Pair], alpha: Callable[[str], float | None] = lambda _: 2.0
) -> State:
    """As kohya's scripts save it, in half precision. Layers whose `alpha` is None have none."""
    state: State = {}
    for layer, (down, up) in made.items():
        name = f"{prefix}_{layer.replace('.', '_')}"
        state |= {f"{name}.lora_down.weight": down.half(), f"{name}.lora_up.weight": up.half()}
        if (value := alpha(layer)) is not None:
            state[f"{name}.alpha"] = torch.tensor(value)
    return state


def kohya_text(module: Any, prefix: str = "lora_te", **options: Any) -> State:
    """A text encoder's; the names have the prefix `text_model` of older versions."""
    made = {name.removeprefix("text_model."): both for name, both in matrices(module).items()}
    return kohya(f"{prefix}_text_model", made, **options)


def fuse(pipeline: Any, *loras: Lora) -> Any:
    """Adds the LoRAs to the weights as diffusers' documentation says."""
    names = [f"number_{number}" for number, _ in enumerate(loras)]
    for name, lora in zip(names, loras, strict=True):
        with warnings.catch_warnings(action="ignore"):  # for several adapters
            pipeline.load_lora_weights(str(lora.path), adapter_name=name)
    pipeline.set_adapters(names, [lora.scale for lora in loras])
    pipeline.fuse_lora(components=pipeline._lora_loadable_modules, adapter_names=names)
    pipeline.unload_lora_weights()
    return pipeline


def kohya_xl(unet: Any) -> State:
    """A UNet's of SDXL, whose layers have the names of the original layout."""
    names = dict(zip(unet.state_dict(), original_layout.unet(unet, prefix=""), strict=True))
    made = {
        names[f"{layer}.weight"].removesuffix(".weight"): both
        for layer, both in matrices(unet).items()
    }
    return kohya("lora_unet", made)


def kohya_flux(width: int) -> State:
    """A denoiser's of FLUX.1, whose layers have the names of the original layout."""
    shapes = {
        "double_blocks_0_img_attn_qkv": (3 * width, width),
        "double_blocks_0_txt_attn_proj": (width, width),
        "double_blocks_0_img_mlp_0": (4 * width, width),
        "single_blocks_0_linear1": (7 * width, width),
        "single_blocks_0_modulation_lin": (3 * width, width),
    }
    return kohya("lora_unet", {name: pair(shape, name=name) for name, shape in shapes.items()})
