"""Loads the pipeline of a single-file checkpoint; imports torch."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from diffusers.loaders import single_file_utils

from daguerre.errors import SettingsError
from daguerre.models.diffusers import empty_weights
from daguerre.models.diffusers.checkpoint import SAMPLER, Checkpoint
from daguerre.models.diffusers.component_files import INDEX, read_json
from daguerre.models.diffusers.library_errors import as_settings_error
from daguerre.models.diffusers.single_file import clip_tokenizer
from daguerre.models.diffusers.single_file.layouts import CONFIGURATIONS
from daguerre.models.diffusers.single_file.network import (
    Tensors,
    load_network,
    misfit,
    missing_message,
    read_tensors,
)
from daguerre.models.diffusers.weights import load_modules


def load(
    checkpoint: Checkpoint, dtype: torch.dtype, shared: Mapping[str, Any], *, is_empty: bool = False
) -> Any:
    """The pipeline on the CPU; its modules may be empty. `shared` has those that are in memory.

    Raises `SettingsError` for a missing or unsuitable tensor.
    """
    pipeline_class = getattr(importlib.import_module("diffusers"), checkpoint.family.pipeline)
    components = {
        **load_modules(checkpoint, pipeline_class, dtype, shared, is_empty=is_empty),
        **_load_from_file(checkpoint, dtype, shared, is_empty),
        **_load_others(checkpoint),
    }
    parameters = inspect.signature(pipeline_class).parameters
    options = {
        name: value
        for name, value in read_json(checkpoint.folder / INDEX).items()
        if name in parameters and not isinstance(value, list)
    }
    if "requires_safety_checker" in parameters:
        options["requires_safety_checker"] = False
    absent = (*pipeline_class._optional_components, *checkpoint.missing_components)
    options |= dict.fromkeys(parameters.keys() & {*absent})
    return pipeline_class(**{**options, **components, **checkpoint.family.load_kwargs})


def _load_from_file(
    checkpoint: Checkpoint, dtype: torch.dtype, shared: Mapping[str, Any], is_empty: bool
) -> dict[str, Any]:
    single = checkpoint.single_file
    assert single is not None
    path = single.path
    tensors = empty_weights.tensors_of(path, dtype) if is_empty else read_tensors(path)
    loaded = {}
    present = [name for name in single.prefixes if name in checkpoint.components.keys() - shared]
    for name in filter(checkpoint.is_in_single_file, present):
        library, class_name = checkpoint.components[name]
        module_class = getattr(importlib.import_module(library), class_name)
        load = load_network if library == "diffusers" else _load_text_encoder
        folder, selected = single.folders[name], single.select(name, tensors)
        loaded[name] = load(path, module_class, folder, selected, dtype)
    return loaded


def _load_text_encoder(
    file: Path, module_class: Any, folder: Path, tensors: Tensors, dtype: torch.dtype
) -> Any:
    is_t5 = single_file_utils.is_t5_in_single_file(tensors)
    load = (
        single_file_utils.create_diffusers_t5_model_from_checkpoint
        if is_t5
        else single_file_utils.create_diffusers_clip_model_from_ldm
    )
    with as_settings_error(misfit(file, module_class, folder)):  # tensors of other shapes
        module = load(
            module_class, tensors, config=str(folder), torch_dtype=dtype, local_files_only=True
        )
    module.tie_weights()
    found = chain(module.named_parameters(), module.named_buffers())
    if missing := [name for name, tensor in found if tensor.is_meta]:
        raise SettingsError(missing_message(str(file), module_class.__name__, missing))
    return module.eval()


def _load_others(checkpoint: Checkpoint) -> dict[str, Any]:
    """The tokenizers and the sampler."""
    loaded = {}
    for name, (library, class_name) in checkpoint.components.items():
        folder = checkpoint.component_folder(name)
        if name == SAMPLER:
            loaded[name] = _load_sampler(checkpoint)
        elif name.startswith("tokenizer"):
            is_shared = folder.parent.parent == CONFIGURATIONS
            found = getattr(importlib.import_module(library), class_name)
            load = clip_tokenizer.load if is_shared else found.from_pretrained
            loaded[name] = load(folder)
    return loaded


def _load_sampler(checkpoint: Checkpoint) -> Any:
    config = checkpoint.sampler_config
    sampler_class = getattr(importlib.import_module("diffusers"), config.pop("_class_name"))
    return sampler_class.from_config(config)
