"""Environment fingerprint: everything besides the request that determines an image's bytes.

The seed promise holds on machines of one kind with the same versions. The fingerprint is part of an
image's name in the image store, so an image from another environment is not found. It is computed
in the server process, which loads no runtime.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path

from daguerre.cpu import num_cpus
from daguerre.params import ImageParams, ModelInfo
from daguerre.runtime_variables import runtime_variables
from daguerre.version import __version__

# The runtimes, what changes or quantizes weights, what reads prompts, and what writes the files.
DISTRIBUTIONS = (
    *("openvino", "numpy", "tokenizers", "thorvg-python", "zlib-ng", "pillow"),
    *("torch", "diffusers", "transformers", "accelerate", "scipy", "sentencepiece", "triton"),
    *("bitsandbytes", "gguf", "nncf", "optimum-quanto", "peft", "torchao"),
    *("c2pa-python", "cryptography"),
)

# Settings that are part of the fingerprint of each network.
_OF_NETWORKS = ("precision", "threads")


class EnvironmentFingerprint:
    """Fingerprint of this machine, the installed versions and the decisive `settings`.

    Read once, when the server starts. `settings` are JSON values. The catalog's options are part of
    a model's info, because a reload changes them. `words` are the versions and settings that the
    fingerprints of networks do not have.
    """

    def __init__(self, **settings: object) -> None:
        versions = {name: _version(name) for name in DISTRIBUTIONS}
        self.words = _words({"daguerre": __version__, **versions, **settings})
        fields = {
            "version": __version__,
            "settings": settings,
            "variables": runtime_variables(),
            "compiler": [os.environ.get("CXX", ""), _compiler()],
            "distributions": versions,
            "python": platform.python_version(),
            "machine": [platform.machine(), platform.system(), num_cpus(), *_devices()],
        }
        self._digest = _sha256(fields)  # of kilobytes, so once and not in every request

    def digest(self, resource_id: str, params: ImageParams, info: ModelInfo) -> str:
        """SHA-256 of everything that determines the file, and of the resource that owns it."""
        fields = {
            "environment": self._digest,
            "resource": resource_id,
            "params": asdict(replace(params, num_previews=0)),  # previews do not affect the file
            "model": asdict(info),
        }
        return _sha256(fields)


def _words(fields: Mapping[str, object]) -> str:
    """Such as "numpy=2.4.0 steps=0", without what is empty."""
    named = {name: value for name, value in fields.items() if name not in _OF_NETWORKS}
    return " ".join(f"{name}={value}" for name, value in named.items() if value != "")


def _sha256(fields: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _compiler() -> str:
    """Identity of the C++ compiler, determined without running it."""
    if not (command := shutil.which(os.environ.get("CXX") or "g++")):
        return ""
    file = Path(command).resolve()
    return f"{file} {file.stat().st_size} {file.stat().st_mtime_ns}"


def _devices() -> Iterator[str]:
    """What the system reports about CPU and GPUs; outside Linux only the CPU's name."""
    yield platform.processor()
    yield _read_text(Path("/proc/driver/nvidia/version"))
    gpus = Path("/proc/driver/nvidia/gpus").glob("*/information")
    for file in (Path("/proc/cpuinfo"), *sorted(gpus)):
        lines = _read_text(file).splitlines()
        decisive = ("model name", "flags", "features", "model:")
        yield from sorted({line for line in lines if line.lower().startswith(decisive)})


def _read_text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
