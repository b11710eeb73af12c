"""What a device is, as far as it decides bits, and what is set on one so that fewer things do.

The settings are the process's own, so they are the same for all that it loads; the exception, TF32,
is set for each forward. Knows nothing of models, networks or how a forward is run.
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

_LIBRARIES = ("torch", "diffusers", "transformers")
_NVIDIA = Path("/proc/driver/nvidia/version")
# cuBLAS takes it when it is first used: with workspaces of a fixed size its choice of kernels and
# its results do not depend on what other streams do.
_WORKSPACE, _WORKSPACE_SIZE = "CUBLAS_WORKSPACE_CONFIG", ":4096:8"


def enable_determinism(device: torch.device) -> None:
    """Before anything is put there. Where there is no CUDA nothing changes.

    No kernel is chosen by its time, no sum is split and rounded to bfloat16 in between, and which
    attention is taken follows from type, width and mask: cuDNN, whose plans look at the batch, is
    left out.
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
    """For one model's forward: another in the process may have it otherwise."""
    if not is_allowed:
        yield
        return
    _allow_tf32(True)
    try:
        yield
    finally:
        _allow_tf32(False)


def _allow_tf32(is_allowed: bool) -> None:
    torch.backends.cuda.matmul.allow_tf32 = is_allowed
    torch.backends.cudnn.allow_tf32 = is_allowed


def fingerprint(
    weights_sha256: str, device: torch.device, dtype: str, is_tf32: bool = False
) -> str:
    """All that decides the bits of an output but the module's name and what runs it."""
    versions = (f"{library} {metadata.version(library)}" for library in _LIBRARIES)
    where = _cuda(device, is_tf32) if device.type == "cuda" else _processor()
    return " ".join((weights_sha256, dtype, *versions, where))


def _cuda(device: torch.device, is_tf32: bool) -> str:
    parts = (
        torch.cuda.get_device_name(device),
        f"cuda {torch.version.cuda}",
        f"cudnn {torch.backends.cudnn.version()}",
        f"driver {_driver()}",
        f"workspace {os.environ.get(_WORKSPACE)}",
        "tf32" if is_tf32 else "no tf32",
        "fixed kernels 1",  # what `enable_determinism` sets; counts up with it
    )
    return " ".join(parts)


def _driver() -> str:
    """It brings the compiler of kernels that come as an intermediate language."""
    try:
        told = _NVIDIA.read_text().splitlines()[0]
    except (OSError, IndexError):  # Windows, or a container that does not show it
        told = f"for cuda {torch._C._cuda_getDriverVersion()}"
    return " ".join(told.split())


def _processor() -> str:
    """Kernels are chosen by what the processor can do, and split over its threads."""
    capability = torch.backends.cpu.get_cpu_capability()
    return f"{_processor_id()} {capability} {torch.get_num_threads()} threads"


def _processor_id() -> str:
    """One name for processors with the same features, in few letters."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    told = [line for line in lines if line.startswith(("model name", "flags", "Features"))]
    return hashlib.sha256("\n".join(sorted(set(told))).encode()).hexdigest()[:16]
