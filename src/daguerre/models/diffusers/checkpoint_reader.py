"""Reads a checkpoint of either form, with the components that replace its own. Loads no torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from daguerre.errors import SettingsError
from daguerre.models.diffusers import checkpoint
from daguerre.models.diffusers.checkpoint import Checkpoint
from daguerre.models.diffusers.replacement_reader import replace_components
from daguerre.models.diffusers.single_file import reader


def read(path: Path, base: Path | None, components: Mapping[str, Path]) -> Checkpoint:
    """Raises `SettingsError` for a path that is damaged, not supported, or lacks something."""
    if path.is_file():
        own = reader.read(path, base, components)
    elif base and path.exists():
        raise SettingsError(
            f"base is {base}, but {path} is a directory; base has what a single file lacks;"
            " remove it"
        )
    else:
        own = checkpoint.read(path, components)
    return replace_components(own, components)
