"""Modules without weights: each tensor has its shape from a header, and one number of memory.

The code that loads a checkpoint works with them as with others, so it finds what is missing or has
another shape without reading the weights. Imports torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights
from diffusers import ModelMixin

from daguerre.models.diffusers.component_files import weight_files
from daguerre.models.diffusers.replacement import read_tensors

Tensors = dict[str, torch.Tensor]
_INTEGERS: Mapping[str, torch.dtype] = {
    "BOOL": torch.bool,
    "I8": torch.int8,
    "U8": torch.uint8,
    "I16": torch.int16,
    "I32": torch.int32,
    "I64": torch.int64,
}


def tensors_of(file: Path, dtype: torch.dtype) -> Tensors:
    """The tensors in a file; those of floats have the type `dtype`."""
    return {
        name: _zeros(tensor.shape, _INTEGERS.get(tensor.dtype, dtype))
        for name, tensor in read_tensors(file).items()
    }


def load(folder: Path, module_class: Any, dtype: torch.dtype) -> tuple[Any, list[str]]:
    """A module in diffusers format, and the names of the tensors that its files lack.

    Raises `RuntimeError` for a tensor of another shape.
    """
    tensors: Tensors = {}
    for file in weight_files(folder):
        tensors |= tensors_of(file, dtype)
    if not issubclass(module_class, ModelMixin):
        module, info = module_class.from_pretrained(
            None,
            config=module_class.config_class.from_pretrained(folder),
            state_dict=tensors,
            dtype=dtype,
            output_loading_info=True,
        )
        return module, list(info["missing_keys"])
    module = _without_weights(folder, module_class)
    module._fix_state_dict_keys_on_load(tensors)
    missing, _ = module.load_state_dict(tensors, strict=False, assign=True)
    return module.eval(), list(missing)


def from_config(folder: Path, module_class: Any, dtype: torch.dtype) -> Any:
    """The module of a configuration, whatever its files have: they may store it quantized."""
    module = _without_weights(folder, module_class)
    state = module.state_dict().items()
    module.load_state_dict({name: _zeros(one.shape, dtype) for name, one in state}, assign=True)
    return module.eval()


def _without_weights(folder: Path, module_class: Any) -> Any:
    with init_empty_weights():
        if issubclass(module_class, ModelMixin):
            return module_class.from_config(module_class.load_config(folder))
        return module_class(module_class.config_class.from_pretrained(folder))


def _zeros(shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    return torch.zeros((), dtype=dtype).expand(shape)
