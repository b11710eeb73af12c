"""A checkpoint: its files, validated before anything is loaded.

`read` reads one in diffusers format, which is a directory; `single_file.reader` reads a file.
Refuses unsupported pipelines, weights that are not safetensors, and components with code of their
own. A `SettingsError` names the file and what it must hold. Loads no torch.
"""

from __future__ import annotations

import hashlib
import reprlib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from daguerre.errors import SettingsError
from daguerre.models.diffusers import component_files
from daguerre.models.diffusers.adapters.lora import Lora
from daguerre.models.diffusers.adapters.textual_inversion import TextualInversion
from daguerre.models.diffusers.component import (
    SAFETY_CHECKER,
    SAMPLER_CONFIG,
    check_sampler,
    quantized_by,
    read_component,
)
from daguerre.models.diffusers.component_files import INDEX, WEIGHTS, StoredTensor, read_json
from daguerre.models.diffusers.distillation import Distillation, find_distillation
from daguerre.models.diffusers.families import FAMILIES, find_family
from daguerre.models.diffusers.family import Family
from daguerre.models.diffusers.location import name_of
from daguerre.models.diffusers.other_folders import describe_folder, describe_pipeline
from daguerre.models.diffusers.replacement import Replacement
from daguerre.models.diffusers.single_file.single_file import SingleFile
from daguerre.storage.file_digests import read_digest

DECODER, SAMPLER = "vae", "scheduler"
_quoted = reprlib.Repr()
_quoted.maxstring = 80


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """`components` maps the name of a pipeline's component to its library and class.

    `missing_components` are the text encoders and tokenizers that its index sets to null;
    `quantized_components` maps those that are stored in a quantized type to the package that has
    quantized them. `single_file` holds the weights of some components; the others are in `folder`,
    except for the `replacements`. `distillation` is the kind of a distilled checkpoint. `loras` and
    `embeddings` change the weights during loading.
    """

    folder: Path
    family: Family
    components: Mapping[str, tuple[str, str]]
    missing_components: frozenset[str] = frozenset()
    quantized_components: Mapping[str, str] = field(default_factory=dict)
    single_file: SingleFile | None = None
    distillation: Distillation | None = None
    loras: tuple[Lora, ...] = ()
    embeddings: tuple[TextualInversion, ...] = ()
    replacements: Mapping[str, Replacement] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        """The path in the catalog."""
        return self.single_file.path if self.single_file else self.folder

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
    def max_prompt_tokens(self) -> int | None:
        return self.family.max_prompt_tokens(self.missing_components)

    @property
    def sampler_config(self) -> dict[str, Any]:
        """The sampler's configuration, with its class as `_class_name`."""
        config = read_json(self.component_folder(SAMPLER) / SAMPLER_CONFIG)
        changes = self.single_file.sampler if self.single_file else {}
        return {**config, "_class_name": self.components[SAMPLER][1], **changes}

    @property
    def denoiser_quantized_by(self) -> str | None:
        return self.quantized_components.get(self.family.denoiser)

    def component_folder(self, name: str) -> Path:
        """Directory of a component; of one in a single file, the directory of its config."""
        if name in self.replacements:
            return self.replacements[name].folder
        folders = self.single_file.folders if self.single_file else {}
        return folders.get(name, self.folder / name)

    def is_in_single_file(self, name: str) -> bool:
        """Whether the weights are in the checkpoint's single file."""
        prefixes = self.single_file.prefixes if self.single_file else {}
        return name in prefixes and name not in self.replacements

    def is_in_folder(self, name: str) -> bool:
        """Whether the weights are in the component's directory."""
        file = self.replacements[name].file if name in self.replacements else None
        return file is None and not self.is_in_single_file(name)

    def tensors(self, name: str) -> list[StoredTensor]:
        """A component's weights, from the headers of their files."""
        if name in self.replacements and not self.is_in_folder(name):
            return list(self.replacements[name].tensors)
        if self.single_file and self.is_in_single_file(name):
            return list(self.single_file.select(name, self.single_file.tensors).values())
        files = component_files.weight_files(self.component_folder(name))
        headers = map(component_files.read_header, files)
        return [tensor for header in headers for tensor in header.tensors.values()]

    def files_of(self, name: str) -> Iterator[Path]:
        """The files that determine a component."""
        for file in component_files.loadable_files(self.component_folder(name)):
            if file.suffix != WEIGHTS or self.is_in_folder(name):
                yield file
        if self.single_file and self.is_in_single_file(name):
            yield self.single_file.path
        if name in self.replacements and (replacing := self.replacements[name].file):
            yield replacing

    def files(self) -> Iterator[Path]:
        """All files that determine an image, in an order that is the same everywhere."""
        return (file for _, file in self._named_files())

    def _named_files(self) -> Iterator[tuple[str, Path]]:
        """The files with names that do not depend on where the checkpoint is."""
        yield INDEX, self.folder / INDEX
        for name in sorted(self.components):
            for file in component_files.loadable_files(self.component_folder(name)):
                if file.suffix != WEIGHTS or self.is_in_folder(name):
                    yield f"{name}/{file.name}", file
        if self.single_file:
            yield from self.single_file.named_files()
        for name, replacement in sorted(self.replacements.items()):
            if replacement.file:
                yield f"{name} in a file", replacement.file
        yield from ((lora.digest_name, lora.path) for lora in self.loras)
        yield from ((one.digest_name, one.path) for one in self.embeddings)

    def sha256(self, file_digest: Callable[[Path], bytes] = read_digest) -> str:
        """Digest of the names and the digests of all files; `read_digest` reads all weights."""
        digest = hashlib.sha256()
        for name, file in self._named_files():
            digest.update(name.encode() + file_digest(file))
        return digest.hexdigest()


