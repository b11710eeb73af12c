"""Modules of a stock pipeline as networks of the engine, and the proxies that call them.

A proxy replaces a method of a module. A call from a request's coroutine suspends it: the coroutine
yields the network's name and the inputs, and resumes with the outputs. Other calls reach the
original method.
"""

from __future__ import annotations

import functools
import inspect
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from daguerre.engine.forward import Inputs, NetworkChanged, Outputs, is_out_of_memory
from daguerre.errors import DaguerreError, one_line
from daguerre.models.diffusers import coroutine, determinism
from daguerre.models.diffusers.call_packing import (
    CACHE_STATE_INPUT,
    call_constant,
    pack_call,
    pad_masked,
    tree_flatten,
    tree_unflatten,
    unpack_call,
)
from daguerre.models.diffusers.executors.base import (
    EagerExecutor,
    ExecutionTarget,
    Executor,
    NetworkMethod,
)
from daguerre.models.diffusers.executors.registry import make_executor
from daguerre.models.diffusers.executors.structure import output_structure
from daguerre.models.diffusers.family import PLAIN, InputLayout
from daguerre.models.diffusers.memory_probe import make_memory_probe

if TYPE_CHECKING:
    from daguerre.models.diffusers.cache_hooks import CacheHooks

logger = logging.getLogger(__name__)

# A decoder accepts a generator and does not use it. It belongs to one request and cannot be packed.
_IGNORED_ARGUMENT = "generator"


class TorchNetwork:
    """A module's method, which its constructor replaces by a proxy, run by an executor.

    All tensors in the result have rows on axis 0. An executor that fails is replaced by torch's
    eager mode for the rest of the process.
    """

    def __init__(
        self,
        name: str,
        module: Any,
        method: str,
        target: ExecutionTarget,
        layout: InputLayout = PLAIN,
        hooks: CacheHooks | None = None,
    ) -> None:
        self.name, self.hooks = name, hooks
        self.memory_probe = make_memory_probe(target.device, bool(target.make_room))
        self._original = getattr(module, method)
        self._signature = inspect.signature(self._original)
        self._target, self._layout = target, layout
        # Digest of a call's constant part, with all of its options -> structure of its result.
        self._structures: dict[str, Any] = {}
        self._method = NetworkMethod(name, module, self.evaluate)
        self._eager = EagerExecutor(self._method, target)
        self._executor = self._make_executor()
        setattr(module, method, self._proxy())

    @property
    def fingerprint(self) -> str:
        return f"{self._target.fingerprint} {self.name} {self._executor.fingerprint}"

    def warm_up(self, inputs: Inputs) -> Iterator[None]:
        with self._running():
            yield from self._executor.warm_up(inputs)

    def __call__(self, inputs: Inputs) -> Outputs:
        if self._target.make_room:
            self._target.make_room(self._method.module)
        with self._running():
            tensors: Any = self._executor(inputs)
        if any(tensor.is_cuda for tensor in tensors):
            # Raises errors here, and makes the time that of the work, not of its launch.
            torch.cuda.synchronize(tensors[0].device)
        return tuple(tensors)

    def evaluate(self, inputs: Inputs) -> tuple[Any, Outputs]:
        """Calls the method eagerly; returns the structure of the result and its tensors."""
        bound = inspect.BoundArguments(self._signature, OrderedDict(unpack_call(inputs)))
        with self.hooks.installed(inputs) if self.hooks else nullcontext():
            result = self._original(*bound.args, **bound.kwargs)
        structure, tensors = tree_flatten(result, self._layout)
        self._structures[call_constant(inputs).digest] = structure
        return structure, tensors

    def zeros(self, inputs: Inputs) -> Outputs:
        """Zeros of the outputs' shapes, found without arithmetic where the method allows it.

        Hooks that move weights do not.
        """
        if self._target.make_room:
            return tuple(torch.zeros_like(output) for output in self(inputs))

        def evaluate(inputs: Inputs) -> tuple[Any, Outputs]:
            tensors: Any = self.evaluate(inputs)[1]
            return [(tensor.shape, tensor.dtype, tensor.device) for tensor in tensors], tensors

        method = replace(self._method, evaluate=evaluate)
        try:
            described = output_structure(method, inputs)
        except Exception:  # a method that reads values may raise anything
            described = evaluate(inputs)[0]
        return tuple(
            torch.zeros(shape, dtype=dtype, device=device) for shape, dtype, device in described
        )

    def _proxy(self) -> Callable[..., Any]:
        @functools.wraps(self._original)
        def proxy(*args: Any, **kwargs: Any) -> Any:
            if not coroutine.is_inside():
                return self._original(*args, **kwargs)
            arguments = dict(self._signature.bind(*args, **kwargs).arguments)
            arguments.pop(_IGNORED_ARGUMENT, None)
            if not self._executor.has_eager_bits:
                arguments = pad_masked(arguments, self._layout)
            inputs = pack_call(arguments, self._layout)
            state = {CACHE_STATE_INPUT: self.hooks.current_state()} if self.hooks else {}
            outputs = coroutine.request_forward((self.name, {**inputs, **state}))
            tensors = {str(number): output for number, output in enumerate(outputs)}
            return tree_unflatten(self._structure(inputs), tensors)

        return proxy

    def _structure(self, inputs: Inputs) -> Any:
        """Structure of what the method returns for these inputs."""
        digest = call_constant(inputs).digest
        if digest not in self._structures:
            try:
                structure = output_structure(self._method, inputs)
            except Exception:  # a method that reads values may raise anything
                structure = self.evaluate(inputs)[0]
            self._structures[digest] = structure
        return self._structures[digest]

    def _make_executor(self) -> Executor:
        if self._layout.ragged or self._layout.value_dependent:
            return self._eager  # tracing would fix values of the example
        try:
            return make_executor(self._method, self._target)
        except Exception as error:  # a runtime may raise anything
            logger.warning("%s runs eagerly: %s", self.name, one_line(error))
            return self._eager

    @contextmanager
    def _running(self) -> Iterator[None]:
        """Replaces an executor that fails, except for errors of this request alone, and for lack of
        memory, which can be temporary."""
        try:
            with determinism.tf32(self._target.is_tf32):
                yield
        except Exception as error:  # a runtime may raise anything
            failed = self._executor
            is_blameless = isinstance(error, DaguerreError) or is_out_of_memory(error)
            if is_blameless or failed.fingerprint == self._eager.fingerprint:
                raise
            logger.warning("%s runs eagerly from now on: %s", self.name, one_line(error))
            self._executor = self._eager
            failed.release()
            raise NetworkChanged(f"{self.name} ran on {failed.fingerprint}") from error
