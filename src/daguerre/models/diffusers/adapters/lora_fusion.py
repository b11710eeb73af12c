"""Adds LoRAs to the weights of a pipeline, with diffusers' own loader; imports torch and peft.

The loader ignores unknown tensors, and says so in a log line only. Here every tensor of a file must
be in a layer of the pipeline.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers.loaders.lora_base import LORA_ADAPTER_METADATA_KEY
from peft.tuners.tuners_utils import BaseTunerLayer
from safetensors.torch import load_file

from daguerre.errors import SettingsError
from daguerre.models.diffusers.adapters.lora import Lora
from daguerre.models.diffusers.adapters.lora_header import Layer, find_layers
from daguerre.models.diffusers.call_packing import tensor_bytes
from daguerre.models.diffusers.component_files import read_header
from daguerre.models.diffusers.library_errors import as_settings_error

Tensors = dict[str, torch.Tensor]
_NAME = "lora"
_MAX_NAMES = 3  # of tensors in an error message


def fuse(
    pipeline: Any, loras: Sequence[Lora], dtype: torch.dtype, *, is_empty: bool = False
) -> None:
    """Adds the LoRAs to the weights, one after the other. Empty modules have none.

    Raises `SettingsError` for a file that does not fit the pipeline.
    """
    for lora in loras:
        text = (
            f"{lora.path} does not fit {type(pipeline).__name__}, or has a layout that diffusers"
            " does not load"
        )
        hint = "; use a LoRA for this checkpoint"
        # The warnings are about what is checked here.
        with as_settings_error(text, hint), warnings.catch_warnings(action="ignore"):
            _fuse(pipeline, lora, dtype, is_empty)


def _fuse(pipeline: Any, lora: Lora, dtype: torch.dtype, is_empty: bool) -> None:
    tensors, layers = _read(pipeline, lora.path)
    if not layers:
        return
    shapes = _parameter_shapes(pipeline)
    if _has_mixed_alphas(pipeline, tensors, layers):
        tensors = _multiply_alphas(tensors, layers)
    with _recorded_conversion(pipeline, lora.path, tensors, layers) as conversion:
        pipeline.load_lora_weights(tensors, adapter_name=_NAME)
    used = conversion.used(_injected(pipeline), dtype)
    used |= {_alpha(layer) for layer, one in layers.items() if one.down in used}
    _check_use(pipeline, lora.path, tensors, used)
    parts = pipeline._lora_loadable_modules
    if not is_empty:
        pipeline.fuse_lora(components=parts, lora_scale=lora.scale, adapter_names=[_NAME])
    pipeline.unload_lora_weights()
    if _parameter_shapes(pipeline) != shapes:
        raise SettingsError(f"{lora.path} changes the shapes of layers, which is not supported")


def _read(pipeline: Any, file: Path) -> tuple[Tensors, dict[str, Layer]]:
    """The tensors of a LoRA and its layers, without those that are zero and have no effect."""
    tensors = {name: _plain(file, name, tensor) for name, tensor in load_file(file).items()}
    if not all(tensor.isfinite().all() for tensor in tensors.values()):
        raise SettingsError(f"{file} has values that are not finite; its training failed")
    layers = find_layers(file, {name: tuple(tensor.shape) for name, tensor in tensors.items()})
    zero = {layer for layer, one in layers.items() if not tensors[one.up].any()}
    for layer in zero:
        for name in (*layers.pop(layer).names, _alpha(layer)):
            tensors.pop(name, None)
    known = {name for layer, one in layers.items() for name in (*one.names, _alpha(layer))}
    tensors = {name: t for name, t in tensors.items() if name in known or t.any()}
    _check_use(pipeline, file, tensors, known)
    return tensors, layers


def _plain(file: Path, name: str, tensor: torch.Tensor) -> torch.Tensor:
    """Floats of 8 bits have no arithmetic."""
    if not tensor.is_floating_point():
        raise SettingsError(f"{file}: {name} has the type {tensor.dtype}; it must be a float")
    return tensor.float() if tensor.itemsize == 1 else tensor


def _alpha(layer: str) -> str:
    return f"{layer}.alpha"


def _has_mixed_alphas(pipeline: Any, tensors: Tensors, layers: Mapping[str, Layer]) -> bool:
    """Whether diffusers gives layers the alpha of others: it matches the names in attention layers
    of a UNet and in text encoders wrongly, and ignores those of FLUX's last layer."""
    alphas = {layer: tensors.get(_alpha(layer)) for layer in layers}
    if hasattr(pipeline, "unet"):
        return len({None if alpha is None else alpha.item() for alpha in alphas.values()}) > 1
    return any("final_layer" in layer for layer, alpha in alphas.items() if alpha is not None)


