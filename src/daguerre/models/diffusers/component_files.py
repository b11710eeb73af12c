"""The files of a checkpoint's components: which ones are loaded, and whether they are intact.

Of the weights only the headers are read. A `SettingsError` names the file, its fault and what to
do. Loads no torch.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from daguerre.errors import SettingsError

INDEX = "model_index.json"
WEIGHTS = ".safetensors"
# The first that a component has is loaded. Weights without a variant come first, as in diffusers,
# so that an added file changes no image. Other variants, such as non_ema, are other weights.
VARIANTS = ("", "fp32", "fp16", "bf16")
_LOADABLE_SUFFIXES = (".jinja", ".json", ".model", WEIGHTS, ".txt")
_PICKLES = (".bin", ".ckpt", ".pt", ".pth")
# Python code that copies a checkpoint to another directory, with safetensors instead of pickles.
_CONVERSION = (
    "from diffusers import DiffusionPipeline as P;"
    " P.from_pretrained({!r}, variant={!r}).save_pretrained({!r})"
)
_WEIGHTS_INDEX = f"{WEIGHTS}.index"
SHARD = re.compile(r"-\d{5}-of-\d{5}")
_HEAD_BYTES = 64
_BOM = b"\xef\xbb\xbf"
# Start of a file, in lower case -> what the file is instead, and what to do.
_OTHER_CONTENT = {
    b"version https://git-lfs": "a pointer of git-lfs, not the file itself; run: git lfs pull",
    b"<!doctype": "an HTML page, not the file itself; download it again",
    b"<html": "an HTML page, not the file itself; download it again",
}

_ADVICE: Mapping[type[OSError], str] = {
    PermissionError: "; give this user the permission to read it",
    FileNotFoundError: "; correct the path, or download it again",
}


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A tensor in a safetensors file: its type by the format's names, such as "BF16"."""

    dtype: str
    shape: tuple[int, ...]
    num_bytes: int


@dataclass(frozen=True, slots=True)
class Header:
    """Header of a safetensors file: its tensors by their names, and free metadata."""

    tensors: Mapping[str, StoredTensor]
    metadata: Mapping[str, str]

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: tensor.shape for name, tensor in self.tensors.items()}


def select_files(names: Iterable[str]) -> list[str]:
    """The names of the files that a component is loaded from, sorted.

    Leaves out hidden files, other variants of the weights, other formats and model cards.
    """
    loadable = [
        name
        for name in sorted(names)
        if Path(name).suffix in _LOADABLE_SUFFIXES and not name.startswith(".")
    ]
    found = {_variant_of(name) for name in loadable if name.endswith(WEIGHTS)}
    chosen = next((variant for variant in VARIANTS if variant in found), "")
    return [name for name in loadable if _variant_of(name) in (None, chosen)]


def loadable_files(component: Path) -> list[Path]:
    """Sorted by name, so that the order is the same everywhere."""
    return [component / name for name in select_files(file.name for file in component.iterdir())]


def weight_files(component: Path) -> list[Path]:
    return [file for file in loadable_files(component) if file.suffix == WEIGHTS]


def variant(component: Path) -> str | None:
    """Variant of the weights that are loaded, as the libraries take it."""
    return next((_variant_of(file.name) for file in weight_files(component)), None) or None


def _variant_of(name: str) -> str | None:
    """Variant in the name of a file with weights or of their index: "" if it names none.

    None for other files. Shards have it before or after their number.
    """
    stem, weights, rest = SHARD.sub("", name).partition(WEIGHTS)
    if not weights:
        return None
    return stem.partition(".")[2] or rest.removesuffix(".json").removeprefix(".index")[1:]


def check_files(component: Path) -> None:
    """Raises `SettingsError` for a damaged or missing file."""
    files = loadable_files(component)
    for file in files:
        if file.suffix == WEIGHTS:
            read_header(file)
        else:
            check_head(file)
    for index in (file for file in files if _WEIGHTS_INDEX in file.name):
        if _whole_file(index).exists():
            continue  # transformers loads it instead
        for name in _shard_names(index):
            if not (component / name).is_file():
                raise SettingsError(f"{index} names {name}, which is missing; download it again")


def _whole_file(index: Path) -> Path:
    """The file of the same weights in one part."""
    stem, found = index.name.partition(_WEIGHTS_INDEX)[0], _variant_of(index.name)
    suffix = f".{found}" if found and not stem.endswith(f".{found}") else ""
    return index.with_name(f"{stem}{suffix}{WEIGHTS}")


