"""The device that a checkpoint runs on. Loads torch only where NVIDIA's driver is installed."""

from __future__ import annotations

import ctypes
import importlib.util
from functools import cache
from typing import TYPE_CHECKING

from daguerre.errors import SettingsError
from daguerre.models.diffusers.executors.registry import required_device
from daguerre.validation import pattern

if TYPE_CHECKING:
    import torch

AUTO = "auto"
CPU = "cpu"
DEVICES = pattern(
    r"auto|cpu|cuda(:[0-9]{1,3})?",
    '"auto", "cpu", "cuda", or one of several devices such as "cuda:1"',
)
_DRIVER = "libcuda.so.1"


def resolve(device: str, executor: str, worker: int) -> str:
    """The device of a worker: "cpu" or "cuda" with an index.

    "auto" is what the executor needs, else CUDA where there is a device. "cuda" is assigned to the
    workers round-robin; a device with an index is the same for all.
    """
    if device == AUTO:
        device = required_device(executor) or ("cuda" if has_cuda() else CPU)
    if device != "cuda":
        return device
    if not worker:
        return "cuda:0"  # torch's "cuda" is the same device under another name
    import torch

    return f"cuda:{worker % max(1, torch.cuda.device_count())}"


@cache
def has_cuda() -> bool:
    """Whether torch can use a CUDA device."""
    if importlib.util.find_spec("torch") is None:
        return False
    try:
        ctypes.CDLL(_DRIVER)
    except OSError:
        return False
    import torch

    return bool(torch.cuda.is_available())


def available(name: str) -> torch.device:
    """Raises `SettingsError` if there is no such device."""
    import torch

    device, num_devices = torch.device(name), torch.cuda.device_count()
    if device.type == "cuda" and (device.index or 0) >= num_devices:
        raise SettingsError(
            f"device is {name!r}, but torch finds {num_devices} CUDA devices;"
            ' use "auto" or "cpu", or install a build of torch for CUDA'
        )
    return device
