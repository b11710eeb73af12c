"""Executors: what runs the forwards of a checkpoint's network.

An executor maps the inputs of a forward to the tensors of the method's result. The device and the
catalog select it, never a timing: it determines bits and is part of the network's fingerprint.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, TypeAlias

import torch

from daguerre.engine.forward import ForwardRequest, Inputs, Outputs
from daguerre.models.diffusers.executors.compiled_calls import CompiledCalls
from daguerre.models.diffusers.finite import check_finite, is_finite
from daguerre.storage.artifact_cache import ArtifactCache

# Largest distance of an output from torch's, relative to the norm of torch's output. Another order
# of summation leaves 1e-6 to 1e-5 in float32, and up to 0.06 where torch rounds each step to
# bfloat16; float16 has eight times its precision. A wrong conversion is off by about 1.
MAX_DISTANCES: Mapping[torch.dtype, float] = {
    torch.float32: 1e-3,
    torch.float16: 0.02,
    torch.bfloat16: 0.2,
}

ShapeKey: TypeAlias = tuple[str, int]  # signature and number of rows
Call: TypeAlias = Callable[[Inputs], Outputs]


class ExecutorError(Exception):
    """An executor cannot run a method, or its results differ from the method's."""


@dataclass(frozen=True, slots=True)
class NetworkMethod:
    """A method of a module.

    `evaluate` calls it eagerly and returns the structure of the result and the tensors in it.
    """

    name: str
    module: torch.nn.Module
    evaluate: Callable[[Inputs], tuple[Any, Outputs]]

    def evaluate_in_float32(self, inputs: Inputs) -> Outputs:
        """The tensors of the result, from weights and inputs that are converted to float32."""
        with in_float32(self.module):
            return self.evaluate(tensors_in_float32(inputs))[1]


def is_half(value: Any) -> bool:
    """Whether a tensor or the weights of a module have a type of 16 bits."""
    return getattr(value, "dtype", None) in (torch.float16, torch.bfloat16)


def tensors_in_float32(inputs: Inputs) -> dict[str, Any]:
    """The inputs, with those of a half type converted."""
    converted: dict[str, Any] = {**inputs}
    return {name: each.float() if is_half(each) else each for name, each in converted.items()}


@contextmanager
def in_float32(module: torch.nn.Module) -> Iterator[None]:
    """Converts the weights, and puts back the same tensors, which graphs may refer to."""
    weights = [weight for weight in chain(module.parameters(), module.buffers()) if is_half(weight)]
    kept = [weight.data for weight in weights]
    try:
        for weight in weights:
            weight.data = weight.data.float()
        yield
    finally:
        for weight, data in zip(weights, kept, strict=True):
            weight.data = data


@dataclass(frozen=True, slots=True)
class ExecutionTarget:
    """Where and how a network runs.

    `fingerprint` names everything else that determines its bits; it is part of the keys in `store`.
    Networks with the same `capture_graph` share graph memory, those with the same `compiled` the
    memory of compiled calls. If weights are offloaded, `make_room` precedes each forward of a
    module. With `record_calls`, the network is quantized to int8: it returns calls of the network,
    which show the ranges of its activations.
    """

    executor: str
    device: torch.device
    dtype: str
    fingerprint: str
    store: ArtifactCache | None = None
    is_tf32: bool = False
    capture_graph: Callable[[NetworkMethod, Inputs], Call] | None = None
    compiled: CompiledCalls = field(default_factory=CompiledCalls)
    make_room: Callable[[torch.nn.Module], None] | None = None
    record_calls: Callable[[], Iterator[Inputs]] | None = None