def read(folder: Path, replaced: Collection[str] = ()) -> Checkpoint:
    """Reads a checkpoint, which need not have the weights of the components `replaced`.

    Raises `SettingsError` for one that is damaged or not supported.
    """
    check_folder(folder)
    return _Reader(folder, replaced).checkpoint()


def read_index(file: Path) -> dict[str, Any]:
    """Reads the `model_index.json` of a supported pipeline."""
    index = read_json(file)
    pipeline = index.get("_class_name")
    if not isinstance(pipeline, str) or pipeline not in FAMILIES:
        raise SettingsError(
            f"{file}: the pipeline is {_quoted.repr(pipeline)}{describe_pipeline(str(pipeline))};"
            f" supported: {', '.join(FAMILIES)}"
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
    def __init__(self, folder: Path, replaced: Collection[str]) -> None:
        self._folder = folder
        self._index_file = folder / INDEX
        self._index = read_index(self._index_file)
        names = component_names(self._index)
        self._components = {
            name: read_component(self._index_file, name, self._index[name]) for name in names
        }
        self._own = [name for name in names if name not in replaced]
        for name in self._own:
            component_files.check_files(folder / name)

    def checkpoint(self) -> Checkpoint:
        folder, index = self._folder, self._index
        family = FAMILIES[index["_class_name"]]
        self._expect_class(family.denoiser, family.denoiser_class)
        self._expect_class(DECODER, family.decoder_class)
        config = read_json(folder / family.denoiser / "config.json")
        file = folder / SAMPLER / SAMPLER_CONFIG
        sampler = read_json(file) if file.is_file() else {}
        family = find_family(index, config)
        found = find_distillation(family.pipeline, name_of(folder), sampler, config)
        distillation = family.kind(found)
        family = family.distill(distillation)
        self._expect_components(family)
        check_sampler(file, sampler, self._components[SAMPLER][1])
        for name in family.guiders:
            if name in self._components:
                self._expect_guider(name, family.guider_class)
        parts = {*family.text_encoders, *(name for name, _ in family.prompt_tokenizers)}
        missing = frozenset(name for name in parts if index.get(name) == [None, None])
        quantized = {name: by for name in self._own if (by := quantized_by(folder / name))}
        checkpoint = Checkpoint(
            folder, family, self._components, missing, quantized, distillation=distillation
        )
        for name in self._own:
            if name in checkpoint.networks or _is_model(self._components[name][1]):
                component_files.check_has_weights(folder / name)
        return checkpoint

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

    def _expect_guider(self, name: str, class_name: str) -> None:
        """Other guiders change the networks, or skip steps, so forwards are miscounted."""
        self._expect_class(name, class_name)
        file = self._folder / name / "guider_config.json"
        config = read_json(file)
        start, stop = config.get("start", 0.0), config.get("stop", 1.0)
        if (start, stop) != (0.0, 1.0):
            raise SettingsError(
                f"{file}: start is {reprlib.repr(start)} and stop is {reprlib.repr(stop)}; they"
                " must be 0.0 and 1.0, because guidance applies to every step"
            )


def check_folder(folder: Path) -> None:
    """Raises `SettingsError` for a path that has no index, and says what it is instead."""
    if (folder / INDEX).exists():
        return
    if not folder.exists():
        fault = "is a broken symbolic link" if folder.is_symlink() else "does not exist"
        raise SettingsError(
            f"{folder} {fault}; it must be a directory in diffusers format, or a {WEIGHTS} file"
        )
    if not folder.is_dir():
        fault = "is a file" if folder.is_file() else "is neither a directory nor a regular file"
        raise SettingsError(f"{folder} {fault}; it must be a directory in diffusers format")
    raise SettingsError(f"{folder} has no {INDEX}; {describe_folder(folder)}")


def _is_model(class_name: str) -> bool:
    """Whether a component has weights; tokenizers, samplers and processors have none."""
    return "Model" in class_name or class_name == SAFETY_CHECKER[1]
