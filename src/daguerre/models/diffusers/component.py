"""A component of a checkpoint: its entry in the index, and its configurations. Loads no torch."""

from __future__ import annotations

import reprlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from daguerre.errors import SettingsError
from daguerre.models.diffusers import component_files, quantization
from daguerre.models.diffusers.component_files import read_json

# Classes that an index names by a module of diffusers' pipelines.
SAFETY_CHECKER = ("stable_diffusion", "StableDiffusionSafetyChecker")
_KOLORS = frozenset({("kolors", "ChatGLMModel"), ("kolors", "ChatGLMTokenizer")})
_ADAPTER_CONFIG = "adapter_config.json"
LIBRARIES = ("diffusers", "transformers")
SAMPLER_CONFIG = "scheduler_config.json"
UNSEEDED_SAMPLER = "DPMSolverSDEScheduler"
MAX_SAMPLER_INTEGER = 100_000  # of an option; some are lengths of tables


def read_component(index_file: Path, name: str, entry: Any) -> tuple[str, str]:
    """Reads an entry of an index, and the component's configurations.

    Accepts classes of the two libraries only: others would be imported from the folder.
    """
    if len(entry) != 2 or not all(isinstance(part, str) for part in entry):
        raise SettingsError(
            f"{index_file}: {name} is {reprlib.repr(entry)}; it must be [library, class]"
        )
    library, class_name = entry
    is_of_kolors = (library, class_name) in _KOLORS
    if library not in LIBRARIES and not is_of_kolors and (library, class_name) != SAFETY_CHECKER:
        raise SettingsError(
            f"{index_file}: {name} is from {library!r}; the library must be"
            f" {' or '.join(LIBRARIES)}, because code from a checkpoint is never run"
        )
    if not name.isidentifier() or not (index_file.parent / name).is_dir():
        raise SettingsError(f"{index_file} names {name!r}, but the folder does not exist")
    for file, config in _configs(index_file.parent / name):
        if file.name == _ADAPTER_CONFIG:  # transformers would add it to the weights
            raise SettingsError(
                f"{file} is of an adapter, which a component must not have; remove it and its"
                " weights, and name a LoRA in the key loras"
            )
        # transformers would ask on the terminal; published files of Kolors name the original code.
        if "auto_map" in config and not is_of_kolors:
            raise SettingsError(
                f"{file} has auto_map, which names code; code from a checkpoint is never run"
            )
    return library, class_name


def quantized_by(component: Path) -> str | None:
    """Package that has quantized the stored weights; None for plain ones.

    Raises `SettingsError` if it is not installed.
    """
    stored = [
        quantization.stored_by(file, config["quantization_config"])
        for file, config in _configs(component)
        if isinstance(config.get("quantization_config"), dict)
    ]
    return stored[0] if stored else None


def check_sampler(file: Path, config: Mapping[str, Any], class_name: str) -> None:
    """Raises `SettingsError` for an option that is too large, and for a sampler that draws its
    noise without the request's seed."""
    for name, value in config.items():
        if type(value) is int and value > MAX_SAMPLER_INTEGER:
            raise SettingsError(
                f"{file}: {name} is {value}; it must be at most {MAX_SAMPLER_INTEGER}; download the"
                " file again"
            )
    # It would ask for the package torchsde, and be refused with it, too.
    if class_name == UNSEEDED_SAMPLER and config.get("noise_sampler_seed") is None:
        raise SettingsError(f"{file}: {unseeded_message()}")


def unseeded_message() -> str:
    return (
        f"the noise of {UNSEEDED_SAMPLER} does not depend on the request's seed; use"
        " DPMSolverMultistepScheduler with algorithm_type sde-dpmsolver++"
    )


def _configs(component: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    for file in component_files.loadable_files(component):
        if file.name.endswith("config.json"):
            yield file, read_json(file)
