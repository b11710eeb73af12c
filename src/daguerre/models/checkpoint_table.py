"""A checkpoint's table in the catalog: its keys, and the rules between them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daguerre.errors import SettingsError
from daguerre.models.diffusers import (
    caches,
    devices,
    hub,
    offload,
    precision,
    quantization,
    samplers,
)
from daguerre.models.diffusers.adapters import lora, textual_inversion
from daguerre.models.diffusers.calibration import Calibration
from daguerre.models.diffusers.executors.registry import EXECUTORS, required_device
from daguerre.models.diffusers.native_size import NATIVE_SIZE
from daguerre.models.diffusers.pipeline_config import PipelineConfig
from daguerre.models.diffusers.replacement import REPLACEABLE
from daguerre.models.diffusers.serving_options import LOADS, ServingOptions
from daguerre.models.extra_sizes import EXTRA_SIZES
from daguerre.params import BATCHING_MODES
from daguerre.validation import (
    Table,
    Validator,
    boolean,
    check_with,
    enum,
    float_range,
    idle_time,
    int_range,
    path_to,
    printable_text,
)


@dataclass(frozen=True, slots=True)
class CheckpointConfig:
    """A checkpoint of diffusers; `pin` is its commit if it comes from a hub."""

    pipeline: PipelineConfig
    serving: ServingOptions
    pin: hub.PinnedRevision | None = None

    @property
    def is_downloaded(self) -> bool:
        return self.pin is None or self.pipeline.path.is_dir()


_PATH = path_to("a directory in diffusers format or of a .safetensors file")
# Key -> its values.
KEYS: Mapping[str, Validator] = {
    "path": _PATH,
    "base": path_to("a directory in diffusers format"),
    **dict.fromkeys(
        REPLACEABLE, path_to("the component's directory in diffusers format, or of its file")
    ),
    "repo": hub.REPOSITORY,
    "revision": hub.REVISION,
    "dtype": enum(*precision.DTYPES),
    "device": devices.DEVICES,
    "steps": int_range(1, 200),
    "executor": enum(*EXECUTORS),
    "tf32": boolean,
    "batching": enum(*BATCHING_MODES),
    "guidance": float_range(0, 100),
    "max_batch_size": int_range(1, 256),
    "cache": Validator(caches.WORDS, lambda value: isinstance(value, dict)),
    "quantization": enum(*quantization.METHODS),
    "offload": enum(*offload.METHODS),
    "loras": lora.LORAS,
    "embeddings": textual_inversion.EMBEDDINGS,
    "sampler": Validator(samplers.WORDS, lambda value: isinstance(value, dict)),
    "clip_skip": int_range(1, 32),
    "load": enum(*LOADS),
    "idle_unload_s": idle_time,
    "extra_sizes": EXTRA_SIZES,
    "native_size": NATIVE_SIZE,
    "name": printable_text,
}


def parse(catalog_dir: Path, data_dir: Path, where: str, table: Table) -> CheckpointConfig:
    """Reads a table whose keys are valid; `where` names it in errors.

    Relative paths start at `catalog_dir`. Raises `SettingsError` for keys that exclude each other.
    """
    _check_location(where, table)
    check_pipeline(where, table)
    pin = None
    if "repo" in table:
        pin = hub.PinnedRevision(table["repo"], table["revision"])
        path = hub.folder(data_dir, pin)
    else:  # relative to the catalog, wherever the server is started
        path = _resolve(catalog_dir, table["path"])
    pipeline = PipelineConfig(path, **_pipeline_options(catalog_dir, where, table))
    return CheckpointConfig(pipeline, _serving_options(where, table), pin)


def _resolve(catalog_dir: Path, path: str) -> Path:
    return catalog_dir / os.path.expanduser(path)


def _pipeline_options(catalog_dir: Path, where: str, table: Table) -> dict[str, Any]:
    """Fields of `PipelineConfig` but the path."""
    options = {key: table[key] for key in _PIPELINE_KEYS if key in table}
    if "base" in table:
        options["base"] = _resolve(catalog_dir, table["base"])
    if "loras" in table:
        options["loras"] = lora.parse(where, catalog_dir, table["loras"])
    if "embeddings" in table:
        options["embeddings"] = textual_inversion.parse(where, catalog_dir, table["embeddings"])
    options["components"] = tuple(
        (key, _resolve(catalog_dir, table[key])) for key in REPLACEABLE if key in table
    )
    if "cache" in table:
        options["cache"] = _parse_cache(where, table)
    if table.get("quantization") == quantization.CALIBRATED:
        options["executor"] = quantization.CALIBRATED_EXECUTOR  # which decides the device, too
        options["calibration"] = Calibration(table.get("steps"), table.get("guidance"))
    return options


def _serving_options(where: str, table: Table) -> ServingOptions:
    options = {key: table[key] for key in ServingOptions.__slots__ if key in table}
    options.setdefault("name", table.get("repo", ""))
    options["extra_sizes"] = tuple(table.get("extra_sizes", ()))
    if "sampler" in table:
        options["sampler"] = samplers.read(f"{where}, sampler", table["sampler"])
    return ServingOptions(**options)


_PIPELINE_KEYS = ("dtype", "device", "executor", "tf32", "quantization", "offload")


def _check_location(where: str, table: Table) -> None:
    if ("path" in table) == ("repo" in table):
        fault = "both path and repo are" if "path" in table else "neither path nor repo is"
        raise SettingsError(
            f"{where}: {fault} given; give one: path, {_PATH.rule}, or repo with revision"
        )
    if "base" in table and "path" not in table:
        raise SettingsError(f"{where}: base is given without path; it has what a file lacks")
    if ("repo" in table) != ("revision" in table):
        raise SettingsError(
            f"{where}: give both repo and revision; revision must be {hub.REVISION.rule}"
        )


def check_pipeline(where: str, table: Table) -> None:
    """Raises `SettingsError` for keys about loading that exclude each other."""
    _check_device(where, table)
    if "quantization" in table:
        quantization.check(where, table)
    if "offload" in table:
        offload.check(where, table)
    if "cache" in table:
        check_with(where, table, "cache", "executor", ("auto", "eager"))


def _check_device(where: str, table: Table) -> None:
    device, dtype = table.get("device", devices.AUTO), table.get("dtype", precision.AUTO)
    executor = table.get("executor", EXECUTORS[0])
    required = required_device(executor)
    if required is not None and device.partition(":")[0] not in (devices.AUTO, required):
        raise SettingsError(
            f"{where}: executor is {executor!r}, which needs device {required!r}; it is {device!r}"
        )
    if table.get("tf32"):
        precision.check_tf32(where, device, dtype)


def _parse_cache(where: str, table: Table) -> caches.Cache:
    """A cache uses torch hooks that hold the state of one request, so nothing may be batched."""
    check_with(where, table, "cache", "max_batch_size", (1,))
    check_with(where, table, "cache", "batching", ("exact",))
    return caches.read(f"{where}, cache", table["cache"])