class Executor:
    """Runs one method, with a warm-up for each shape. Used in the engine's thread only.

    `fingerprint` is what determines bits besides weights, library versions and device.
    """

    fingerprint: str
    has_eager_bits = False  # the outputs have the bits of torch's eager mode

    def __init__(self, method: NetworkMethod, target: ExecutionTarget) -> None:
        self._method = method
        self._calls: OrderedDict[ShapeKey, Call] = OrderedDict()  # least recently used first
        self._warm: tuple[Inputs, ShapeKey] | None = None  # inputs of a warm-up, until their call

    def warm_up(self, inputs: Inputs) -> Iterator[None]:
        """Compiles for the shape of the inputs; see `HasWarmup.warm_up`."""
        key = _shape_key(inputs)
        self._warm = (inputs, key)
        return self._warm_up_shape(key, inputs)

    def __call__(self, inputs: Inputs) -> Outputs:
        """Runs the method, after the warm-up if that has not been done."""
        warm, self._warm = self._warm, None
        key = warm[1] if warm and warm[0] is inputs else _shape_key(inputs)
        for _ in self._warm_up_shape(key, inputs):
            pass
        return self._run(key, inputs)

    def release(self) -> None:
        """Frees what the executor made, because another one takes over."""
        self._calls.clear()

    def _warm_up_shape(self, key: ShapeKey, inputs: Inputs) -> Iterator[None]:
        if key not in self._calls and (call := (yield from self._build(key, inputs))):
            self._calls[key] = call

    def _run(self, key: ShapeKey, inputs: Inputs) -> Outputs:
        if key not in self._calls:
            return self._run_eagerly(inputs)
        self._calls.move_to_end(key)
        return self._calls[key](inputs)

    def _build(self, key: ShapeKey, inputs: Inputs) -> Generator[None, None, Call | None]:
        """Yields before each part of the work for a new shape; None runs it eagerly this time."""
        yield from ()
        return None

    def _evict(self, max_calls: int) -> None:
        """Drops the least recently used calls, so that one can be added."""
        while len(self._calls) >= max_calls:
            self._calls.popitem(last=False)

    def _run_eagerly(self, inputs: Inputs) -> Outputs:
        return self._method.evaluate(inputs)[1]

    def _run_reference(self, inputs: Inputs) -> Outputs:
        """Eager outputs to compare with, in float32 where a half type overflows.

        Raises `NotFiniteError`, because NaN is never close.
        """
        outputs: Any = self._run_eagerly(inputs)
        if not is_finite(outputs) and is_half(self._method.module):
            exact: Any = self._method.evaluate_in_float32(inputs)
            outputs = [
                tensor.to(output.dtype) for tensor, output in zip(exact, outputs, strict=True)
            ]
        check_finite(self._method.name, outputs)
        return tuple(outputs)


class EagerExecutor(Executor):
    """torch's eager mode: the bits of the stock pipeline."""

    fingerprint = "eager"
    has_eager_bits = True

    def warm_up(self, inputs: Inputs) -> Iterator[None]:
        return iter(())

    def __call__(self, inputs: Inputs) -> Outputs:
        return self._run_eagerly(inputs)


def _shape_key(inputs: Inputs) -> ShapeKey:
    forward = ForwardRequest("", inputs, "denoise")
    return forward.signature, forward.rows


def assert_close(
    found: Outputs, expected: Outputs, max_distances: Mapping[torch.dtype, float] = MAX_DISTANCES
) -> None:
    """Raises `ExecutorError` if outputs differ from torch's by more than rounding."""
    for number, (ours, theirs) in enumerate(zip(found, expected, strict=True)):
        assert isinstance(ours, torch.Tensor) and isinstance(theirs, torch.Tensor)
        if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
            raise ExecutorError(
                f"output {number} is {ours.dtype} {tuple(ours.shape)} instead of"
                f" {theirs.dtype} {tuple(theirs.shape)}"
            )
        difference = (ours.double() - theirs.double()).norm()
        distance = float(difference / theirs.double().norm().clamp_min(1e-30))
        limit = max_distances.get(theirs.dtype, 0.0)
        if not distance <= limit:  # NaN fails, too
            raise ExecutorError(
                f"output {number} differs from torch's by {distance:.2g} of its norm"
                f" (limit: {limit:g})"
            )
