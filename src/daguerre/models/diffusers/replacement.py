"""A component that the catalog takes from another path: the VAE, or the denoiser."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from daguerre.models.diffusers import gguf_file
from daguerre.models.diffusers.component_files import StoredTensor, read_header

GGUF = ".gguf"
REPLACEABLE = ("vae", "unet", "transformer")  # names of components, and the catalog's keys


@dataclass(frozen=True, slots=True)
class Replacement:
    """`folder` has the configuration. `file` has the weights, or None if they are in `folder`.

    `tensors` are those of the file, by names that begin with `prefix`. `path` is the path in the
    catalog.
    """

    name: str
    path: Path
    class_name: str
    folder: Path
    file: Path | None = None
    prefix: str = ""
    tensors: tuple[StoredTensor, ...] = field(default=(), repr=False)


def read_tensors(file: Path) -> Mapping[str, StoredTensor]:
    """The tensors in a file by their names, from its header."""
    return gguf_file.read(file) if file.suffix == GGUF else read_header(file).tensors