def _multiply_alphas(tensors: Tensors, layers: Mapping[str, Layer]) -> Tensors:
    """The same LoRA without alphas."""
    changed = dict(tensors)
    for layer, one in layers.items():
        if (alpha := changed.pop(_alpha(layer), None)) is not None:
            scale = alpha.item() / len(tensors[one.down])
            changed[one.up] = tensors[one.up].float() * scale
    return changed


def _check_use(pipeline: Any, file: Path, tensors: Tensors, used: Collection[str]) -> None:
    if unused := [name for name in tensors if name not in used]:
        raise SettingsError(
            f"{len(unused)} of {len(tensors)} tensors in {file} fit no layer of"
            f" {type(pipeline).__name__}, such as {', '.join(unused[:_MAX_NAMES])}; use a LoRA for"
            " this checkpoint, in a layout that diffusers loads"
        )


@dataclass(frozen=True)
class _Conversion:
    """The tensors by diffusers' names, and the tensors of the file that each is made of."""

    tensors: Tensors
    origins: dict[str, set[str]]

    def used(self, injected: Iterable[torch.Tensor], dtype: torch.dtype) -> set[str]:
        """Names in the file of the tensors whose values are in the pipeline."""
        counts = Counter(_digest(tensor, dtype) for tensor in injected)
        used: set[str] = set()
        for name, tensor in self.tensors.items():
            digest = _digest(tensor, dtype)
            if counts[digest]:
                counts[digest] -= 1
                used |= self.origins[name]
        return used


@contextmanager
def _recorded_conversion(
    pipeline: Any, file: Path, tensors: Tensors, layers: Mapping[str, Layer]
) -> Iterator[_Conversion]:
    """Records what the pipeline's loader makes of the tensors, and gives it the file's metadata.

    A second conversion shows where each tensor comes from: of tensors that are numbers instead.
    """
    convert, conversion = pipeline.lora_state_dict, _Conversion({}, {})
    text = read_header(file).metadata.get(LORA_ADAPTER_METADATA_KEY)

    def record(source: Tensors, **options: Any) -> tuple[Any, ...]:
        converted, *others, _ = convert(source, **options)
        converted = _with_parts(pipeline, converted)
        conversion.tensors.update(converted)
        numbers = convert(_numbers(tensors, layers), **options)[0]
        conversion.origins.update(_origins(_with_parts(pipeline, numbers), tensors))
        return converted, *others, json.loads(text) if text else None

    pipeline.lora_state_dict = record
    try:
        yield conversion
    finally:
        del pipeline.lora_state_dict


def _with_parts(pipeline: Any, tensors: Tensors) -> Tensors:
    """Layers of the denoiser get its name as a prefix. The loader ignores those without one, also
    the first and the last layers of FLUX.1, whose names it has converted itself."""
    denoiser = pipeline._lora_loadable_modules[0]
    layers = {name for name, _ in getattr(pipeline, denoiser).named_children()}
    return {
        f"{denoiser}.{name}" if name.partition(".")[0] in layers else name: tensor
        for name, tensor in tensors.items()
    }


def _numbers(tensors: Tensors, layers: Mapping[str, Layer]) -> Tensors:
    """Each tensor filled with its number, from 1. An alpha is the rank, which scales nothing."""
    filled = {
        name: torch.full(tensor.shape, number, dtype=torch.float32)
        for number, (name, tensor) in enumerate(tensors.items(), start=1)
    }
    for layer, one in layers.items():
        if _alpha(layer) in filled:
            filled[_alpha(layer)].fill_(len(tensors[one.down]))
    return filled


def _origins(converted: Tensors, names: Iterable[str]) -> dict[str, set[str]]:
    """Converted tensor -> the tensors whose numbers are at its start and at its end."""
    numbered = dict(enumerate(names, start=1))
    return {
        name: {numbered[int(values[place])] for place in (0, -1)}
        for name, tensor in converted.items()
        if len(values := tensor.flatten())
    }


def _injected(pipeline: Any) -> Iterator[torch.Tensor]:
    """The matrices that the loader has put into the layers of the pipeline."""
    for part in pipeline._lora_loadable_modules:
        module = getattr(pipeline, part, None)
        for layer in module.modules() if module is not None else ():
            if isinstance(layer, BaseTunerLayer):
                for name in layer.adapter_layer_names:
                    found = getattr(layer, name, {})
                    if _NAME in found:
                        yield from found[_NAME].parameters()


def _digest(tensor: torch.Tensor, dtype: torch.dtype) -> tuple[torch.Size, bytes]:
    return tensor.shape, hashlib.sha256(tensor_bytes(tensor.to(dtype))).digest()


def _parameter_shapes(pipeline: Any) -> dict[str, torch.Size]:
    return {
        f"{part}.{name}": parameter.shape
        for part in pipeline._lora_loadable_modules
        if (module := getattr(pipeline, part, None)) is not None
        for name, parameter in module.named_parameters()
    }
