"""The files of a checkpoint's components: which ones are loaded, and whether they are intact.

Of the weights only the headers are read. A `SettingsError` names the file, its fault and what to
do. Loads no torch.
"""

from __future__ import annotations

import json
import os
import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daguerre.errors import SettingsError

WEIGHTS = ".safetensors"
_LOADABLE_SUFFIXES = (".jinja", ".json", ".model", WEIGHTS, ".txt")
_WEIGHTS_INDEX = f"{WEIGHTS}.index.json"
_SHARD = re.compile(r"-\d{5}-of-\d{5}\.safetensors")
_HEAD_BYTES = 64
_BOM = b"\xef\xbb\xbf"
# Start of a file, in lower case -> what the file is instead, and what to do.
_OTHER_CONTENT = {
    b"version https://git-lfs": "a pointer of git-lfs, not the file itself; run: git lfs pull",
    b"<!doctype": "an HTML page, not the file itself; download it again",
    b"<html": "an HTML page, not the file itself; download it again",
}


@dataclass(frozen=True, slots=True)
class Header:
    """Header of a safetensors file: the shape of each tensor by its name, and free metadata."""

    shapes: Mapping[str, tuple[int, ...]]
    metadata: Mapping[str, str]


def is_loadable_file(name: str) -> bool:
    """Whether a component is loaded from a file of this name: no hidden files, no variants, such
    as `model.fp16.safetensors`, no other weight formats and no model cards."""
    path = Path(name)
    is_variant = path.suffix == WEIGHTS and "." in path.stem
    return path.suffix in _LOADABLE_SUFFIXES and not is_variant and not name.startswith(".")


def loadable_files(component: Path) -> list[Path]:
    """Sorted by name, so that the order is the same everywhere."""
    return sorted(file for file in component.iterdir() if is_loadable_file(file.name))


def check_files(component: Path) -> None:
    """Raises `SettingsError` for a damaged or missing file."""
    files = loadable_files(component)
    for file in files:
        check_head(file)
        if file.suffix == WEIGHTS:
            tensor_shapes(file)
    for index in (file for file in files if file.name.endswith(_WEIGHTS_INDEX)):
        if "." in index.name.removesuffix(_WEIGHTS_INDEX):
            continue  # of a variant, whose files are not loaded
        if index.with_name(index.name.removesuffix(".index.json")).exists():
            continue  # transformers loads the whole file instead
        for name in _shard_names(index):
            if not (component / name).is_file():
                raise SettingsError(f"{index} names {name}, which is missing; download it again")


def check_has_weights(component: Path) -> None:
    """Raises `SettingsError` if the component has no weights that can be loaded."""
    files = loadable_files(component)
    weights = [file.name for file in files if file.suffix == WEIGHTS]
    if not weights:
        found = ", ".join(sorted(file.name for file in component.iterdir())[:10]) or "nothing"
        raise SettingsError(
            f"{component} has no *{WEIGHTS}, or only those of a variant; weights in other formats"
            f" are refused; it has {found}; save it again with diffusers, as safetensors without a"
            " variant"
        )
    has_index = any(file.name.endswith(_WEIGHTS_INDEX) for file in files)
    if not has_index and all(map(_SHARD.search, weights)):
        raise SettingsError(
            f"{component} has {weights[0]}, but no *{_WEIGHTS_INDEX}, which names the parts;"
            " download it again"
        )


def tensor_shapes(file: Path) -> list[tuple[int, ...]]:
    """Shapes of all tensors in a safetensors file."""
    return list(read_header(file).shapes.values())


def read_header(file: Path) -> Header:
    num_bytes = file.stat().st_size
    try:
        with file.open("rb") as opened:
            (length,) = struct.unpack("<Q", opened.read(8))
            tensors = json.loads(opened.read(min(length, num_bytes)))
        metadata = dict(tensors.pop("__metadata__", {}))
        end = max((tensor["data_offsets"][1] for tensor in tensors.values()), default=0)
        shapes = {name: tuple(map(int, tensor["shape"])) for name, tensor in tensors.items()}
    except (struct.error, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise SettingsError(
            f"{file} is not a safetensors file, or is damaged; download it again"
        ) from None
    if num_bytes != (expected := 8 + length + end):
        raise SettingsError(
            f"{file} has {num_bytes} bytes instead of {expected}; download it again"
        )
    return Header(shapes, {str(key): str(value) for key, value in metadata.items()})


def read_json(file: Path) -> dict[str, Any]:
    check_head(file)
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"{file} is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise SettingsError(f"{file} must hold a JSON object")
    return content


def check_head(file: Path) -> None:
    """Raises `SettingsError` for a file whose start shows that it cannot be what its name says."""
    try:
        with file.open("rb") as opened:
            head = opened.read(_HEAD_BYTES)
    except OSError as error:
        raise SettingsError(_unreadable(file, error)) from None
    if not head and file.suffix in (".json", WEIGHTS):
        raise SettingsError(f"{file} is empty; download it again")
    if head.startswith(_BOM) and file.suffix == ".json":
        raise SettingsError(
            f"{file} begins with a byte-order mark, which diffusers refuses; save it as UTF-8"
            " without one"
        )
    for start, found in _OTHER_CONTENT.items():
        if head.lower().startswith(start):
            raise SettingsError(f"{file} is {found}")


def _unreadable(file: Path, error: OSError) -> str:
    if file.is_symlink() and not file.exists():
        return f"{file} is a link to {os.readlink(file)}, which is missing; download it again"
    return f"{file} cannot be read: {error.strerror or error}"


def _shard_names(index: Path) -> Iterator[str]:
    names = read_json(index).get("weight_map")
    if not isinstance(names, dict) or not all(isinstance(name, str) for name in names.values()):
        raise SettingsError(f"{index} has no weight_map of file names; download it again")
    yield from sorted(set(names.values()))
