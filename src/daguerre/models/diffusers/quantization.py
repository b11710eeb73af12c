"""Eight-bit weights for a denoiser: by torchao, or by NNCF for the OpenVINO executor.

torchao quantizes the linear layers that process every patch. Layers that produce one vector per
step or prompt (embeddings, modulations) are small and sensitive, and keep their type. Scales are
per row, so no row of a batch depends on another. NNCF quantizes the converted graph
(`executors.int8`). torch, torchao and NNCF are imported on first use.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from importlib import metadata, util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daguerre.errors import SettingsError
from daguerre.models.diffusers import gguf_file
from daguerre.models.diffusers.devices import AUTO, CPU
from daguerre.models.diffusers.family import Family
from daguerre.validation import Table, check_with

if TYPE_CHECKING:
    import torch

CALIBRATED, CALIBRATED_EXECUTOR = "int8", "openvino"
INT8, FLOAT8, FLOAT8_WEIGHTS = "int8-dynamic", "float8-dynamic", "float8-weight-only"
_CONFIGS: Mapping[str, str] = {  # classes of torchao
    "int8-weight-only": "Int8WeightOnlyConfig",
    INT8: "Int8DynamicActivationInt8WeightConfig",
    FLOAT8_WEIGHTS: "Float8WeightOnlyConfig",
    FLOAT8: "Float8DynamicActivationFloat8WeightConfig",
}
METHODS = (CALIBRATED, *_CONFIGS)
LIBRARY, BITSANDBYTES, QUANTO = "torchao", "bitsandbytes", "optimum-quanto"
CALIBRATION_LIBRARY = "nncf"
# Method of a checkpoint that is stored quantized -> the module that loads it, and its package.
_STORED: Mapping[str, tuple[str, str]] = {
    BITSANDBYTES: (BITSANDBYTES, BITSANDBYTES),
    "quanto": ("optimum.quanto", QUANTO),
    LIBRARY: (LIBRARY, LIBRARY),
}
PACKAGES = tuple(sorted(package for _, package in _STORED.values()))
_FLOAT8_CAPABILITY = (8, 9)  # Ada, the first tensor cores with float8
_ALTERNATIVES = "use 'int8-weight-only' or 'int8-dynamic', or remove the key"
_UNQUANTIZED = re.compile(r"norm|emb|mod|adaln", re.IGNORECASE)


def check(where: str, table: Table) -> None:
    """Raises `SettingsError` if other keys of the catalog's table exclude its quantization."""
    if table["quantization"] == CALIBRATED:
        _check_calibrated(where, table)
        return
    check_with(where, table, "quantization", "executor", ("auto", "eager"))
    needed = {"device": "cuda", "dtype": "bfloat16"} if table["quantization"] == FLOAT8 else {}
    for key, value in needed.items():
        if not str(table.get(key)).startswith(value):
            given = f"is {table[key]!r}" if key in table else "is missing"
            raise SettingsError(
                f"{where}: {key} {given}; with quantization {FLOAT8!r} it must be {value!r}"
            )


def _check_calibrated(where: str, table: Table) -> None:
    for key, allowed in {"device": (AUTO, CPU), "executor": ("auto", CALIBRATED_EXECUTOR)}.items():
        if (value := table.get(key, allowed[0])) not in allowed:
            rule = " or ".join(map(repr, allowed))
            raise SettingsError(
                f"{where}: {key} is {value!r}; with quantization {CALIBRATED!r} it must be {rule};"
                f" {_ALTERNATIVES}"
            )
    if "cache" in table:
        raise SettingsError(
            f"{where}: quantization is {CALIBRATED!r}, which excludes a cache, because a cache runs"
            f" eagerly; {_ALTERNATIVES}"
        )


def check_calibrated(method: str | None, family: Family, device: str) -> None:
    """Raises `SettingsError` if a denoiser of the family cannot be calibrated on the device."""
    if method != CALIBRATED:
        return
    if device != CPU:
        raise SettingsError(
            f"quantization is {method!r}, which needs device {CPU!r}; it is {device!r};"
            f" {_ALTERNATIVES}"
        )
    if family.layout.ragged or family.layout.value_dependent:
        raise SettingsError(
            f"quantization is {method!r}, but OpenVINO cannot run the denoiser of"
            f" {family.pipeline}; {_ALTERNATIVES}"
        )


def stored_by(file: Path, config: Mapping[str, Any]) -> str:
    """Package that loads weights with `config`, the `quantization_config` in `file`.

    Raises `SettingsError` if it is not installed. Methods that are unknown here are left to the
    library that loads them; the result is their name.
    """
    is_old = "quant_method" not in config and ("load_in_4bit" in config or "load_in_8bit" in config)
    method = BITSANDBYTES if is_old else str(config.get("quant_method"))
    module, package = _STORED.get(method, ("", method))
    if module and not _is_installed(module):
        raise SettingsError(
            f"{file}: the weights are quantized by {method}, which is not installed; run:"
            f" pip install {package}"
        )
    return package


def check_stored(where: Path, package: str | None, device: str, dtype: str) -> None:
    """Raises `SettingsError` if a denoiser that `package` has quantized cannot run on a CPU."""
    if device != CPU:
        return
    if package == BITSANDBYTES:
        raise SettingsError(
            f"{where}: the weights are quantized by {package}, which diffusers loads on CUDA"
            f" devices only; device is {device!r}; use weights that {LIBRARY} or {QUANTO} has"
            " quantized, or plain ones"
        )
    if package == QUANTO and dtype == "bfloat16":  # seen with torch 2.13 and optimum-quanto 0.2.7
        raise SettingsError(
            f"{where}: the weights are quantized by {package}, whose products in {dtype} can end"
            f" the process on a CPU; dtype must be 'auto' or 'float32'"
        )


def stored_fingerprint(packages: Iterable[str]) -> str:
    """Versions of the packages, which determine bits."""
    known = sorted({*packages} & {*PACKAGES, gguf_file.LIBRARY})
    return " ".join(f"{package} {metadata.version(package)}" for package in known)


def _is_installed(module: str) -> bool:
    try:
        return util.find_spec(module) is not None
    except ModuleNotFoundError:  # its parent is missing
        return False


def library(method: str) -> str:
    """The package that quantizes; the extra `quantization` has it."""
    return CALIBRATION_LIBRARY if method == CALIBRATED else LIBRARY


def fingerprint(method: str) -> str:
    return f"{method} by {library(method)} {metadata.version(library(method))}"


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
