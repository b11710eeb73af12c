"""The modules of a stock pipeline as networks of the engine, and the doors that lead there.

A door stands before a module's own method. A call that comes from a request's coroutine is not
answered there: it becomes a question to the engine, and the coroutine goes on with the answer.
Knows nothing of families, requests or how a pipeline is told what to draw.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import platform
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from daguerre.engine.forward import Constant, Inputs, Outputs
from daguerre.models.diffusers import coroutine
from daguerre.models.diffusers.calls import CALL, fill, pack, taken_out, unpack
from daguerre.models.diffusers.families import PLAIN, Layout

# A decoder takes one for its interface and does not draw from it; it is a request's own, and could
# not be told to the engine.
_IGNORED = "generator"
_LIBRARIES = ("torch", "diffusers", "transformers")


@dataclass(frozen=True, slots=True)
class Question:
    """What a door asks of the engine."""

    network: str
    inputs: Inputs


class TorchNetwork:
    """A module's method, evaluated eagerly; rows on axis 0 of all tensors in its result."""

    def __init__(
        self, name: str, method: Callable[..., Any], facts: str, layout: Layout = PLAIN
    ) -> None:
        self.name, self.layout = name, layout
        self.fingerprint = f"{facts} {name}"
        self.signature = inspect.signature(method)
        self._method = method
        # Digest of a call's constant part -> what its result looks like without the tensors. The
        # constant part holds all options of a call, so it decides that.
        self._results: dict[str, Any] = {}

    def __call__(self, inputs: Inputs) -> Outputs:
        bound = inspect.BoundArguments(self.signature, OrderedDict(unpack(inputs)))
        result, tensors = taken_out(self._method(*bound.args, **bound.kwargs), self.layout)
        self._results[_digest(inputs)] = result
        if any(tensor.is_cuda for tensor in tensors):
            # So that an error is met here and the time is that of the work, not of its launch.
            torch.cuda.synchronize(tensors[0].device)
        return tensors

    def result(self, inputs: Inputs, outputs: Outputs) -> Any:
        """What the method returned to a call with these inputs, made of these outputs."""
        tensors = {str(number): output for number, output in enumerate(outputs)}
        return fill(self._results[_digest(inputs)], tensors)


def open_door(
    name: str, module: Any, method: str, facts: str, layout: Layout = PLAIN
) -> TorchNetwork:
    """Puts a door before `module.method`, and returns the network behind it."""
    original = getattr(module, method)
    network = TorchNetwork(name, original, facts, layout)

    @functools.wraps(original)
    def door(*args: Any, **kwargs: Any) -> Any:
        if not coroutine.is_inside():
            return original(*args, **kwargs)
        arguments = dict(network.signature.bind(*args, **kwargs).arguments)
        arguments.pop(_IGNORED, None)
        inputs = pack(arguments, layout)
        return network.result(inputs, coroutine.ask(Question(name, inputs)))

    setattr(module, method, door)
    return network


def facts(weights_sha256: str, device: torch.device, dtype: str) -> str:
    """All that decides the bits of an output but the module's name."""
    versions = (f"{library} {metadata.version(library)}" for library in _LIBRARIES)
    where = _cuda(device) if device.type == "cuda" else _processor()
    return " ".join((weights_sha256, dtype, *versions, where))


def _cuda(device: torch.device) -> str:
    return (
        f"{torch.cuda.get_device_name(device)} cuda {torch.version.cuda}"
        f" cudnn {torch.backends.cudnn.version()}"
    )


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


def _digest(inputs: Inputs) -> str:
    call = inputs[CALL]
    assert isinstance(call, Constant), "a forward that is no call. This is a bug."
    return call.digest
