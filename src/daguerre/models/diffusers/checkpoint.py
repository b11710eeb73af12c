"""A checkpoint in diffusers format: a directory that is validated before anything is loaded.

Refuses unsupported pipelines, weights that are not safetensors, and components with code of their
own. A `SettingsError` names the file and what it must hold. Loads no torch.
"""

from __future__ import annotations

import hashlib
import reprlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daguerre.errors import SettingsError
from daguerre.models.diffusers import component_files, quantization
from daguerre.models.diffusers.component_files import WEIGHTS, read_json
from daguerre.models.diffusers.families import FAMILIES, find_family
from daguerre.models.diffusers.family import Family

INDEX = "model_index.json"
DECODER, SAMPLER = "vae", "scheduler"
_LIBRARIES = ("diffusers", "transformers")
# The one class that an index names by a module of diffusers' pipelines.
_SAFETY_CHECKER = ("stable_diffusion", "StableDiffusionSafetyChecker")
_UNSEEDED_SAMPLER = "DPMSolverSDEScheduler"
_SINGLE_FILES = (WEIGHTS, ".ckpt", ".gguf")
_CONVERT = (
    "convert a single-file checkpoint with diffusers: from_single_file(FILE).save_pretrained(DIR)"
)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """`components` maps the name of a pipeline's component to its library and class.

    `missing_components` are the text encoders and tokenizers that its index sets to null;
    `quantized_components` are stored in a quantized type.
    """

    folder: Path
    family: Family
    components: Mapping[str, tuple[str, str]]
    missing_components: frozenset[str] = frozenset()
    quantized_components: frozenset[str] = frozenset()

    @property
    def weights(self) -> tuple[Path, ...]:
        return tuple(file for file in self.files() if file.suffix == WEIGHTS)

    @property
    def created(self) -> int:
        """Modification time of the newest weights, in Unix seconds."""
        return int(max(file.stat().st_mtime for file in self.weights))

    @property
    def networks(self) -> tuple[str, ...]:
        """Names of the components that the engine evaluates."""
        names = (*self.family.text_encoders, self.family.denoiser, DECODER)
        return tuple(name for name in names if name in self.components)

    @property
    def is_denoiser_quantized(self) -> bool:
        return self.family.denoiser in self.quantized_components

    def files(self) -> Iterator[Path]:
        """All files that determine an image, in an order that is the same everywhere."""
        yield self.folder / INDEX
        for name in sorted(self.components):
            yield from component_files.loadable_files(self.folder / name)

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


def read(folder: Path) -> Checkpoint:
    """Raises `SettingsError` for a checkpoint that is damaged or not supported."""
    try:
        _check_folder(folder)
        return _Reader(folder).checkpoint()
    except OSError as error:  # no permission, or a file was removed
        raise SettingsError(f"{folder} cannot be read: {error}") from None


