"""Forward requests of pipelines, and the networks that evaluate them.

A forward is one evaluation of one network. Axis 0 of every array holds rows. Forwards with the same
signature may run in one batch. Arrays are numpy arrays or torch tensors; this module does not load
torch. Shapes: R is the number of rows of one forward, * is any shape that the network takes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True, eq=False)
class OpaqueConstant:
    """A value without rows, such as the positions of all patches or the options of a call.

    `digest` identifies its content and represents it in a signature. Constants with the same digest
    are interchangeable, in every process.
    """

    value: Any
    digest: str

    def __repr__(self) -> str:
        return f"#{self.digest}"


Array: TypeAlias = "NDArray[Any] | torch.Tensor"  # (R, *)
Scalar: TypeAlias = int | float | str | bool | OpaqueConstant
Inputs: TypeAlias = "Mapping[str, Array | Scalar]"
Outputs: TypeAlias = tuple[Array, ...]  # each (R, *)
Stage: TypeAlias = Literal["encode", "denoise", "decode"]
Preview: TypeAlias = Callable[[Outputs], NDArray[np.uint8]]


class Network(Protocol):
    """A network that evaluates rows.

    The engine's thread makes one call at a time. Any thread may read the properties.
    """

    @property
    def name(self) -> str: ...

    @property
    def fingerprint(self) -> str:
        """Everything that determines the bits of an output: weights, device, precision, threads,
        runtime. It changes only when the network raises `NetworkChanged`."""

    def __call__(self, inputs: Inputs) -> Outputs:
        """Outputs with the rows of the inputs, in the same order.

        May return views of its own memory; the engine copies them.
        """


@dataclass(frozen=True, eq=False)
class ForwardRequest:
    """One evaluation that a pipeline needs; the engine answers with the network's outputs.

    `step` is (index, total), 1-based, on each forward that completes a denoising step. `preview`
    draws the estimated image from the outputs of this forward: (h, w, 3) uint8, of any size, in the
    image's aspect ratio. The engine calls it between two forwards, after the pipeline has received
    the outputs, so it must take a few milliseconds at most. It must not change any state.
    """

    network: str
    inputs: Inputs
    stage: Stage
    step: tuple[int, int] | None = None
    preview: Preview | None = None
    arrays: Mapping[str, Array] = field(init=False)  # of the inputs
    rows: int = field(init=False)

    def __post_init__(self) -> None:
        arrays = {name: value for name, value in self.inputs.items() if is_array(value)}
        rows = {name: _rows(name, value) for name, value in arrays.items()}
        if len(set(rows.values())) != 1:
            raise ValueError(
                f"inputs of network {self.network!r} have rows {rows}; all arrays must have the"
                " same number, and at least one array is required"
            )
        object.__setattr__(self, "arrays", arrays)
        object.__setattr__(self, "rows", next(iter(rows.values())))

    @cached_property
    def signature(self) -> str:
        """Equal for forwards that fit into one batch, scalars included, for example
        "denoiser(latents float32[4,32,32])"."""
        inputs = (f"{name} {_describe(self.inputs[name])}" for name in sorted(self.inputs))
        return f"{self.network}({', '.join(inputs)})"


class NetworkChanged(Exception):
    """Raised by a network that has switched to another implementation and fingerprint.

    Earlier outputs do not match later ones, so jobs with outputs of this network must restart.
    """


@runtime_checkable
class HasWarmup(Protocol):
    """A network that compiles or converts before its first evaluation of inputs of a new shape."""

    @property
    def name(self) -> str: ...

    def warm_up(self, inputs: Inputs) -> Iterator[None]:
        """Yields before each part of the work, so that the engine can report progress.

        Yields nothing if the shape is ready. Work that is specific to this number of rows is the
        last part. Raises `NetworkChanged`, and any error of the compiler.
        """


class PeakMemory(Protocol):
    """Peak memory of an evaluation, as measured by a `MemoryProbe`."""

    def reset(self) -> None:
        """Restarts the measurement."""

    def num_bytes(self) -> int | None:
        """The peak since the start or the last `reset`; None if it is unknown."""


class MemoryProbe(Protocol):
    """Measures the memory of one device, in bytes."""

    @property
    def has_fixed_overhead(self) -> bool:
        """Whether a part of the measured peak may be independent of the number of rows."""

    def free(self) -> int:
        """Memory available for the next evaluation."""

    def track_peak(self) -> AbstractContextManager[PeakMemory]:
        """Measures the evaluation inside the `with` block."""


@runtime_checkable
class HasMemoryProbe(Protocol):
    """A network whose evaluations may exceed the memory of its device."""

    @property
    def memory_probe(self) -> MemoryProbe: ...


# Messages of C++, torch (CPU and CUDA) and OpenVINO, which raise errors of various types.
_MEMORY_ERRORS = ("bad_alloc", "out of memory", "can't allocate memory", "could not allocate")


def is_out_of_memory(error: BaseException | None) -> bool:
    message = str(error).lower()
    return isinstance(error, MemoryError) or any(text in message for text in _MEMORY_ERRORS)


def is_array(value: object) -> bool:
    if isinstance(value, np.ndarray):
        return True
    torch = sys.modules.get("torch")  # if it is not loaded, no value is a tensor
    return torch is not None and isinstance(value, torch.Tensor)


def _rows(name: str, value: Array) -> int:
    if value.ndim == 0 or len(value) == 0:
        raise ValueError(
            f"input {name!r} has shape {value.shape}; axis 0 must hold one or more rows"
        )
    return len(value)


def _describe(value: Any) -> str:
    return _dtype_and_shape(value.dtype, value.shape[1:]) if is_array(value) else repr(value)


@lru_cache(maxsize=4096)  # called for each input of each forward
def _dtype_and_shape(dtype: object, shape: tuple[int, ...]) -> str:
    return f"{str(dtype).removeprefix('torch.')}[{','.join(map(str, shape))}]"
