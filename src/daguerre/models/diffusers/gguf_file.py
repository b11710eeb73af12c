"""GGUF files, which have quantized weights; reading one needs the package gguf, but not torch."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from daguerre.errors import SettingsError, one_line
from daguerre.models.diffusers.component_files import StoredTensor

LIBRARY = "gguf"
_EXECUTORS = ("auto", "eager")
_PLAIN = ("F32", "F16")
_COMPUTED = "BF16"  # the type for dequantized weights, by the names of safetensors


def read(file: Path) -> dict[str, StoredTensor]:
    """The tensors by their names. Raises `SettingsError` for a damaged file, or without gguf."""
    if importlib.util.find_spec(LIBRARY) is None:
        raise SettingsError(
            f"{file} is a GGUF file, which needs the package {LIBRARY}; install it:"
            " pip install 'daguerre[diffusers,gguf]'"
        )
    from gguf import GGUFReader

    try:
        return {
            tensor.name: StoredTensor(
                name if (name := tensor.tensor_type.name) in _PLAIN else _COMPUTED,
                tuple(map(int, reversed(tensor.shape))),
                int(tensor.n_bytes),
            )
            for tensor in GGUFReader(file).tensors
        }
    except OSError:
        raise
    except Exception as error:  # the reader does not check what it reads
        raise SettingsError(
            f"{file} is not a GGUF file, or is damaged: {one_line(error)}; download it again"
        ) from None


def check_executor(executor: str) -> None:
    """Raises `SettingsError` for one that cannot run weights of a GGUF file."""
    if executor not in _EXECUTORS:
        raise SettingsError(
            f"executor is {executor!r}; with a GGUF file it must be"
            f" {' or '.join(map(repr, _EXECUTORS))}"
        )
