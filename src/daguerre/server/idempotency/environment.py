"""All that decides the bytes of an image beside its request: what a kept result is valid for.

The promise of a seed holds on machines of one kind with one version of everything. A digest of all
that tells kinds and versions apart makes a result of other surroundings one that is not found. It
is read in the server's process, which loads no runtime. Knows nothing of how results are kept.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

from daguerre import __version__
from daguerre.config import Settings
from daguerre.cpu import num_cores
from daguerre.engine.workers.cpu_affinity import threads_per_worker
from daguerre.models.catalog import FILE_NAME
from daguerre.params import ImageParams, ModelInfo

# Of the runtimes, of what they compute with, and of what writes the files.
_DISTRIBUTIONS = (
    *("openvino", "numpy", "tokenizers", "thorvg-python", "zlib-ng", "pillow"),
    *("torch", "diffusers", "transformers", "accelerate", "torchao", "triton"),
)
_SETTINGS = ("embedded_precision", "embedded_steps", "embed_prompt")
# What compiles a checkpoint's networks, and what a CUDA device is told of its workspace.
_ENVIRONMENT = ("CXX", "CUBLAS_WORKSPACE_CONFIG")


class EnvironmentFingerprint:
    """Of a server with these settings, as they were when it started."""

    def __init__(self, settings: Settings) -> None:
        self._facts = {
            "version": __version__,
            "settings": [getattr(settings, name) for name in _SETTINGS],
            "threads": threads_per_worker(settings.workers, settings.threads_per_worker),
            "environment": [os.environ.get(name, "") for name in _ENVIRONMENT],
            "compiler": _compiler(),
            "distributions": {name: _version(name) for name in _DISTRIBUTIONS},
            "python": platform.python_version(),
            "machine": [platform.machine(), platform.system(), num_cores(), *_devices()],
            "catalog": _catalog(settings),
        }

    def digest(self, params: ImageParams, info: ModelInfo) -> str:
        """Of everything that decides the file of this request."""
        # Who watches has no part in the file.
        asked = asdict(replace(params, num_previews=0))
        facts = {**self._facts, "params": asked, "model": asdict(info)}
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _compiler() -> str:
    """Of C++, as far as that can be told without running it."""
    found = shutil.which(os.environ.get("CXX") or "g++")
    if found is None:
        return ""
    file = Path(found).resolve()
    return f"{file} {file.stat().st_size} {file.stat().st_mtime_ns}"


def _devices() -> Iterator[str]:
    """What the system says of the processor and of GPUs; elsewhere than on Linux only a name."""
    yield platform.processor()
    yield _text(Path("/proc/driver/nvidia/version"))
    gpus = Path("/proc/driver/nvidia/gpus").glob("*/information")
    for file in (Path("/proc/cpuinfo"), *sorted(gpus)):
        lines = _text(file).splitlines()
        kinds = ("model name", "flags", "features", "model:")
        yield from sorted({line for line in lines if line.lower().startswith(kinds)})


def _catalog(settings: Settings) -> str:
    return _text(settings.catalog or settings.data_dir() / FILE_NAME)


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