def check_has_weights(component: Path) -> None:
    """Raises `SettingsError` if the component has no weights that can be loaded."""
    files = loadable_files(component)
    weights = [file.name for file in files if file.suffix == WEIGHTS]
    if not weights:
        raise SettingsError(_without_weights(component))
    has_index = any(_WEIGHTS_INDEX in file.name for file in files)
    if not has_index and all(map(SHARD.search, weights)):
        raise SettingsError(
            f"{component} has {weights[0]}, but no *{_WEIGHTS_INDEX}.json, which names the parts;"
            " download it again"
        )


def _without_weights(component: Path) -> str:
    names = sorted(file.name for file in component.iterdir() if not file.name.startswith("."))
    if other := next((name for name in names if name.endswith(WEIGHTS)), None):
        accepted = ", ".join(filter(None, VARIANTS))
        return (
            f"{component} has {other}, a variant that is not loaded; the variants {accepted} are,"
            " and files without one; rename the file if it has the weights that you want"
        )
    if pickle := next((name for name in names if name.endswith(_PICKLES)), None):
        variant = SHARD.sub("", Path(pickle).stem).partition(".")[2] or None
        folder = str(component.parent)
        code = _CONVERSION.format(folder, variant, f"{folder}-safetensors")
        return (
            f"{component} has {pickle}, a pickle, which can run code when it is loaded; if you"
            f" trust it, convert the checkpoint: {shlex.join(['python', '-c', code])}"
        )
    found = ", ".join(names[:10]) or "no files"
    return f"{component} has no *{WEIGHTS}; it has {found}; download it again"


def read_header(file: Path) -> Header:
    with _open(file) as opened:
        num_bytes = os.fstat(opened.fileno()).st_size
        length = int.from_bytes(opened.read(8), "little")
        text = opened.read(min(length, num_bytes))
    try:
        entries = json.loads(text)
        metadata = dict(entries.pop("__metadata__", {}))
        end = max((entry["data_offsets"][1] for entry in entries.values()), default=0)
        tensors = {name: _stored_tensor(entry) for name, entry in entries.items()}
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise SettingsError(
            f"{file} is not a safetensors file, or is damaged; download it again"
        ) from None
    if num_bytes != (expected := 8 + length + end):
        raise SettingsError(
            f"{file} has {num_bytes} bytes instead of {expected}; download it again"
        )
    return Header(tensors, {str(key): str(value) for key, value in metadata.items()})


def _stored_tensor(entry: Mapping[str, Any]) -> StoredTensor:
    start, end = entry["data_offsets"]
    return StoredTensor(str(entry["dtype"]), tuple(map(int, entry["shape"])), end - start)


def read_json(file: Path) -> dict[str, Any]:
    with _open(file) as opened:
        text = opened.read()
    try:
        content = json.loads(text.decode())
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"{file} is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise SettingsError(f"{file} must hold a JSON object")
    return content


def check_head(file: Path) -> None:
    """Raises `SettingsError` for a file whose start shows that it cannot be what its name says."""
    with _open(file):
        pass


@contextmanager
def _open(file: Path) -> Iterator[BinaryIO]:
    """Opens a file and checks its start. An OSError, also in the block, is a `SettingsError`."""
    try:
        _check_regular(file)
        with file.open("rb") as opened:
            _check_start(file, opened.read(_HEAD_BYTES))
            opened.seek(0)
            yield opened
    except OSError as error:
        raise SettingsError(unreadable(file, error)) from None


def _check_regular(file: Path) -> None:
    """A pipe would be read forever."""
    mode = file.stat().st_mode
    if not stat.S_ISREG(mode):
        fault = "is a directory" if stat.S_ISDIR(mode) else "is not a regular file"
        raise SettingsError(f"{file} {fault}; give the path of a file")


def _check_start(file: Path, head: bytes) -> None:
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


def unreadable(path: Path, error: OSError) -> str:
    """What is wrong with `path`, or with the file in it that the error names."""
    path = Path(error.filename or path)
    if os.path.islink(path) and not os.path.exists(path):
        return f"{path} is a link to {os.readlink(path)}, which is missing; download it again"
    advice = next((text for kind, text in _ADVICE.items() if isinstance(error, kind)), "")
    return f"{path} cannot be read: {error.strerror or error}{advice}"


def _shard_names(index: Path) -> Iterator[str]:
    names = read_json(index).get("weight_map")
    if not isinstance(names, dict) or not all(isinstance(name, str) for name in names.values()):
        raise SettingsError(f"{index} has no weight_map of file names; download it again")
    yield from sorted(set(names.values()))
