"""How a forward of a checkpoint's network is run: the ways there are, and which is best where.

An executor answers the inputs of a forward with the tensors of the method's result. Which one a
network gets depends on its device and the catalog, never on a timing: it decides bits, so what it
is stands in the network's fingerprint. Knows nothing of requests or of how forwards are shared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from daguerre.engine.forward import ForwardRequest, Inputs, Outputs
from daguerre.storage.artifact_cache import ArtifactCache

# Largest distance of an output from torch's, as a share of torch's own norm. Sums in another order
# leave 1e-6 to 1e-5 in float32, and up to 0.06 where torch rounds each step to bfloat16; what was
# made wrong is off by its whole size.
_MAX_DISTANCE: Mapping[torch.dtype, float] = {torch.float32: 1e-3, torch.bfloat16: 0.2}


# What an executor may have made something of its own for: a signature and a number of rows.
ShapeKey: TypeAlias = tuple[str, int]


class ExecutorError(Exception):
    """What an executor has made does not do what the module does."""


@dataclass(frozen=True, slots=True)
class NetworkMethod:
    """A module's method. `evaluate` calls it eagerly: the structure of the result, and the tensors
    in it."""

    name: str
    module: torch.nn.Module
    evaluate: Callable[[Inputs], tuple[Any, Outputs]]


@dataclass(frozen=True, slots=True)
class ExecutionTarget:
    """Where and how a network runs. `fingerprint` names everything else that decides its bits and
    is part of the key in `store`. `is_tf32` allows TF32 matrix products on CUDA. Networks with the
    same `capture_graph` share graph memory."""

    executor: str
    device: torch.device
    dtype: str
    fingerprint: str
    store: ArtifactCache | None = None
    is_tf32: bool = False
    capture_graph: Callable[[NetworkMethod, Inputs], Callable[[Inputs], Outputs]] | None = None


class Executor(Protocol):
    @property
    def fingerprint(self) -> str:
        """What decides bits beside the weights, the libraries' versions and the device."""

    def prepare(self, inputs: Inputs) -> Iterator[None]:
        """See `daguerre.engine.forward.Preparing`."""

    def __call__(self, inputs: Inputs) -> Outputs: ...

    def release(self) -> None:
        """Leaves the module as it was: another executor takes over."""


class EagerExecutor:
    """torch, operation by operation: the bits of the stock pipeline."""

    fingerprint = "eager"

    def __init__(self, method: NetworkMethod, target: ExecutionTarget | None = None) -> None:
        self._method = method

    def prepare(self, inputs: Inputs) -> Iterator[None]:
        return iter(())

    def __call__(self, inputs: Inputs) -> Outputs:
        return self._method.evaluate(inputs)[1]

    def release(self) -> None:
        pass


def output_structure(method: NetworkMethod, inputs: Inputs) -> Any:
    """Of the result, without the arithmetic. Raises where the method looks at a tensor's values."""
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        fake = {
            name: mode.from_tensor(value) if isinstance(value, torch.Tensor) else value
            for name, value in inputs.items()
        }
        return method.evaluate(fake)[0]


class ShapeKeyCache:
    """The shape of inputs, found once for those that are prepared and then run."""

    def __init__(self) -> None:
        self._last: tuple[Inputs | None, ShapeKey] = (None, ("", 0))

    def __call__(self, inputs: Inputs) -> ShapeKey:
        if self._last[0] is not inputs:
            forward = ForwardRequest("", inputs, "denoise")
            self._last = (inputs, (forward.signature, forward.rows))
        return self._last[1]


def assert_close(found: Outputs, expected: Outputs) -> None:
    """Raises `ExecutorError` for outputs that are not torch's, but for their last bits."""
    for number, (ours, theirs) in enumerate(zip(found, expected, strict=True)):
        assert isinstance(ours, torch.Tensor) and isinstance(theirs, torch.Tensor)
        if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
            raise ExecutorError(
                f"output {number} is {ours.dtype} {tuple(ours.shape)} instead of"
                f" {theirs.dtype} {tuple(theirs.shape)}"
            )
        distance = _distance(ours, theirs)
        if not distance <= _MAX_DISTANCE.get(theirs.dtype, 0.0):
            raise ExecutorError(f"output {number} is {distance:.2g} of its norm off torch's")


def _distance(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    one, other = ours.double(), theirs.double()
    return float((one - other).norm() / other.norm().clamp_min(1e-30))
