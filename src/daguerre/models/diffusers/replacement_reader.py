"""Reads a component that the catalog takes from another path: the VAE, or the denoiser.

The path is a component's directory in diffusers format, or one file with its weights. Only headers
are read. Loads no torch.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from daguerre.errors import SettingsError
from daguerre.models.diffusers import component_files, gguf_file
from daguerre.models.diffusers.checkpoint import DECODER, Checkpoint
from daguerre.models.diffusers.component import quantized_by
from daguerre.models.diffusers.component_files import INDEX, WEIGHTS, read_json
from daguerre.models.diffusers.families import find_family
from daguerre.models.diffusers.library_errors import naming_key
from daguerre.models.diffusers.replacement import GGUF, Replacement, read_tensors
from daguerre.models.diffusers.single_file.layouts import DENOISER_PREFIX, VAE_PREFIXES, Shapes
from daguerre.models.diffusers.single_file.recognition import describe

_CONFIG = "config.json"
_VAE_CLASS, _TINY_VAE_CLASS = "AutoencoderKL", "AutoencoderTiny"
_SCALING_FACTOR = 0.18215  # the class's default, of Stable Diffusion 1.x
# A tensor that every VAE has.
_VAE_MARK = re.compile(r"decoder\.(conv_in|layers\.0|conv1)\.")
# What a file without a denoiser is, in the words of `describe`.
_NO_DENOISER = re.compile(
    "(a LoRA|a ControlNet|an IP-Adapter|a VAE|a text encoder|a textual inversion|a language model|"
    "an upscaler)"
)
# Options of a configuration that decide the shapes of what the pipeline passes on.
_INTERFACE = (
    *("in_channels", "out_channels", "latent_channels", "cross_attention_dim"),
    *("joint_attention_dim", "pooled_projection_dim", "caption_channels", "cap_feat_dim"),
    *("addition_embed_type", "projection_class_embeddings_input_dim", "encoder_hid_dim"),
)


def replace_components(own: Checkpoint, paths: Mapping[str, Path]) -> Checkpoint:
    """The checkpoint with components from other paths, by their names in the pipeline.

    With another denoiser, it is not known to be distilled. Raises `SettingsError` for a path that
    is damaged, or does not fit the checkpoint.
    """
    found = {}
    for name, path in paths.items():
        with naming_key(name):
            found[name] = _read(name, path, own)
    others = {name: by for name, by in own.quantized_components.items() if name not in found}
    quantized = {name: by for name, one in found.items() if (by := _quantized_by(one))}
    classes = {name: ("diffusers", one.class_name) for name, one in found.items()}
    family, distillation = own.family, own.distillation
    if denoiser := found.get(family.denoiser):
        index, config = read_json(own.folder / INDEX), read_json(denoiser.folder / _CONFIG)
        family, distillation = find_family(index, config), None
    return replace(
        own,
        family=family,
        components={**own.components, **classes},
        quantized_components=others | quantized,
        distillation=distillation,
        replacements=found,
    )


def _quantized_by(replacement: Replacement) -> str | None:
    """Package that has quantized the weights; None for plain ones."""
    if replacement.file is None:
        return quantized_by(replacement.folder)
    return gguf_file.LIBRARY if replacement.file.suffix == GGUF else None


def _read(name: str, path: Path, own: Checkpoint) -> Replacement:
    family = own.family
    expected = {DECODER: family.decoder_class, family.denoiser: family.denoiser_class}
    if name not in expected:
        raise SettingsError(
            f"{name} is {path}, but {own.path} is a {family.pipeline}, whose denoiser is"
            f" {family.denoiser}; use that key"
        )
    class_name, folder = expected[name], own.component_folder(name)
    try:
        if path.is_dir():
            others = (_TINY_VAE_CLASS,) if class_name == _VAE_CLASS else ()
            return _read_folder(name, path, folder, (class_name, *others))
        return _read_file(name, path, folder, class_name)
    except OSError as error:  # no permission, or a file was removed
        fault = component_files.unreadable(path, error)
        raise SettingsError(f"{name} is {path}; {fault}") from None


def _read_folder(name: str, path: Path, own: Path, class_names: tuple[str, ...]) -> Replacement:
    if not (path / _CONFIG).exists():
        raise SettingsError(f"{name} is {path}, which has no {_CONFIG}; {_advice(name, path)}")
    config = read_json(path / _CONFIG)
    class_name = config.get("_class_name")
    if class_name not in class_names:
        raise SettingsError(
            f"{name}: {path / _CONFIG} is of the class {class_name!r}; it must be"
            f" {' or '.join(map(repr, class_names))}"
        )
    component_files.check_files(path)
    component_files.check_has_weights(path)
    _check_interface(name, path / _CONFIG, config, read_json(own / _CONFIG))
    return Replacement(name, path, class_name, path)


def _advice(name: str, path: Path) -> str:
    if (path / INDEX).exists():
        return f"it is a whole checkpoint; use {path / name}"
    files = f"a {WEIGHTS} file" if name == DECODER else f"a {WEIGHTS} or {GGUF} file"
    return f"it must be the directory of a {name} in diffusers format, or {files}"


def _check_interface(
    name: str, file: Path, found: Mapping[str, Any], own: Mapping[str, Any]
) -> None:
    """An option that either configuration lacks may have any value."""
    expected = _interface(own)
    for key, value in _interface(found).items():
        if value != (own_value := expected.get(key, value)):
            raise SettingsError(
                f"{name}: {file} has {key} = {value!r}, but the checkpoint's own {name} has"
                f" {own_value!r}; use a {name} for this family"
            )


def _interface(config: Mapping[str, Any]) -> dict[str, Any]:
    facts = {key: config[key] for key in _INTERFACE if key in config}
    if config.get("_class_name") == _VAE_CLASS:
        facts["scaling_factor"] = config.get("scaling_factor", _SCALING_FACTOR)
    if "latent_channels" in config and "block_out_channels" in config:
        facts["number of block_out_channels"] = len(config["block_out_channels"])
    return facts


def _read_file(name: str, path: Path, own: Path, class_name: str) -> Replacement:
    if not path.is_file():
        fault = "is not a regular file" if path.exists() else "does not exist"
        raise SettingsError(f"{name} is {path}, which {fault}; {_advice(name, path)}")
    component_files.check_head(path)
    if path.suffix not in ((WEIGHTS,) if name == DECODER else (WEIGHTS, GGUF)):
        raise SettingsError(f"{name} is {path}; {_advice(name, path)}")
    tensors = read_tensors(path)
    shapes = {name: tensor.shape for name, tensor in tensors.items()}
    candidates = VAE_PREFIXES if name == DECODER else (DENOISER_PREFIX,)
    prefix = next((one for one in candidates if any(map(_starts_with(one), shapes))), "")
    if not _is_inside(name, shapes, prefix):
        raise SettingsError(
            f"{name} is {path}, which is {describe(shapes)}; use a file with the weights of a"
            f" {name}"
        )
    chosen = tuple(tensors[name] for name in tensors if name.startswith(prefix))
    return Replacement(name, path, class_name, own, path, prefix, chosen)


def _starts_with(prefix: str) -> Callable[[str], bool]:
    return lambda name: name.startswith(prefix)


def _is_inside(name: str, shapes: Shapes, prefix: str) -> bool:
    """Whether a file with these tensors has the component, as far as their names show it."""
    if name == DECODER:
        return any(_VAE_MARK.match(tensor.removeprefix(prefix)) for tensor in shapes)
    return bool(prefix) or not _NO_DENOISER.match(describe(shapes))
