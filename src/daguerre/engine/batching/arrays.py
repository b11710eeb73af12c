"""What the engine does with the values of a forward, be they numpy's or torch's.

Rows are put together and taken apart, compared bit for bit, and stood in for by noise. torch is
imported where one of its tensors is met, so it was loaded before by whoever made the tensor. Knows
nothing of networks, jobs or proofs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from daguerre.engine.forward import Array

if TYPE_CHECKING:
    import torch

# Noise is this much louder than the largest value of the rows it stands for.
NOISE_SCALE = 16.0


def concatenate(arrays: Sequence[Array]) -> Array:
    """The rows of all, in order."""
    if isinstance(arrays[0], np.ndarray):
        return np.concatenate(arrays)
    import torch

    return torch.cat(list(arrays))


def copy_rows(array: Array, start: int, end: int) -> Array:
    """The rows from `start` to `end`; of a tensor in memory of their own.

    A pipeline in torch may work on its rows in place, and a tensor's alignment may choose a kernel:
    neither may depend on where among the rows of others they lay.
    """
    rows = array[start:end]
    return rows if isinstance(rows, np.ndarray) else rows.clone()


def ensure_owned(array: Array) -> Array:
    """Memory that belongs to a runtime is overwritten by its next call, and a comparison with it
    would then compare a thing with itself. A tensor owns its memory, or keeps the owner alive."""
    if isinstance(array, np.ndarray) and not array.flags.owndata:
        return array.copy()
    return array


def is_same(one: Array, other: Array) -> bool:
    """Bit for bit: unlike ==, tells 0.0 from -0.0, and finds a NaN equal to itself."""
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    if isinstance(one, np.ndarray):
        return one.tobytes() == other.tobytes()
    import torch

    is_equal: bool = torch.equal(_bytes(one), _bytes(other))
    return is_equal


def noise(array: Array, generator: np.random.Generator) -> Array:
    """Other values of the same shape and type that a network takes."""
    if isinstance(array, np.ndarray):
        return _noise(array, generator)
    import torch

    # numpy knows not all of torch's types, such as bfloat16; float64 holds them exactly.
    is_float = array.dtype.is_floating_point
    known = array.to(torch.float64) if is_float else array
    drawn = torch.from_numpy(_noise(known.cpu().numpy(), generator))
    return drawn.to(device=array.device, dtype=array.dtype)


def _bytes(tensor: torch.Tensor) -> torch.Tensor:
    import torch

    return tensor.contiguous().view(torch.uint8)


def _noise(array: NDArray[Any], generator: np.random.Generator) -> NDArray[Any]:
    if array.dtype.kind in "iub":
        # Whole numbers may be indices into a table: only values that were there are safe.
        return generator.permuted(array.ravel()).reshape(array.shape)
    values = np.abs(array.astype(np.float64))
    peak = np.max(values, initial=1.0, where=np.isfinite(values))
    with np.errstate(over="ignore"):
        loud: NDArray[Any] = generator.standard_normal(array.shape) * peak * NOISE_SCALE
        return loud.astype(array.dtype)
