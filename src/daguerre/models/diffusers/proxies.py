"""Modules of a stock pipeline as networks of the engine, and the proxies that call them.

A proxy replaces a method of a module. A call from a request's coroutine becomes a `ModuleCall` for
the engine, and the coroutine resumes with the result. Other calls reach the original method.
"""

from __future__ import annotations

import functools
import inspect
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from daguerre.engine.forward import Inputs, NetworkChanged, Outputs, is_out_of_memory
from daguerre.models.diffusers import coroutine, determinism
from daguerre.models.diffusers.call_packing import (
    CACHE_STATE_INPUT,
    call_constant,
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
from daguerre.models.diffusers.family import PLAIN, InputLayout
from daguerre.models.diffusers.memory_probe import make_memory_probe

if TYPE_CHECKING:
    from daguerre.models.diffusers.cache_hooks import CacheHooks

logger = logging.getLogger(__name__)

# A decoder accepts a generator and does not use it. It belongs to one request and cannot be packed.
_IGNORED_ARGUMENT = "generator"


@dataclass(frozen=True, slots=True)
class ModuleCall:
    """A call of a network that a pipeline waits for."""

    network: str
    inputs: Inputs


class TorchNetwork:
    """A module's method, run by an executor. All tensors in its result have rows on axis 0.

    An executor that fails is replaced by torch's eager mode for the rest of the process.
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
        self.name, self.layout, self.hooks = name, layout, hooks
        self.memory_probe = make_memory_probe(target.device)
        self.signature = inspect.signature(method)
        self._method, self._target = method, target
        # Digest of a call's constant part, which holds all of its options -> structure of its
        # result.
        self._structures: dict[str, Any] = {}
        self._network_method = NetworkMethod(name, module, self.evaluate)
        self._eager = EagerExecutor(self._network_method)
        self._executor = self._make_executor()

    @property
    def fingerprint(self) -> str:
        return f"{self._target.fingerprint} {self.name} {self._executor.fingerprint}"

    def warm_up(self, inputs: Inputs) -> Iterator[None]:
        with self._running():
            yield from self._executor.warm_up(inputs)

    def __call__(self, inputs: Inputs) -> Outputs:
        with self._running():
            tensors: Any = self._executor(inputs)
        if any(tensor.is_cuda for tensor in tensors):
            # Raises errors here, and makes the time that of the work, not of its launch.
            torch.cuda.synchronize(tensors[0].device)
        return tuple(tensors)

    def evaluate(self, inputs: Inputs) -> tuple[Any, Outputs]:
        """Calls the method eagerly; returns the structure of the result and its tensors."""
        bound = inspect.BoundArguments(self.signature, OrderedDict(unpack_call(inputs)))
        with self.hooks.installed(inputs) if self.hooks else nullcontext():
            return tree_flatten(self._method(*bound.args, **bound.kwargs), self.layout)

    def result(self, inputs: Inputs, outputs: Outputs) -> Any:
        """Assembles what the method returns for these inputs from the network's outputs."""
        digest = call_constant(inputs).digest
        if digest not in self._structures:
            self._structures[digest] = self._output_structure(without_cache_state(inputs))
        tensors = {str(number): output for number, output in enumerate(outputs)}
        return tree_unflatten(self._structures[digest], tensors)

    def _output_structure(self, inputs: Inputs) -> Any:
        try:
            return output_structure(self._network_method, inputs)
        except Exception:  # a method that reads values may raise anything
            return self.evaluate(inputs)[0]

    def _make_executor(self) -> Executor:
        if self.layout.ragged or self.layout.value_dependent:
            return self._eager  # tracing would fix values of the example
        try:
            return make_executor(self._network_method, self._target)
        except Exception as error:  # a runtime may raise anything
            logger.warning("%s runs eagerly: %s", self.name, _one_line(error))
            return self._eager

    @contextmanager
    def _running(self) -> Iterator[None]:
        """Replaces an executor that fails, except for lack of memory, which can be temporary."""
        try:
            with determinism.tf32(self._target.is_tf32):
                yield
        except Exception as error:  # a runtime may raise anything
            failed = self._executor
            if failed.fingerprint == self._eager.fingerprint or is_out_of_memory(error):
                raise
            logger.warning("%s runs eagerly from now on: %s", self.name, _one_line(error))
            self._executor = self._eager
            failed.release()
            raise NetworkChanged(f"{self.name} ran on {failed.fingerprint}") from error


def patch_module(
    name: str,
    module: Any,
    method: str,
    target: ExecutionTarget,
    layout: InputLayout = PLAIN,
    hooks: CacheHooks | None = None,
) -> TorchNetwork:
    """Replaces `module.method` by a proxy and returns the network that the proxy calls."""
    original = getattr(module, method)
    network = TorchNetwork(name, module, original, target, layout, hooks)

    @functools.wraps(original)
    def proxy(*args: Any, **kwargs: Any) -> Any:
        if not coroutine.is_inside():
            return original(*args, **kwargs)
        arguments = dict(network.signature.bind(*args, **kwargs).arguments)
        arguments.pop(_IGNORED_ARGUMENT, None)
        inputs = pack_call(arguments, layout)
        if hooks:
            inputs = {**inputs, CACHE_STATE_INPUT: hooks.current_state()}
        return network.result(inputs, coroutine.request_forward(ModuleCall(name, inputs)))

    setattr(module, method, proxy)
    return network


def _one_line(error: Exception) -> str:
    """The start of the message, without the stack that a runtime may add."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"
