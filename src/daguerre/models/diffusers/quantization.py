"""Eight-bit weights for a denoiser, by torchao.

Quantised are the linear layers that process every patch. Layers that produce one vector per step or
prompt (embeddings, modulations) are small and sensitive, and keep their type. Scales are per row,
so no row of a batch depends on another. torch and torchao are imported on first use.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import metadata, util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daguerre.errors import SettingsError
from daguerre.validation import Table, check_with

if TYPE_CHECKING:
    import torch

INT8, FLOAT8, FLOAT8_WEIGHTS = "int8-dynamic", "float8-dynamic", "float8-weight-only"
_CONFIGS: Mapping[str, str] = {  # classes of torchao
    "int8-weight-only": "Int8WeightOnlyConfig",
    INT8: "Int8DynamicActivationInt8WeightConfig",
    FLOAT8_WEIGHTS: "Float8WeightOnlyConfig",
    FLOAT8: "Float8DynamicActivationFloat8WeightConfig",
}
METHODS = tuple(_CONFIGS)
LIBRARY = "torchao"
# Method of a checkpoint that is stored quantized -> the module that loads it, and its package.
_STORED: Mapping[str, tuple[str, str]] = {
    "bitsandbytes": ("bitsandbytes", "bitsandbytes"),
    "quanto": ("optimum.quanto", "optimum-quanto"),
    LIBRARY: (LIBRARY, LIBRARY),
}
_FLOAT8_CAPABILITY = (8, 9)  # Ada, the first tensor cores with float8
_UNQUANTIZED = re.compile(r"norm|emb|mod|adaln", re.IGNORECASE)


def check(where: str, table: Table) -> None:
    """Raises `SettingsError` if other keys of the catalog's table exclude its quantization."""
    check_with(where, table, "quantization", "executor", ("auto", "eager"))
    needed = {"device": "cuda", "dtype": "bfloat16"} if table["quantization"] == FLOAT8 else {}
    for key, value in needed.items():
        if not str(table.get(key)).startswith(value):
            given = f"is {table[key]!r}" if key in table else "is missing"
            raise SettingsError(
                f"{where}: {key} {given}; with quantization {FLOAT8!r} it must be {value!r}"
            )


def check_stored(file: Path, config: Mapping[str, Any]) -> None:
    """Raises `SettingsError` if `config`, the `quantization_config` in `file`, needs a package that
    is not installed. Other methods are left to the library that loads them."""
    is_old = "quant_method" not in config and ("load_in_4bit" in config or "load_in_8bit" in config)
    method = "bitsandbytes" if is_old else str(config.get("quant_method"))
    module, package = _STORED.get(method, ("", ""))
    if module and not _is_installed(module):
        raise SettingsError(
            f"{file}: the weights are quantized by {method}, which is not installed; run:"
            f" pip install {package}"
        )


def _is_installed(module: str) -> bool:
    try:
        return util.find_spec(module) is not None
    except ModuleNotFoundError:  # its parent is missing
        return False


def fingerprint(method: str) -> str:
    return f"{method} by {LIBRARY} {metadata.version(LIBRARY)}"


def quantize(module: torch.nn.Module, method: str, device: torch.device) -> None:
    """Quantizes the module in place. Raises `SettingsError` if `device` does not support it."""
    from torchao import quantization as ao

    options = {}
    if method == FLOAT8:
        _check_device(device)
        options = {"granularity": ao.PerRow()}
    ao.quantize_(module, getattr(ao, _CONFIGS[method])(**options), filter_fn=is_quantized)


def is_quantized(module: torch.nn.Module, name: str) -> bool:
    import torch

    return isinstance(module, torch.nn.Linear) and not _UNQUANTIZED.search(name)


def _check_device(device: torch.device) -> None:
    import torch

    found = torch.cuda.get_device_capability(device) if device.type == "cuda" else (0, 0)
    if found < _FLOAT8_CAPABILITY:
        needed = ".".join(map(str, _FLOAT8_CAPABILITY))
        raise SettingsError(
            f"quantization is {FLOAT8!r}, which needs a CUDA device of compute capability {needed}"
            f" or higher; {device} has {'.'.join(map(str, found))}; use {FLOAT8_WEIGHTS!r}"
        )