def read_index(file: Path) -> dict[str, Any]:
    """Reads the `model_index.json` of a supported pipeline."""
    index = read_json(file)
    pipeline = index.get("_class_name")
    if not isinstance(pipeline, str) or pipeline not in FAMILIES:
        raise SettingsError(
            f"{file}: the pipeline is {_shorten(pipeline)}; supported: {', '.join(FAMILIES)}"
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
        self._quantized: set[str] = set()
        names = component_names(self._index)
        self._components = {name: self._read_component(name, self._index[name]) for name in names}
        for name in names:
            component_files.check_files(folder / name)

    def checkpoint(self) -> Checkpoint:
        folder, index = self._folder, self._index
        family = FAMILIES[index["_class_name"]]
        self._expect_class(family.denoiser, family.denoiser_class)
        self._expect_class(DECODER, family.decoder_class)
        family = find_family(index, read_json(folder / family.denoiser / "config.json"))
        self._expect_components(family)
        self._check_sampler(folder / SAMPLER)
        for name in family.guiders:
            if name in self._components:
                self._expect_guider(name, family.guider_class)
        parts = {*family.text_encoders, *(name for name, _ in family.prompt_tokenizers)}
        missing = frozenset(name for name in parts if index.get(name) == [None, None])
        quantized = frozenset(self._quantized)
        checkpoint = Checkpoint(folder, family, self._components, missing, quantized)
        for name, (_, class_name) in self._components.items():
            if name in checkpoint.networks or _is_model(class_name):
                component_files.check_has_weights(folder / name)
        return checkpoint

    def _read_component(self, name: str, entry: list[Any]) -> tuple[str, str]:
        """Accepts classes of the two libraries only: others would be imported from the folder."""
        if len(entry) != 2 or not all(isinstance(part, str) for part in entry):
            raise SettingsError(
                f"{self._index_file}: {name} is {_shorten(entry)}; it must be [library, class]"
            )
        library, class_name = entry
        if library not in _LIBRARIES and (library, class_name) != _SAFETY_CHECKER:
            raise SettingsError(
                f"{self._index_file}: {name} is from {library!r}; the library must be"
                f" {' or '.join(_LIBRARIES)}, because code from a checkpoint is never run"
            )
        if not name.isidentifier() or not (self._folder / name).is_dir():
            raise SettingsError(f"{self._index_file} names {name!r}, but there is no such folder")
        for file in component_files.loadable_files(self._folder / name):
            if file.name.endswith("config.json"):
                self._check_config(name, file, read_json(file))
        return library, class_name

    def _check_config(self, name: str, file: Path, config: Mapping[str, Any]) -> None:
        if "auto_map" in config:  # transformers would ask on the terminal
            raise SettingsError(
                f"{file} has auto_map, which names code; code from a checkpoint is never run"
            )
        stored = config.get("quantization_config")
        if isinstance(stored, dict):
            quantization.check_stored(file, stored)
            self._quantized.add(name)

    def _expect_class(self, name: str, class_name: str) -> None:
        found = self._components.get(name, (None, None))[1]
        if found != class_name:
            raise SettingsError(
                f"{self._index_file}: {name} is {found!r}; it must be {class_name!r}"
            )

    def _expect_components(self, family: Family) -> None:
        optional = family.optional_text_encoders - self._components.keys()
        encoders = [name for name in family.text_encoders if name not in optional]
        tokenizers = [name.replace("text_encoder", "tokenizer") for name in encoders]
        required = {*encoders, *tokenizers, *family.guiders[:1], SAMPLER}
        missing = sorted(required - self._components.keys())
        if missing:
            raise SettingsError(
                f"{self._index_file} has no {', '.join(missing)}, which {family.pipeline} needs"
            )

    def _check_sampler(self, component: Path) -> None:
        """Else it would ask for the package torchsde, and be refused with it, too."""
        file = component / "scheduler_config.json"
        is_unseeded = self._components[SAMPLER][1] == _UNSEEDED_SAMPLER
        if is_unseeded and read_json(file).get("noise_sampler_seed") is None:
            raise SettingsError(
                f"{file}: the noise of {_UNSEEDED_SAMPLER} does not depend on the request's seed;"
                " use DPMSolverMultistepScheduler with algorithm_type sde-dpmsolver++"
            )

    def _expect_guider(self, name: str, class_name: str) -> None:
        """Other guiders change the networks, or skip steps, so forwards are miscounted."""
        self._expect_class(name, class_name)
        file = self._folder / name / "guider_config.json"
        config = read_json(file)
        start, stop = config.get("start", 0.0), config.get("stop", 1.0)
        if (start, stop) != (0.0, 1.0):
            raise SettingsError(
                f"{file}: start is {_shorten(start)} and stop is {_shorten(stop)}; they must be 0.0"
                " and 1.0, because guidance applies to every step"
            )


def _check_folder(folder: Path) -> None:
    """Raises `SettingsError` for a path that has no index, and says what it is instead."""
    if (folder / INDEX).exists():
        return
    if not folder.exists():
        raise SettingsError(f"{folder} does not exist; path must be a checkpoint's directory")
    if not folder.is_dir():
        raise SettingsError(
            f"{folder} is a file; a checkpoint in diffusers format is a directory; {_CONVERT}"
        )
    raise SettingsError(f"{folder} has no {INDEX}; {_what_it_is(folder)}")


def _what_it_is(folder: Path) -> str:
    if snapshots := sorted(file.parent for file in folder.glob(f"snapshots/*/{INDEX}")):
        return f"it is a hub's cache; use a snapshot: {', '.join(map(str, snapshots))}"
    if (folder.parent / INDEX).exists():
        return f"it is a component of {folder.parent}; use that path"
    if names := sorted(file.name for file in folder.iterdir() if file.suffix in _SINGLE_FILES):
        return f"it has {names[0]}; {_CONVERT}"
    return "a checkpoint in diffusers format has it"


def _is_model(class_name: str) -> bool:
    """Whether a component has weights; tokenizers, samplers and processors have none."""
    return "Model" in class_name or class_name == _SAFETY_CHECKER[1]


def _shorten(value: object) -> str:
    """`repr` with a limited length and depth."""
    return reprlib.repr(value)
