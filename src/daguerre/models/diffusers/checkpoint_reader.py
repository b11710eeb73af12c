"""Reads a checkpoint of either form, with the components that replace its own. Loads no torch."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from daguerre.errors import SettingsError
from daguerre.models.diffusers import checkpoint, component_files
from daguerre.models.diffusers.checkpoint import Checkpoint
from daguerre.models.diffusers.replacement_reader import replace_components
from daguerre.models.diffusers.single_file import reader


def read(path: Path, base: Path | None, components: Mapping[str, Path]) -> Checkpoint:
    """Raises `SettingsError` for a path that is damaged, not supported, or lacks something."""
    try:
        own = _read(path, base, components)
    except OSError as error:  # no permission, or a file was removed
        raise SettingsError(component_files.unreadable(path, error)) from None
    return replace_components(own, components)


def _read(path: Path, base: Path | None, replaced: Collection[str]) -> Checkpoint:
    if path.is_file():
        return reader.read(path, base, replaced)
    if base and path.exists():
        raise SettingsError(
            f"base is {base}, but {path} is a directory; base has what a single file lacks;"
            " remove it"
        )
    return checkpoint.read(path, replaced)
