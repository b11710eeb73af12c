"""Registry of executors: the only list of their names.

To add an executor, write its module and add one line to `_EXECUTORS`.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from daguerre.models.diffusers.executors.base import ExecutionTarget, Executor, NetworkMethod

# Name -> its class, imported on first use because that takes seconds, and the type of device that
# it needs.
_EXECUTORS: Mapping[str, tuple[str, str | None]] = {
    "eager": ("base:EagerExecutor", None),
    "openvino": ("openvino:OpenVINOExecutor", "cpu"),
    "compile": ("torch_compile:TorchCompileExecutor", None),
    "cuda-graphs": ("cuda_graphs:CUDAGraphExecutor", "cuda"),
}
_AUTO = "auto"
EXECUTORS = (_AUTO, *_EXECUTORS)


def required_device(name: str) -> str | None:
    """Device type that the executor needs; None if it runs on all."""
    return None if name == _AUTO else _EXECUTORS[name][1]


def make_executor(method: NetworkMethod, target: ExecutionTarget) -> Executor:
    """Creates the executor that `target` names; its constructor raises if it cannot run there."""
    name = target.executor
    if name == _AUTO:
        name = "openvino" if target.device.type == "cpu" else "eager"
    executor = pkgutil.resolve_name(f"{__package__}.{_EXECUTORS[name][0]}")
    return cast("Executor", executor(method, target))
