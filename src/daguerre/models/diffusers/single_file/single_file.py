"""Where the weights of each component are in a single file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

from daguerre.models.diffusers.component_files import StoredTensor

_Tensor = TypeVar("_Tensor")


@dataclass(frozen=True, slots=True)
class SingleFile:
    """A file with the weights of several components, in the layout of the model's authors.

    `tensors` are those of its header. `prefixes` are those of their names, for each component in
    the file; the checkpoint may leave an optional one out. `folders` are the directories of
    components outside the checkpoint's folder, `shared_files` what several of them use. `sampler`
    holds the options that replace those of the sampler's configuration.
    """

    path: Path
    tensors: Mapping[str, StoredTensor] = field(repr=False)
    prefixes: Mapping[str, tuple[str, ...]]
    folders: Mapping[str, Path]
    sampler: Mapping[str, Any]
    shared_files: tuple[Path, ...] = ()

    def select(self, name: str, tensors: Mapping[str, _Tensor]) -> dict[str, _Tensor]:
        """The tensors of a component. A denoiser may have no prefix: it has those of no other."""
        prefixes = self.prefixes[name]
        others = tuple(chain.from_iterable(self.prefixes.values() if prefixes == ("",) else ()))
        excluded = tuple(prefix for prefix in others if prefix)
        return {
            key: tensor
            for key, tensor in tensors.items()
            if key.startswith(prefixes) and not key.startswith(excluded)
        }

    def named_files(self) -> Iterator[tuple[str, Path]]:
        """The options of the sampler are part of the file's name."""
        yield f"single file {json.dumps(self.sampler, sort_keys=True)}", self.path
        for file in self.shared_files:
            yield file.name, file
