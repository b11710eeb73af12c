"""The modules of a stock pipeline as networks of the engine, and the doors that lead there.

A door stands before a module's own method. A call that comes from a request's coroutine is not
answered there: it becomes a question to the engine, and the coroutine goes on with the answer.
Knows nothing of families, requests or how a pipeline is told what to draw.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import logging
import platform
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import torch

from daguerre.engine.forward import (
    Constant,
    Inputs,
    NetworkChanged,
    Outputs,
    is_out_of_memory,
)
from daguerre.models.diffusers import coroutine
from daguerre.models.diffusers.calls import CALL, MEMORY, fill, forgotten, pack, taken_out, unpack
from daguerre.models.diffusers.executors import Eager, Executor, Method, Place, executor, structure
from daguerre.models.diffusers.families import PLAIN, Layout

if TYPE_CHECKING:
    from daguerre.models.diffusers.hooks import Hooks

logger = logging.getLogger(__name__)

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
    """A module's method, run by an executor; rows on axis 0 of all tensors in its result.

    An executor that fails is replaced by torch's eager mode, for this process.
    """

    def __init__(
        self,
        name: str,
        module: Any,
        method: Callable[..., Any],
        place: Place,
        layout: Layout = PLAIN,
        hooks: Hooks | None = None,
    ) -> None:
        self.name, self.layout = name, layout
        self.hooks = hooks
        self.signature = inspect.signature(method)
        self._method, self._place = method, place
        # Digest of a call's constant part -> what its result looks like without the tensors. The
        # constant part holds all options of a call, so it decides that.
        self._results: dict[str, Any] = {}
        self._module_method = Method(name, module, self.evaluate)
        self._eager = Eager(self._module_method)
        self._executor = self._chosen(self._module_method)

    @property
    def fingerprint(self) -> str:
        return f"{self._place.facts} {self.name} {self._executor.facts}"

    def prepare(self, inputs: Inputs) -> Iterator[None]:
        try:
            yield from self._executor.prepare(inputs)
        except Exception as error:  # a runtime may throw anything
            if self._is_at_fault(error):
                self._fall_back(error)
            # Else the forward will meet it again, and fail by it.

    def __call__(self, inputs: Inputs) -> Outputs:
        try:
            tensors: Any = self._executor(inputs)
        except Exception as error:  # a runtime may throw anything
            if self._is_at_fault(error):
                self._fall_back(error)
            raise
        if any(tensor.is_cuda for tensor in tensors):
            # So that an error is met here and the time is that of the work, not of its launch.
            torch.cuda.synchronize(tensors[0].device)
        return tuple(tensors)

    def evaluate(self, inputs: Inputs) -> tuple[Any, Outputs]:
        """Eagerly: the structure of the result, and the tensors in it."""
        bound = inspect.BoundArguments(self.signature, OrderedDict(unpack(inputs)))
        with self.hooks.remembering(inputs) if self.hooks else nullcontext():
            return taken_out(self._method(*bound.args, **bound.kwargs), self.layout)

    def result(self, inputs: Inputs, outputs: Outputs) -> Any:
        """What the method returns to a call with these inputs, made of these outputs."""
        digest = _digest(inputs)
        if digest not in self._results:
            self._results[digest] = self._structure(inputs)
        tensors = {str(number): output for number, output in enumerate(outputs)}
        return fill(self._results[digest], tensors)

    def _structure(self, inputs: Inputs) -> Any:
        inputs = forgotten(inputs)  # what a request remembers is not to be changed by this
        try:
            return structure(self._module_method, inputs)
        except Exception:  # code that looks at values raises what it likes
            return self.evaluate(inputs)[0]

    def _chosen(self, method: Method) -> Executor:
        if self.layout.listed or self.layout.decisive:
            return self._eager  # a tracer would take values of the example for constants
        try:
            return executor(method, self._place)
        except Exception as error:  # a runtime may throw anything
            logger.warning("%s runs eagerly: %s", self.name, _words(error))
            return self._eager

    def _is_at_fault(self, error: Exception) -> bool:
        """Memory that runs out may be there again: no reason to change bits."""
        return self._executor is not self._eager and not is_out_of_memory(error)

    def _fall_back(self, error: Exception) -> NoReturn:
        failed, self._executor = self._executor, self._eager
        logger.warning("%s runs eagerly from now on: %s", self.name, _words(error))
        failed.undo()
        raise NetworkChanged(f"{self.name} was run by {failed.facts}") from error


def open_door(
    name: str,
    module: Any,
    method: str,
    place: Place,
    layout: Layout = PLAIN,
    hooks: Hooks | None = None,
) -> TorchNetwork:
    """Puts a door before `module.method`, and returns the network behind it."""
    original = getattr(module, method)
    network = TorchNetwork(name, module, original, place, layout, hooks)

    @functools.wraps(original)
    def door(*args: Any, **kwargs: Any) -> Any:
        if not coroutine.is_inside():
            return original(*args, **kwargs)
        arguments = dict(network.signature.bind(*args, **kwargs).arguments)
        arguments.pop(_IGNORED, None)
        inputs = pack(arguments, layout)
        if hooks:
            inputs = {**inputs, MEMORY: hooks.memory()}
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


def _words(error: Exception) -> str:
    """One line, not the whole of a runtime's stack."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"


def _digest(inputs: Inputs) -> str:
    call = inputs[CALL]
    assert isinstance(call, Constant), "a forward that is no call. This is a bug."
    return call.digest
