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
DECODER = "vae"
_WEIGHTS = ".safetensors"
_LIBRARIES = ("diffusers", "transformers")
# The one class that stands in a folder of diffusers' own pipelines.
_SAFETY_CHECKER = ("stable_diffusion", "StableDiffusionSafetyChecker")
# What decides a picture; licences, cards and weights in other formats do not.
SUFFIXES = (".jinja", ".json", ".model", ".safetensors", ".txt")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """`components` is name -> (library, class) of what the pipeline is made of;
    `missing_components` are the readers of prompts that it could have, and has not by its own
    word."""

    folder: Path
    family: Family
    components: Mapping[str, tuple[str, str]]
    missing_components: frozenset[str] = frozenset()

    @property
    def weights(self) -> tuple[Path, ...]:
        return tuple(file for file in self.files() if file.suffix == _WEIGHTS)

    @property
    def created(self) -> int:
        """When the newest of the weights was written, in unix seconds."""
        return int(max(file.stat().st_mtime for file in self.weights))

    @property
    def sampler(self) -> str:
        """The name of its class."""
        return self.components["scheduler"][1]

    @property
    def networks(self) -> tuple[str, ...]:
        """The components that the engine evaluates."""
        names = (*self.family.text_encoders, self.family.denoiser, DECODER)
        return tuple(name for name in names if name in self.components)

    def files(self) -> Iterator[Path]:
        """All that decides a picture, in an order that the folder's place does not change."""
        yield self.folder / INDEX
        for name in sorted(self.components):
            files = (self.folder / name).iterdir()
            yield from sorted(file for file in files if is_loadable_file(file.name))

    def file_stats(self) -> tuple[tuple[str, int, int], ...]:
        """Name, size and time of each file: equal where nothing was written."""
        stats = ((file, file.stat()) for file in self.files())
        return tuple((str(file), stat.st_size, stat.st_mtime_ns) for file, stat in stats)

    def sha256(self) -> str:
        """One digest of all files: reads every byte of the weights."""
        digest = hashlib.sha256()
        for file in self.files():
            digest.update(file.relative_to(self.folder).as_posix().encode())
            with file.open("rb") as opened:
                digest.update(hashlib.file_digest(opened, "sha256").digest())
        return digest.hexdigest()


def is_loadable_file(name: str) -> bool:
    """Whether a component is loaded from a file of this name. Weights of a variant, as in
    `model.fp16.safetensors`, are not."""
    path = Path(name)
    return path.suffix in SUFFIXES and not (path.suffix == _WEIGHTS and "." in path.stem)


def read(folder: Path) -> Checkpoint:
    try:
        return _read(folder)
    except OSError as error:  # a folder that may not be read, or a file that is gone meanwhile
        raise SettingsError(f"{folder} cannot be read: {error}") from None


def _read(folder: Path) -> Checkpoint:
    index = read_index(folder / INDEX)
    components = {name: _component(folder, name, index[name]) for name in component_names(index)}
    kind = FAMILIES[index["_class_name"]]
    _expect(folder, components, kind.denoiser, kind.denoiser_class)
    _expect(folder, components, DECODER, kind.decoder_class)
    family = find(index, _read_json(folder / kind.denoiser / "config.json"))
    _expect_all(folder, components, family)
    for name in family.guiders:
        if name in components:
            _expect_guider(folder, components, name)
    parts = {*family.text_encoders, *(name for name, _ in family.prompt_tokenizers)}
    missing_components = frozenset(name for name in parts if index.get(name) == [None, None])
    checkpoint = Checkpoint(folder, family, components, missing_components)
    for name in checkpoint.networks:
        if not any(is_loadable_file(file.name) for file in (folder / name).glob(f"*{_WEIGHTS}")):
            raise SettingsError(
                f"{folder / name} holds no *{_WEIGHTS}, or only those of a variant; other weights"
                " are refused"
            )
    return checkpoint


def read_index(file: Path) -> dict[str, Any]:
    """The `model_index.json` of a pipeline that is served."""
    index = _read_json(file)
    pipeline = index.get("_class_name")
    if not isinstance(pipeline, str) or pipeline not in FAMILIES:
        raise SettingsError(
            f"{file}: the pipeline is {pipeline!r}; served are {', '.join(FAMILIES)}"
        )
    return index


def component_names(index: Mapping[str, Any]) -> list[str]:
    """Lists of numbers are options of the pipeline, and [null, null] is a part that it lacks."""
    return [
        name
        for name, entry in index.items()
        if isinstance(entry, list)
        and any(isinstance(part, str) for part in entry)
        and not name.startswith("_")
    ]


def _read_json(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(
            f"{file} cannot be read: {error.strerror or error}; a folder in diffusers format has it"
        ) from None
    except (ValueError, RecursionError) as error:
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
    for file in sorted((folder / name).glob("*config.json")):
        if "auto_map" in _read_json(file):  # transformers would ask the terminal whether to run it
            raise SettingsError(
                f"{file} names code of its own in auto_map; no code from a checkpoint is run"
            )
    return library, class_name


def _expect(
    folder: Path, components: Mapping[str, tuple[str, str]], name: str, class_name: str
) -> None:
    found = components.get(name, (None, None))[1]
    if found != class_name:
        raise SettingsError(f"{folder / INDEX}: {name} is {found!r}; served is {class_name}")


def _expect_guider(folder: Path, components: Mapping[str, tuple[str, str]], name: str) -> None:
    """Others change the networks, or guide some steps only, which are then not counted right."""
    _expect(folder, components, name, "AdaptiveProjectedMixGuidance")
    file = folder / name / "guider_config.json"
    config = _read_json(file)
    start, stop = config.get("start", 0.0), config.get("stop", 1.0)
    if (start, stop) != (0.0, 1.0):
        raise SettingsError(
            f"{file}: start is {start!r} and stop {stop!r}; served is guidance in every step,"
            " from 0.0 to 1.0"
        )


def _expect_all(folder: Path, components: Mapping[str, tuple[str, str]], family: Family) -> None:
    needed = [*family.text_encoders, *family.guiders[:1], "scheduler"]
    missing = [
        name
        for name in needed
        if name not in components and name not in family.optional_text_encoders
    ]
    prompt_tokenizers = [name for name, _ in family.prompt_tokenizers]
    if not any(name in components for name in prompt_tokenizers):
        missing.append(" or ".join(prompt_tokenizers))
    if missing:
        raise SettingsError(
            f"{folder / INDEX} names no {', '.join(missing)}; a {family.pipeline} needs it"
        )
