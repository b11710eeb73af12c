"""The torch modules of a checkpoint, loaded with all of their weights.

The libraries fill a missing tensor with random numbers and say so in a log line only. Each start of
the server would then give other images.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from daguerre.errors import SettingsError
from daguerre.models.diffusers import empty_weights
from daguerre.models.diffusers.checkpoint import Checkpoint
from daguerre.models.diffusers.component import LIBRARIES
from daguerre.models.diffusers.component_files import variant, weight_files
from daguerre.models.diffusers.single_file import network
from daguerre.models.diffusers.single_file.network import missing_message

# Buffers whose absence changes nothing: positions are computed, and the counter is never read.
_OPTIONAL = re.compile(r"pos_embed\.pos_embed|num_batches_tracked")
# Both libraries advise this parameter when they refuse a tensor's shape; torch has words.
_WRONG_SHAPE = re.compile("ignore_mismatched_sizes|size mismatch")


def load_modules(
    checkpoint: Checkpoint,
    pipeline_class: type,
    dtype: torch.dtype,
    shared: Mapping[str, Any],
    *,
    is_empty: bool = False,
) -> dict[str, Any]:
    """Name -> module of each component that is one, loaded as `pipeline_class` would load it.

    `shared` has those that are in memory. `single_file.pipeline` loads those in a single file.
    Empty modules are made from headers.

    Raises `SettingsError` for a tensor of another shape, and for a missing one, except those that
    the library derives from others (tied weights) or does not need.
    """
    expected = inspect.signature(pipeline_class).parameters

    def load(name: str, module_class: Any) -> Any:
        folder = checkpoint.component_folder(name)
        if not is_empty:
            return _load(folder, module_class, dtype, _read)
        if name in checkpoint.quantized_components:
            return empty_weights.from_config(folder, module_class, dtype)
        return _load(folder, module_class, dtype, empty_weights.load)

    in_folders = {
        name: load(name, module_class)
        for name, component in checkpoint.components.items()
        if name in expected
        and name not in shared
        and checkpoint.is_in_folder(name)
        and (module_class := _module_class(*component))
    }
    in_files = {
        name: network.load_replacement(one, dtype, is_empty=is_empty)
        for name, one in checkpoint.replacements.items()
        if one.file and name not in shared
    }
    return {**shared, **in_folders, **in_files}


def _module_class(library: str, class_name: str) -> Any:
    """None for a class of another kind, such as a tokenizer, or an unknown one."""
    module = library if library in LIBRARIES else f"diffusers.pipelines.{library}"
    found = getattr(importlib.import_module(module), class_name, None)
    return found if isinstance(found, type) and issubclass(found, torch.nn.Module) else None


def _read(folder: Path, module_class: Any, dtype: torch.dtype) -> tuple[Any, list[str]]:
    """The module, and the names of the tensors that its files lack."""
    module, info = module_class.from_pretrained(
        folder,
        dtype=dtype,
        variant=variant(folder),
        use_safetensors=True,
        local_files_only=True,
        output_loading_info=True,
    )
    return module, list(info["missing_keys"])


def _load(
    folder: Path,
    module_class: Any,
    dtype: torch.dtype,
    read: Callable[[Path, Any, torch.dtype], tuple[Any, list[str]]],
) -> Any:
    try:
        module, names = read(folder, module_class, dtype)
    except (RuntimeError, ValueError) as error:
        if not _WRONG_SHAPE.search(str(error)):
            raise
        raise SettingsError(
            f"{_where(folder)} has tensors of other shapes than {module_class.__name__} has with"
            f" {folder / 'config.json'}; take both from the same checkpoint"
        ) from error
    if missing := [name for name in names if not _OPTIONAL.search(name)]:
        raise SettingsError(missing_message(_where(folder), module_class.__name__, missing))
    return module


def _where(folder: Path) -> str:
    files = weight_files(folder)
    return str(files[0]) if len(files) == 1 else f"the weights in {folder}"
