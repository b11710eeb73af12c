"""A checkpoint in diffusers format: a directory that is validated before anything is loaded.

Refuses unsupported pipelines, weights that are not safetensors, and components with code of their
own. A `SettingsError` names the file and what it must hold. Loads no torch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daguerre.errors import SettingsError
from daguerre.models.diffusers.families import FAMILIES, find_family
from daguerre.models.diffusers.family import Family

INDEX = "model_index.json"
DECODER = "vae"
_WEIGHTS = ".safetensors"
_LIBRARIES = ("diffusers", "transformers")
# The one class that an index names by a module of diffusers' pipelines.
_SAFETY_CHECKER = ("stable_diffusion", "StableDiffusionSafetyChecker")
_LOADABLE_SUFFIXES = (".jinja", ".json", ".model", _WEIGHTS, ".txt")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """`components` maps the name of a pipeline's component to its library and class.

    `missing_components` are the text encoders and tokenizers that its index sets to null.
    """

    folder: Path
    family: Family
    components: Mapping[str, tuple[str, str]]
    missing_components: frozenset[str] = frozenset()

    @property
    def weights(self) -> tuple[Path, ...]:
        return tuple(file for file in self.files() if file.suffix == _WEIGHTS)

    @property
    def created(self) -> int:
        """Modification time of the newest weights, in Unix seconds."""
        return int(max(file.stat().st_mtime for file in self.weights))

    @property
    def networks(self) -> tuple[str, ...]:
        """Names of the components that the engine evaluates."""
        names = (*self.family.text_encoders, self.family.denoiser, DECODER)
        return tuple(name for name in names if name in self.components)

    def files(self) -> Iterator[Path]:
        """All files that determine an image, in an order that is the same everywhere."""
        yield self.folder / INDEX
        for name in sorted(self.components):
            files = (self.folder / name).iterdir()
            yield from sorted(file for file in files if is_loadable_file(file.name))

    def file_stats(self) -> tuple[tuple[str, int, int], ...]:
        """Name, size and modification time of each file, to detect changes."""
        stats = ((file, file.stat()) for file in self.files())
        return tuple((str(file), stat.st_size, stat.st_mtime_ns) for file, stat in stats)

    def sha256(self) -> str:
        """Digest of all files; reads all weights."""
        digest = hashlib.sha256()
        for file in self.files():
            digest.update(file.relative_to(self.folder).as_posix().encode())
            with file.open("rb") as opened:
                digest.update(hashlib.file_digest(opened, "sha256").digest())
        return digest.hexdigest()


def is_loadable_file(name: str) -> bool:
    """Whether a component is loaded from a file of this name: no variants, such as
    `model.fp16.safetensors`, no other weight formats and no model cards."""
    path = Path(name)
    is_variant = path.suffix == _WEIGHTS and "." in path.stem
    return path.suffix in _LOADABLE_SUFFIXES and not is_variant


def read(folder: Path) -> Checkpoint:
    try:
        return _Reader(folder).checkpoint()
    except OSError as error:  # no permission, or a file was removed
        raise SettingsError(f"{folder} cannot be read: {error}") from None


def read_index(file: Path) -> dict[str, Any]:
    """Reads the `model_index.json` of a supported pipeline."""
    index = _read_json(file)
    pipeline = index.get("_class_name")
    if not isinstance(pipeline, str) or pipeline not in FAMILIES:
        raise SettingsError(
            f"{file}: the pipeline is {pipeline!r}; supported: {', '.join(FAMILIES)}"
        )
    return index


def component_names(index: Mapping[str, Any]) -> list[str]:
    """Names of the components; lists of numbers are options, and [null, null] is a missing one."""
    return [
        name
        for name, entry in index.items()
        if isinstance(entry, list)
        and any(isinstance(part, str) for part in entry)
        and not name.startswith("_")
    ]


class _Reader:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._index_file = folder / INDEX
        self._index = read_index(self._index_file)
        names = component_names(self._index)
        self._components = {name: self._read_component(name, self._index[name]) for name in names}

    def checkpoint(self) -> Checkpoint:
        folder, index = self._folder, self._index
        family = FAMILIES[index["_class_name"]]
        self._expect_class(family.denoiser, family.denoiser_class)
        self._expect_class(DECODER, family.decoder_class)
        family = find_family(index, _read_json(folder / family.denoiser / "config.json"))
        self._expect_components(family)
        for name in family.guiders:
            if name in self._components:
                self._expect_guider(name, family.guider_class)
        parts = {*family.text_encoders, *(name for name, _ in family.prompt_tokenizers)}
        missing = frozenset(name for name in parts if index.get(name) == [None, None])
        checkpoint = Checkpoint(folder, family, self._components, missing)
        for name in checkpoint.networks:
            files = (folder / name).glob(f"*{_WEIGHTS}")
            if not any(is_loadable_file(file.name) for file in files):
                raise SettingsError(
                    f"{folder / name} has no *{_WEIGHTS}, or only those of a variant; weights in"
                    " other formats are refused"
                )
        return checkpoint

    def _read_component(self, name: str, entry: list[Any]) -> tuple[str, str]:
        """Accepts classes of the two libraries only: others would be imported from the folder."""
        if len(entry) != 2 or not all(isinstance(part, str) for part in entry):
            raise SettingsError(
                f"{self._index_file}: {name} is {entry!r}; it must be [library, class]"
            )
        library, class_name = entry
        if library not in _LIBRARIES and (library, class_name) != _SAFETY_CHECKER:
            raise SettingsError(
                f"{self._index_file}: {name} is from {library!r}; the library must be"
                f" {' or '.join(_LIBRARIES)}, because code from a checkpoint is never run"
            )
        if not name.isidentifier() or not (self._folder / name).is_dir():
            raise SettingsError(f"{self._index_file} names {name!r}, but there is no such folder")
        for file in sorted((self._folder / name).glob("*config.json")):
            if "auto_map" in _read_json(file):  # transformers would ask on the terminal
                raise SettingsError(
                    f"{file} has auto_map, which names code; code from a checkpoint is never run"
                )
        return library, class_name

    def _expect_class(self, name: str, class_name: str) -> None:
        found = self._components.get(name, (None, None))[1]
        if found != class_name:
            raise SettingsError(
                f"{self._index_file}: {name} is {found!r}; it must be {class_name!r}"
            )

    def _expect_components(self, family: Family) -> None:
        required = {*family.text_encoders, *family.guiders[:1], "scheduler"}
        missing = sorted(required - self._components.keys() - family.optional_text_encoders)
        tokenizers = [name for name, _ in family.prompt_tokenizers]
        if not any(name in self._components for name in tokenizers):
            missing.append(" or ".join(tokenizers))
        if missing:
            raise SettingsError(
                f"{self._index_file} has no {', '.join(missing)}, which {family.pipeline} needs"
            )

    def _expect_guider(self, name: str, class_name: str) -> None:
        """Other guiders change the networks, or skip steps, so forwards are miscounted."""
        self._expect_class(name, class_name)
        file = self._folder / name / "guider_config.json"
        config = _read_json(file)
        start, stop = config.get("start", 0.0), config.get("stop", 1.0)
        if (start, stop) != (0.0, 1.0):
            raise SettingsError(
                f"{file}: start is {start!r} and stop is {stop!r}; they must be 0.0 and 1.0,"
                " because guidance applies to every step"
            )


def _read_json(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(
            f"{file} cannot be read: {error.strerror or error}; a checkpoint in diffusers format"
            " has it"
        ) from None
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"{file} is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise SettingsError(f"{file} must hold a JSON object")
    return content
