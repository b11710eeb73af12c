"""Registry of executors: the only list of their names.

To add an executor, write its module and add one line to `_EXECUTORS`.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from daguerre.models.diffusers.executors.base import ExecutionTarget, Executor, NetworkMethod


@dataclass(frozen=True, slots=True)
class _Entry:
    """`module` is imported on first use: OpenVINO and torch's compiler take seconds to import."""

    module: str
    class_name: str
    device: str | None = None  # the only type of device it supports


_EXECUTORS: Mapping[str, _Entry] = {
    "eager": _Entry("base", "EagerExecutor"),
    "openvino": _Entry("openvino", "OpenVINOExecutor", device="cpu"),
    "compile": _Entry("torch_compile", "TorchCompileExecutor"),
    "cuda-graphs": _Entry("cuda_graphs", "CUDAGraphExecutor", device="cuda"),
}
_AUTO = "auto"
_AUTO_BY_DEVICE = {"cpu": "openvino"}  # eager on other devices
EXECUTORS = (_AUTO, *_EXECUTORS)


def required_device(name: str) -> str | None:
    """Device type that the executor needs; None if it runs on all."""
    return None if name == _AUTO else _EXECUTORS[name].device


def make_executor(method: NetworkMethod, target: ExecutionTarget) -> Executor:
    """Creates the executor that `target` names; its constructor raises if it cannot run there."""
    name = target.executor
    if name == _AUTO:
        name = _AUTO_BY_DEVICE.get(target.device.type, "eager")
    entry = _EXECUTORS[name]
    module = importlib.import_module(f"{__package__}.{entry.module}")
    return cast("Executor", getattr(module, entry.class_name)(method, target))
