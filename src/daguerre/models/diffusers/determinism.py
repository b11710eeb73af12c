"""Determinism: settings that fix a device's choice of kernels, and the fingerprint of a device.

The settings apply to the whole process. TF32 is the exception: it is switched for each forward.
"""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

import torch

from daguerre.runtime_variables import runtime_fingerprint

_LIBRARIES = ("torch", "diffusers", "transformers")
_DRIVER_VERSION = Path("/proc/driver/nvidia/version")
# cuBLAS reads it on first use. With a workspace of fixed size, neither its choice of kernels nor
# its results depend on other streams.
_WORKSPACE, _WORKSPACE_SIZE = "CUBLAS_WORKSPACE_CONFIG", ":4096:8"
_SETTINGS_VERSION = 1  # of `enable_determinism`, part of the fingerprint


def enable_determinism(device: torch.device) -> None:
    """Fixes the choice of kernels on CUDA; changes nothing for a CPU. Call it before any CUDA work.

    No kernel is chosen by timing, and no partial sum is rounded to bfloat16. The attention kernel
    follows from type, width and mask: cuDNN's is off, because its plans depend on the batch size.
    """
    if device.type != "cuda":
        return
    os.environ.setdefault(_WORKSPACE, _WORKSPACE_SIZE)
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False
    matmul = torch.backends.cuda.matmul
    matmul.allow_bf16_reduced_precision_reduction = False
    matmul.allow_fp16_reduced_precision_reduction = False
    _allow_tf32(False)
    torch.backends.cuda.enable_cudnn_sdp(False)


@contextmanager
def tf32(is_allowed: bool) -> Iterator[None]:
    """Allows TF32 for one forward, because other models in the process may not allow it."""
    if is_allowed:
        _allow_tf32(True)
    try:
        yield
    finally:
        if is_allowed:
            _allow_tf32(False)


def _allow_tf32(is_allowed: bool) -> None:
    torch.backends.cuda.matmul.allow_tf32 = is_allowed
    torch.backends.cudnn.allow_tf32 = is_allowed


def fingerprint(
    weights_sha256: str, device: torch.device, dtype: str, is_tf32: bool = False
) -> str:
    """Everything that determines the bits of an output, except the network and its executor."""
    versions = (f"{library} {metadata.version(library)}" for library in _LIBRARIES)
    hardware = _cuda(device, is_tf32) if device.type == "cuda" else _cpu()
    return " ".join((weights_sha256, dtype, *versions, hardware, *runtime_fingerprint()))


def _cuda(device: torch.device, is_tf32: bool) -> str:
    parts = (
        torch.cuda.get_device_name(device),
        f"cuda {torch.version.cuda}",
        f"cudnn {torch.backends.cudnn.version()}",
        f"driver {_driver()}",
        f"workspace {os.environ.get(_WORKSPACE)}",
        "tf32" if is_tf32 else "no tf32",
        f"determinism {_SETTINGS_VERSION}",
    )
    return " ".join(parts)


def _driver() -> str:
    """Version of the driver, which compiles the kernels that ship as PTX."""
    try:
        version = _DRIVER_VERSION.read_text().splitlines()[0]
    except (OSError, IndexError):  # Windows, or a container without the file
        version = f"for cuda {torch._C._cuda_getDriverVersion()}"
    return " ".join(version.split())


def _cpu() -> str:
    """Kernels depend on the CPU's model and features, and on the number of threads."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        name = platform.processor() or platform.machine()
    else:
        found = {line for line in lines if line.startswith(("model name", "flags", "Features"))}
        name = hashlib.sha256("\n".join(sorted(found)).encode()).hexdigest()[:16]
    capability = torch.backends.cpu.get_cpu_capability()
    return f"{name} {capability} {torch.get_num_threads()} threads"
