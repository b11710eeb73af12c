"""Reads a single-file checkpoint: which component comes from where. Loads no torch.

The file holds weights. Configurations and CLIP's tokenizers of the published sizes are in this
package. All else comes from a base, a checkpoint of the same family in diffusers format.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from pathlib import Path
from typing import Any

from daguerre.errors import SettingsError
from daguerre.models.diffusers import checkpoint, component_files
from daguerre.models.diffusers.checkpoint import DECODER, SAMPLER, Checkpoint
from daguerre.models.diffusers.component import (
    SAMPLER_CONFIG,
    check_sampler,
    quantized_by,
    read_component,
)
from daguerre.models.diffusers.component_files import INDEX, read_json
from daguerre.models.diffusers.distillation import Distillation, find_distillation
from daguerre.models.diffusers.families import FAMILIES, find_family
from daguerre.models.diffusers.library_errors import naming_key
from daguerre.models.diffusers.single_file.layouts import CONFIGURATIONS, MERGES
from daguerre.models.diffusers.single_file.recognition import recognize
from daguerre.models.diffusers.single_file.single_file import SingleFile

logger = logging.getLogger(__name__)

# diffusers loads none of them with a single file.
_UNUSED = frozenset({"safety_checker", "feature_extractor", "image_encoder"})


def read(file: Path, base: Path | None = None, replaced: Collection[str] = ()) -> Checkpoint:
    """Reads a file, which need not have the components `replaced`.

    Raises `SettingsError` for one that is damaged, not supported, or lacks components.
    """
    return _Reader(file, base, replaced).checkpoint()


class _Reader:
    def __init__(self, file: Path, base: Path | None, replaced: Collection[str]) -> None:
        self._file, self._base, self._replaced = file, base, replaced
        self._found = recognize(file)
        self._family = FAMILIES[self._found.layout.pipeline]
        self._base_index = self._read_base(base) if base else {}
        self._folder = self._choose_folder()
        self._index = read_json(self._folder / INDEX)
        self._folders: dict[str, Path] = {}
        self._components: dict[str, tuple[str, str]] = {}

    def checkpoint(self) -> Checkpoint:
        names = set(checkpoint.component_names(self._index)) - _UNUSED
        lacking = sorted(name for name in names if not self._find(name))
        dropped = self._drop_optional(lacking)
        self._check_lacking([name for name in lacking if name not in dropped])
        self._check_classes()
        config = read_json(self._folders[self._family.denoiser] / "config.json")
        family = find_family(self._index, config)
        distillation = family.kind(self._found.distillation or self._distillation_of_base(config))
        return Checkpoint(
            self._folder,
            family.distill(distillation),
            self._components,
            dropped,
            self._quantized(),
            self._single_file(),
            distillation,
        )

    def _distillation_of_base(self, denoiser_config: dict[str, Any]) -> Distillation | None:
        """The kind that the sampler of a base shows."""
        sampler = read_json(self._folders[SAMPLER] / SAMPLER_CONFIG)
        return find_distillation(self._family.pipeline, "", sampler, denoiser_config)

    def _read_base(self, base: Path) -> dict[str, Any]:
        with naming_key("base"):
            checkpoint.check_folder(base)
            index = checkpoint.read_index(base / INDEX)
        found, layout = index["_class_name"], self._found.layout
        if found != layout.pipeline:
            raise SettingsError(
                f"base {base} is a {found}, but {self._file} is {layout.checkpoints}; base must be"
                f" a {layout.pipeline}"
            )
        return index

    def _choose_folder(self) -> Path:
        """The configurations of a known size, else those of the base."""
        variant, layout = self._found.variant, self._found.layout
        if variant:
            return CONFIGURATIONS / variant.configuration
        if self._base:
            return self._base
        reason = f" ({self._found.difference})" if self._found.difference else ""
        raise SettingsError(
            f"{self._file} is {layout.checkpoints}, of a size that daguerre has no configuration"
            f" for{reason}; add a base with --base, or with the key base of the catalog: the"
            f" directory of a {layout.pipeline} of that size in diffusers format"
        )

    def _find(self, name: str) -> bool:
        """Whether the component is there; remembers its class and its directory."""
        is_model = name in (*self._family.text_encoders, self._family.denoiser, DECODER)
        in_file = name in self._found.prefixes or name in self._replaced
        folder = self._folder / name
        if self._found.variant and folder.is_dir() and (in_file or not is_model):
            self._components[name] = read_component(self._folder / INDEX, name, self._index[name])
        elif self._base and name in checkpoint.component_names(self._base_index):
            folder = self._base / name
            entry = self._base_index[name]
            self._components[name] = read_component(self._base / INDEX, name, entry)
            if not in_file:
                component_files.check_files(folder)
                if is_model:
                    component_files.check_has_weights(folder)
        else:
            return False
        self._folders[name] = folder
        return True

    def _drop_optional(self, lacking: list[str]) -> frozenset[str]:
        """Drops an optional text encoder without its tokenizer, or the reverse."""
        pairs = [
            {name, name.replace("text_encoder", "tokenizer")}
            for name in self._family.optional_text_encoders
        ]
        dropped = frozenset(name for pair in pairs if pair & {*lacking} for name in pair)
        for name in dropped & self._components.keys():
            logger.warning("%s is served without %s, because it has no base", self._file, name)
            del self._components[name], self._folders[name]
        return dropped

    def _check_lacking(self, lacking: list[str]) -> None:
        if lacking:
            layout = self._found.layout
            raise SettingsError(
                f"{self._file} is {layout.checkpoints} without {', '.join(lacking)}; add a base"
                " with --base, or with the key base of the catalog: the directory of a"
                f" {layout.pipeline} in diffusers format that has them"
            )

    def _check_classes(self) -> None:
        family = self._family
        expected = {family.denoiser: family.denoiser_class, DECODER: family.decoder_class}
        for name, class_name in expected.items():
            if (found := self._components[name][1]) != class_name:
                raise SettingsError(
                    f"{self._folder / INDEX}: {name} is {found!r}; it must be {class_name!r}"
                )
        file = self._folders[SAMPLER] / SAMPLER_CONFIG
        check_sampler(file, read_json(file), self._components[SAMPLER][1])

    def _quantized(self) -> dict[str, str]:
        """The components of the base that are stored in a quantized type, and by which package."""
        others = self._components.keys() - self._found.prefixes.keys()
        return {name: by for name in others if (by := quantized_by(self._folders[name]))}

    def _single_file(self) -> SingleFile:
        found = self._found
        shared = (MERGES,) if found.variant else ()
        return SingleFile(
            self._file, found.tensors, found.prefixes, self._folders, found.sampler, shared
        )
