"""Loads the pipeline of a single-file checkpoint; imports torch.

The tensors are renamed by diffusers' own conversion, which `from_single_file` uses, too. Unlike
`from_single_file`, a missing tensor is an error, and nothing can be downloaded.
"""

from __future__ import annotations

import importlib
import inspect
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights
from diffusers.loaders import single_file_utils
from diffusers.loaders.single_file_model import SINGLE_FILE_LOADABLE_CLASSES
from safetensors.torch import load_file

from daguerre.errors import SettingsError, one_line
from daguerre.models.diffusers.checkpoint import SAMPLER, Checkpoint
from daguerre.models.diffusers.component_files import INDEX, read_json
from daguerre.models.diffusers.single_file import clip_tokenizer
from daguerre.models.diffusers.single_file.layouts import CONFIGURATIONS
from daguerre.models.diffusers.weights import load_modules, missing_message

Tensors = dict[str, torch.Tensor]


def load(checkpoint: Checkpoint, dtype: torch.dtype) -> Any:
    """The pipeline on the CPU. Raises `SettingsError` for a missing or unsuitable tensor."""
    pipeline_class = getattr(importlib.import_module("diffusers"), checkpoint.family.pipeline)
    components = {
        **load_modules(checkpoint, pipeline_class, dtype),
        **_load_from_file(checkpoint, dtype),
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


def _load_from_file(checkpoint: Checkpoint, dtype: torch.dtype) -> dict[str, Any]:
    single = checkpoint.single_file
    assert single is not None
    try:
        tensors = load_file(single.path)
    except Exception as error:  # a type of numbers that the library lacks
        raise SettingsError(f"{single.path} cannot be read: {one_line(error)}") from None
    loaded = {}
    for name in filter(checkpoint.components.__contains__, single.prefixes):
        library, class_name = checkpoint.components[name]
        module_class = getattr(importlib.import_module(library), class_name)
        load = _load_network if library == "diffusers" else _load_text_encoder
        folder, selected = single.folders[name], single.select(name, tensors)
        loaded[name] = load(single.path, module_class, folder, selected, dtype)
    return loaded


def _load_network(
    file: Path, module_class: Any, folder: Path, tensors: Tensors, dtype: torch.dtype
) -> Any:
    """A denoiser or a VAE."""
    return module_class.from_single_file(
        convert(file, module_class, folder, tensors),
        config=str(folder),
        dtype=dtype,
        local_files_only=True,
    )


def convert(file: Path, module_class: Any, folder: Path, tensors: Tensors) -> Tensors:
    """The tensors of a denoiser or a VAE by diffusers' names; `folder` has its configuration.

    Raises `SettingsError` if one is missing, unknown, or of another shape.
    """
    config = module_class.load_config(folder)
    with init_empty_weights():
        expected = module_class.from_config(config).state_dict()
    rename = SINGLE_FILE_LOADABLE_CLASSES[module_class.__name__]["checkpoint_mapping_fn"]
    try:
        converted: Tensors = rename(checkpoint=dict(tensors), config=config)
    except KeyError as error:
        raise SettingsError(missing_message(str(file), module_class.__name__, error.args)) from None
    except Exception as error:  # the conversion splits tensors at sizes that it assumes
        raise _misfit(file, module_class, folder, error) from None
    _check_tensors(file, module_class.__name__, expected, converted)
    return converted


def _misfit(file: Path, module_class: Any, folder: Path, error: Exception) -> SettingsError:
    return SettingsError(
        f"{file} does not fit {module_class.__name__} with the configuration in {folder}:"
        f" {one_line(error)}"
    )


def _check_tensors(file: Path, class_name: str, expected: Tensors, found: Tensors) -> None:
    """The sizes of the file must be those of the configuration."""
    if missing := sorted(expected.keys() - found.keys()):
        raise SettingsError(missing_message(str(file), class_name, missing))
    if unknown := sorted(found.keys() - expected.keys()):
        raise SettingsError(
            f"{file} has {len(unknown)} tensors that {class_name} has not, such as {unknown[0]};"
            " the configuration is of another model; change base"
        )
    if integers := [name for name in expected if not found[name].is_floating_point()]:
        raise SettingsError(
            f"{file}: {integers[0]} of {class_name} is quantized to integers; use a file with"
            " floating-point weights"
        )
    for name, tensor in expected.items():
        if tensor.shape != found[name].shape:
            raise SettingsError(
                f"{file}: {name} of {class_name} has the shape {tuple(found[name].shape)} instead"
                f" of {tuple(tensor.shape)}; the configuration is of another model; change base"
            )


def _load_text_encoder(
    file: Path, module_class: Any, folder: Path, tensors: Tensors, dtype: torch.dtype
) -> Any:
    is_t5 = single_file_utils.is_t5_in_single_file(tensors)
    load = (
        single_file_utils.create_diffusers_t5_model_from_checkpoint
        if is_t5
        else single_file_utils.create_diffusers_clip_model_from_ldm
    )
    try:
        module = load(
            module_class, tensors, config=str(folder), torch_dtype=dtype, local_files_only=True
        )
    except Exception as error:  # tensors of other shapes
        raise _misfit(file, module_class, folder, error) from None
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
