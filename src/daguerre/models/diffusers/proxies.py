"""The modules of a stock pipeline as networks of the engine, and the doors that lead there.

A door stands before a module's own method. A call that comes from a request's coroutine is not
answered there: it becomes a question to the engine, and the coroutine goes on with the answer.
Knows nothing of families, requests or how a pipeline is told what to draw.
"""

from __future__ import annotations

import functools
import inspect
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import torch

from daguerre.engine.forward import (
    Inputs,
    NetworkChanged,
    OpaqueConstant,
    Outputs,
    is_out_of_memory,
)
from daguerre.models.diffusers import coroutine, determinism
from daguerre.models.diffusers.call_packing import (
    CACHE_STATE_INPUT,
    CALL_INPUT,
    pack_call,
    tree_flatten,
    tree_unflatten,
    unpack_call,
    without_cache_state,
)
from daguerre.models.diffusers.executors.base import (
    EagerExecutor,
    ExecutionTarget,
    Executor,
    NetworkMethod,
    output_structure,
)
from daguerre.models.diffusers.executors.registry import make_executor
from daguerre.models.diffusers.families import PLAIN, InputLayout
from daguerre.models.diffusers.memory_probe import make_memory_probe

if TYPE_CHECKING:
    from daguerre.models.diffusers.cache_hooks import CacheHooks

logger = logging.getLogger(__name__)

# A decoder takes one for its interface and does not draw from it; it is a request's own, and could
# not be told to the engine.
_IGNORED = "generator"


@dataclass(frozen=True, slots=True)
class ModuleCall:
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
        target: ExecutionTarget,
        layout: InputLayout = PLAIN,
        hooks: CacheHooks | None = None,
    ) -> None:
        self.name, self.layout = name, layout
        self.hooks = hooks
        self.memory_probe = make_memory_probe(target.device)
        self.signature = inspect.signature(method)
        self._method, self._target = method, target
        # Digest of a call's constant part -> what its result looks like without the tensors. The
        # constant part holds all options of a call, so it decides that.
        self._results: dict[str, Any] = {}
        self._module_method = NetworkMethod(name, module, self.evaluate)
        self._eager = EagerExecutor(self._module_method)
        self._executor = self._chosen(self._module_method)

    @property
    def fingerprint(self) -> str:
        return f"{self._target.fingerprint} {self.name} {self._executor.fingerprint}"

    def prepare(self, inputs: Inputs) -> Iterator[None]:
        try:
            with determinism.tf32(self._target.is_tf32):
                yield from self._executor.prepare(inputs)
        except Exception as error:  # a runtime may throw anything
            if self._is_at_fault(error):
                self._fall_back(error)
            raise

    def __call__(self, inputs: Inputs) -> Outputs:
        try:
            with determinism.tf32(self._target.is_tf32):
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
        bound = inspect.BoundArguments(self.signature, OrderedDict(unpack_call(inputs)))
        with self.hooks.remembering(inputs) if self.hooks else nullcontext():
            return tree_flatten(self._method(*bound.args, **bound.kwargs), self.layout)

    def result(self, inputs: Inputs, outputs: Outputs) -> Any:
        """What the method returns to a call with these inputs, made of these outputs."""
        digest = _digest(inputs)
        if digest not in self._results:
            self._results[digest] = self._structure(inputs)
        tensors = {str(number): output for number, output in enumerate(outputs)}
        return tree_unflatten(self._results[digest], tensors)

    def _structure(self, inputs: Inputs) -> Any:
        inputs = without_cache_state(
            inputs
        )  # what a request remembers is not to be changed by this
        try:
            return output_structure(self._module_method, inputs)
        except Exception:  # code that looks at values raises what it likes
            return self.evaluate(inputs)[0]

    def _chosen(self, method: NetworkMethod) -> Executor:
        if self.layout.ragged or self.layout.value_dependent:
            return self._eager  # a tracer would take values of the example for constants
        try:
            return make_executor(method, self._target)
        except Exception as error:  # a runtime may throw anything
            logger.warning("%s runs eagerly: %s", self.name, _words(error))
            return self._eager

    def _is_at_fault(self, error: Exception) -> bool:
        """Memory that runs out may be there again: no reason to change bits."""
        return not isinstance(self._executor, EagerExecutor) and not is_out_of_memory(error)

    def _fall_back(self, error: Exception) -> NoReturn:
        failed, self._executor = self._executor, self._eager
        logger.warning("%s runs eagerly from now on: %s", self.name, _words(error))
        failed.release()
        raise NetworkChanged(f"{self.name} was run by {failed.fingerprint}") from error


def patch_module(
    name: str,
    module: Any,
    method: str,
    target: ExecutionTarget,
    layout: InputLayout = PLAIN,
    hooks: CacheHooks | None = None,
) -> TorchNetwork:
    """Puts a door before `module.method`, and returns the network behind it."""
    original = getattr(module, method)
    network = TorchNetwork(name, module, original, target, layout, hooks)

    @functools.wraps(original)
    def proxy(*args: Any, **kwargs: Any) -> Any:
        if not coroutine.is_inside():
            return original(*args, **kwargs)
        arguments = dict(network.signature.bind(*args, **kwargs).arguments)
        arguments.pop(_IGNORED, None)
        inputs = pack_call(arguments, layout)
        if hooks:
            inputs = {**inputs, CACHE_STATE_INPUT: hooks.memory()}
        return network.result(inputs, coroutine.request_forward(ModuleCall(name, inputs)))

    setattr(module, method, proxy)
    return network


def _words(error: Exception) -> str:
    """One line, not the whole of a runtime's stack."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"


def _digest(inputs: Inputs) -> str:
    call = inputs[CALL_INPUT]
    assert isinstance(call, OpaqueConstant), "a forward that is no call. This is a bug."
    return call.digest
