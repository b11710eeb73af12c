"""A checkpoint in diffusers format: a folder that is looked through before anything is loaded.

Refuses what this server does not serve, weights that are not safetensors, and components that name
code of their own. Raises `SettingsError` with the file and what it must hold. Loads no torch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daguerre.errors import SettingsError
from daguerre.models.diffusers.families import FAMILIES, Family, find

INDEX = "model_index.json"
_LIBRARIES = ("diffusers", "transformers")
# The one class that stands in a folder of diffusers' own pipelines.
_SAFETY_CHECKER = ("stable_diffusion", "StableDiffusionSafetyChecker")
# What decides a picture; licences, cards and weights in other formats do not.
_SUFFIXES = (".json", ".model", ".safetensors", ".txt")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """`components` is name -> (library, class) of what the pipeline is made of."""

    folder: Path
    family: Family
    components: Mapping[str, tuple[str, str]]

    @property
    def weights(self) -> tuple[Path, ...]:
        return tuple(file for file in self.files() if file.suffix == ".safetensors")

    @property
    def created(self) -> int:
        """When the newest of the weights was written, in unix seconds."""
        return int(max(file.stat().st_mtime for file in self.weights))

    @property
    def networks(self) -> tuple[str, ...]:
        """The components that the engine evaluates."""
        names = (*self.family.text_encoders, self.family.denoiser, "vae")
        return tuple(name for name in names if name in self.components)

    def files(self) -> Iterator[Path]:
        """All that decides a picture, in an order that the folder's place does not change."""
        yield self.folder / INDEX
        for name in sorted(self.components):
            files = (self.folder / name).iterdir()
            yield from sorted(file for file in files if file.suffix in _SUFFIXES)

    def sha256(self) -> str:
        """One digest of all files: reads every byte of the weights."""
        digest = hashlib.sha256()
        for file in self.files():
            digest.update(file.relative_to(self.folder).as_posix().encode())
            with file.open("rb") as opened:
                digest.update(hashlib.file_digest(opened, "sha256").digest())
        return digest.hexdigest()


def read(folder: Path) -> Checkpoint:
    index = _read_json(folder / INDEX)
    pipeline = index.get("_class_name")
    if not isinstance(pipeline, str) or pipeline not in FAMILIES:
        raise SettingsError(
            f"{folder / INDEX}: the pipeline is {pipeline!r}; served are {', '.join(FAMILIES)}"
        )
    components = {
        name: _component(folder, name, entry)
        for name, entry in index.items()
        if isinstance(entry, list) and entry != [None, None] and not name.startswith("_")
    }
    denoiser = FAMILIES[pipeline].denoiser
    _expect(folder, components, denoiser, FAMILIES[pipeline].denoiser_class)
    _expect(folder, components, "vae", "AutoencoderKL")
    family = find(pipeline, _read_json(folder / denoiser / "config.json"))
    checkpoint = Checkpoint(folder, family, components)
    for name in checkpoint.networks:
        if not any((folder / name).glob("*.safetensors")):
            raise SettingsError(
                f"{folder / name} holds no *.safetensors; other weights are refused"
            )
    return checkpoint


def _read_json(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(
            f"{file} cannot be read: {error.strerror or error}; a folder in diffusers format has it"
        ) from None
    except ValueError as error:
        raise SettingsError(f"{file} is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise SettingsError(f"{file} must hold a JSON object")
    return content


def _component(folder: Path, name: str, entry: list[Any]) -> tuple[str, str]:
    """Only classes of the two libraries: any other name would be imported from the folder."""
    if len(entry) != 2 or not all(isinstance(part, str) for part in entry):
        raise SettingsError(f"{folder / INDEX}: {name} is {entry!r}; it must be [library, class]")
    library, class_name = entry
    if library not in _LIBRARIES and (library, class_name) != _SAFETY_CHECKER:
        raise SettingsError(
            f"{folder / INDEX}: {name} is of {library!r}; only {' and '.join(_LIBRARIES)} are"
            " loaded, and no code from a checkpoint is run"
        )
    if not name.isidentifier() or not (folder / name).is_dir():
        raise SettingsError(f"{folder / INDEX} names {name!r}, but there is no such folder")
    return library, class_name


def _expect(
    folder: Path, components: Mapping[str, tuple[str, str]], name: str, class_name: str
) -> None:
    found = components.get(name, (None, None))[1]
    if found != class_name:
        raise SettingsError(f"{folder / INDEX}: {name} is {found!r}; served is {class_name}")
