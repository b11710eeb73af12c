"""Registry of executors: the catalog's name -> the class.

To add an executor, write its module and add one line to `_EXECUTORS`.
"""

from __future__ import annotations

import importlib
from typing import cast

from daguerre.models.diffusers.executors.base import ExecutionTarget, Executor, NetworkMethod

_PACKAGE = "daguerre.models.diffusers.executors"
# Imported when it is used: OpenVINO and torch's compiler take seconds to import.
_EXECUTORS = {
    "eager": ("base", "EagerExecutor"),
    "openvino": ("openvino", "OpenVINOExecutor"),
    "compile": ("torch_compile", "TorchCompileExecutor"),
    "cuda-graphs": ("cuda_graphs", "CUDAGraphExecutor"),
}


def make_executor(method: NetworkMethod, target: ExecutionTarget) -> Executor:
    """The executor that `target` names. Raises whatever its constructor raises where it cannot run.

    `auto` is OpenVINO on CPUs and eager mode on other devices.
    """
    name = target.executor
    if name == "auto":
        name = "openvino" if target.device.type == "cpu" else "eager"
    module, cls = _EXECUTORS[name]
    make = getattr(importlib.import_module(f"{_PACKAGE}.{module}"), cls)
    return cast(Executor, make(method, target))
