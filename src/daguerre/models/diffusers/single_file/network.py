"""Loads a denoiser or a VAE from the tensors of a file; imports torch.

The tensors are renamed by diffusers' own conversion, which `from_single_file` uses, too. Unlike
there, a missing tensor is an error, and nothing can be downloaded.
"""

from __future__ import annotations

import importlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights
from diffusers import GGUFQuantizationConfig
from diffusers.loaders.single_file_model import SINGLE_FILE_LOADABLE_CLASSES
from diffusers.models.model_loading_utils import load_gguf_checkpoint
from safetensors.torch import load_file

from daguerre.errors import SettingsError
from daguerre.models.diffusers import empty_weights
from daguerre.models.diffusers.library_errors import as_settings_error
from daguerre.models.diffusers.replacement import GGUF, Replacement
from daguerre.models.diffusers.single_file.layouts import DENOISER_PREFIX

Tensors = dict[str, torch.Tensor]

_UNET = "UNet2DConditionModel"  # whose conversion needs the prefix
_CHANGE_BASE = "the configuration is of another model; change base"
_MAX_NAMES = 3  # of missing tensors in an error message


def read_tensors(file: Path) -> Tensors:
    """Raises `SettingsError` for a type of numbers that the library lacks."""
    with as_settings_error(f"{file} cannot be read"):
        tensors: Tensors = _read_gguf(file) if file.suffix == GGUF else load_file(file)
    return tensors


def _read_gguf(file: Path) -> Tensors:
    """Dequantizes all but matrices: diffusers would read the bytes of the others as numbers."""
    from diffusers.quantizers.gguf.utils import dequantize_gguf_tensor  # imports gguf

    return {
        name: tensor if len(_shape(tensor)) == 2 else dequantize_gguf_tensor(tensor)
        for name, tensor in load_gguf_checkpoint(file).items()
    }


def load_replacement(
    replacement: Replacement, dtype: torch.dtype, *, is_empty: bool = False
) -> Any:
    """A denoiser or a VAE that has a file of its own, by the authors' names or by diffusers'."""
    file, prefix = replacement.file, replacement.prefix
    assert file is not None
    class_name = replacement.class_name
    if class_name not in SINGLE_FILE_LOADABLE_CLASSES:
        raise SettingsError(
            f"{replacement.name} is {file}, but diffusers loads no {class_name} from a file; use a"
            " directory in diffusers format"
        )
    stored = empty_weights.tensors_of(file, dtype) if is_empty else read_tensors(file)
    tensors = {
        name.removeprefix(prefix): tensor
        for name, tensor in stored.items()
        if name.startswith(prefix)
    }
    module_class = getattr(importlib.import_module("diffusers"), class_name)
    advice = f"use a {replacement.name} for this checkpoint"
    return load_network(file, module_class, replacement.folder, tensors, dtype, advice)


def load_network(
    file: Path,
    module_class: Any,
    folder: Path,
    tensors: Tensors,
    dtype: torch.dtype,
    advice: str = _CHANGE_BASE,
) -> Any:
    """A denoiser or a VAE; `advice` says what to do if the tensors do not fit."""
    converted = convert(file, module_class, folder, tensors, advice)
    is_gguf = any(map(_is_quantized, converted.values()))
    return module_class.from_single_file(
        converted,
        config=str(folder),
        dtype=dtype,
        local_files_only=True,
        quantization_config=GGUFQuantizationConfig(compute_dtype=dtype) if is_gguf else None,
    )


def _is_quantized(tensor: torch.Tensor) -> bool:
    """Whether it is diffusers' `GGUFParameter`, which holds bytes."""
    return hasattr(tensor, "quant_type")


def _shape(tensor: torch.Tensor) -> tuple[int, ...]:
    return tuple(getattr(tensor, "quant_shape", tensor.shape))


def convert(
    file: Path, module_class: Any, folder: Path, tensors: Tensors, advice: str = _CHANGE_BASE
) -> Tensors:
    """The tensors of a denoiser or a VAE by diffusers' names; `folder` has its configuration.

    Raises `SettingsError` if one is missing, unknown, or of another shape.
    """
    config = module_class.load_config(folder)
    with init_empty_weights():
        expected = module_class.from_config(config).state_dict()
    # The conversion splits tensors at sizes that it assumes.
    with as_settings_error(misfit(file, module_class, folder), f"; {advice}"):
        try:
            converted = _rename(module_class.__name__, config, expected, tensors)
        except KeyError as error:
            message = missing_message(str(file), module_class.__name__, error.args)
            raise SettingsError(message) from None
    _check_tensors(file, module_class.__name__, expected, converted, advice)
    return converted


def _rename(
    class_name: str, config: Mapping[str, Any], expected: Tensors, tensors: Tensors
) -> Tensors:
    if 2 * len(expected.keys() & tensors.keys()) > len(expected):
        return tensors  # they have diffusers' names; the authors' have few in common with them
    if class_name == _UNET and not any(name.startswith(DENOISER_PREFIX) for name in tensors):
        tensors = {DENOISER_PREFIX + name: tensor for name, tensor in tensors.items()}
    rename = SINGLE_FILE_LOADABLE_CLASSES[class_name]["checkpoint_mapping_fn"]
    converted: Tensors = rename(checkpoint=dict(tensors), config=config)
    return converted


def misfit(file: Path, module_class: Any, folder: Path) -> str:
    return f"{file} does not fit {module_class.__name__} with the configuration in {folder}"


def _check_tensors(
    file: Path, class_name: str, expected: Tensors, found: Tensors, advice: str
) -> None:
    """The sizes of the file must be those of the configuration."""
    for name, tensor in expected.items():
        if name in found and _shape(tensor) != _shape(found[name]):
            raise SettingsError(
                f"{file}: {name} of {class_name} has the shape {_shape(found[name])} instead"
                f" of {_shape(tensor)}; {advice}"
            )
    missing = sorted(expected.keys() - found.keys())
    if 2 * len(missing) > len(expected):
        raise SettingsError(
            f"{file} lacks {len(missing)} of the {len(expected)} tensors of {class_name}, such as"
            f" {missing[0]}; {advice}"
        )
    if missing:
        raise SettingsError(missing_message(str(file), class_name, missing))
    if unknown := sorted(found.keys() - expected.keys()):
        raise SettingsError(
            f"{file} has {len(unknown)} tensors that {class_name} does not have, such as"
            f" {unknown[0]}; {advice}"
        )
    plain = [name for name in expected if not _is_quantized(found[name])]
    if integers := [name for name in plain if not found[name].is_floating_point()]:
        raise SettingsError(
            f"{file}: {integers[0]} of {class_name} is quantized to integers; use a file with"
            " floating-point weights"
        )


def missing_message(where: str, class_name: str, missing: Collection[str]) -> str:
    names = ", ".join(sorted(missing)[:_MAX_NAMES])
    if len(missing) > _MAX_NAMES:
        names += f" and {len(missing) - _MAX_NAMES} more"
    return f"{where} lacks {names}, which {class_name} needs; download the checkpoint again"
