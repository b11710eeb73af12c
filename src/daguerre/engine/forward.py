"""What a pipeline asks for, and what answers: a `ForwardRequest` and a `Network`.

A forward is one evaluation of one network; every array in it carries rows on axis 0. Two forwards
with the same signature may share an evaluation. Arrays are numpy's or torch's; importing this loads
no torch. Knows nothing of images, steps or other jobs. Shapes: R rows of one forward, * whatever
the network takes.
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

    `digest` names its content and stands for it in a signature: two constants with one digest are
    interchangeable, in every process.
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
    """Evaluates rows. Called from the engine's thread only, one call at a time; the two properties
    are read from any thread. The fingerprint changes with `NetworkChanged` only."""

    @property
    def name(self) -> str: ...

    @property
    def fingerprint(self) -> str:
        """All that decides the bits of an output: weights, device, precision, threads, runtime."""

    def __call__(self, inputs: Inputs) -> Outputs:
        """Outputs have as many rows as the inputs, in their order, in memory of their own: a later
        call must not overwrite them."""


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
                f"inputs of network {self.network!r} have rows {rows}; every array must have the "
                "same number, and there must be an array"
            )
        object.__setattr__(self, "arrays", arrays)
        object.__setattr__(self, "rows", next(iter(rows.values())))

    @cached_property
    def signature(self) -> str:
        """Equal for forwards that fit into one evaluation: "denoiser(latents float32[4,32,32])".

        A plain value is part of it, so forwards that differ in one are never merged.
        """
        inputs = (f"{name} {_describe(self.inputs[name])}" for name in sorted(self.inputs))
        return f"{self.network}({', '.join(inputs)})"


class NetworkChanged(Exception):
    """Raised by a network that is evaluated in another way from now on, under another fingerprint.

    What it answered before does not go with what it will answer, so whoever has answers of it must
    begin again.
    """


@runtime_checkable
class CompilesPerShape(Protocol):
    """A network that compiles or converts once before it can evaluate inputs of a new shape."""

    @property
    def name(self) -> str: ...

    def prepare(self, inputs: Inputs) -> Iterator[None]:
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


# Of Python, C++, torch on CPUs and devices, and OpenVINO: runtimes throw errors of their own.
_MEMORY_WORDS = ("bad_alloc", "out of memory", "can't allocate memory", "could not allocate")


def is_out_of_memory(error: BaseException | None) -> bool:
    words = str(error).lower()
    return isinstance(error, MemoryError) or any(word in words for word in _MEMORY_WORDS)


def is_array(value: object) -> bool:
    if isinstance(value, np.ndarray):
        return True
    torch = sys.modules.get("torch")  # before it is loaded nothing is a tensor
    return torch is not None and isinstance(value, torch.Tensor)


def _rows(name: str, value: Array) -> int:
    if value.ndim == 0 or len(value) == 0:
        raise ValueError(
            f"input {name!r} has shape {value.shape}; axis 0 must carry 1 or more rows"
        )
    return len(value)


def _describe(value: Any) -> str:
    return _kind(value.dtype, value.shape[1:]) if is_array(value) else repr(value)


@lru_cache(maxsize=4096)  # each forward asks, and there are few answers
def _kind(dtype: object, shape: tuple[int, ...]) -> str:
    return f"{str(dtype).removeprefix('torch.')}[{','.join(map(str, shape))}]"
