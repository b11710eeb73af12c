"""Operations on the arrays of a forward, for numpy and torch.

torch is imported only when an argument is a tensor, so its caller has loaded it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from daguerre.engine.forward import Array

if TYPE_CHECKING:
    import torch

# Standard deviation of the noise, relative to the largest absolute value that it replaces.
NOISE_SCALE = 16.0


def concatenate(arrays: Sequence[Array]) -> Array:
    """All rows, in order."""
    if isinstance(arrays[0], np.ndarray):
        return np.concatenate(arrays)
    import torch

    return torch.cat(list(arrays))


def select_rows(array: Array, start: int, end: int) -> Array:
    """Rows `start` to `end`: a view of a numpy array, a copy of a tensor."""
    # A pipeline may modify a tensor in place, and its alignment may select a kernel.
    rows = array[start:end]
    return rows if isinstance(rows, np.ndarray) else rows.clone()


def ensure_owned(array: Array) -> Array:
    """The array itself, or a copy if its memory belongs to a runtime.

    The next call of a runtime overwrites such memory, and a comparison with it would then compare
    an array with itself. A tensor owns its memory or keeps the owner alive.
    """
    if isinstance(array, np.ndarray) and not array.flags.owndata:
        return array.copy()
    return array


def is_same(one: Array, other: Array) -> bool:
    """Bitwise equality: 0.0 differs from -0.0, and a NaN equals itself."""
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    if isinstance(one, np.ndarray):
        return one.tobytes() == other.tobytes()
    import torch

    is_equal: bool = torch.equal(_bytes(one), _bytes(other))
    return is_equal


def noise(array: Array, generator: np.random.Generator) -> Array:
    """Random values of the same shape and dtype, valid as the same network input."""
    if isinstance(array, np.ndarray):
        return _noise(array, generator)
    import torch

    # numpy has no bfloat16 and no float8; float64 represents them exactly.
    is_float = array.dtype.is_floating_point
    known = array.to(torch.float64) if is_float else array
    drawn = torch.from_numpy(_noise(known.cpu().numpy(), generator))
    return drawn.to(device=array.device, dtype=array.dtype)


def _bytes(tensor: torch.Tensor) -> torch.Tensor:
    import torch

    return tensor.contiguous().view(torch.uint8)


def _noise(array: NDArray[Any], generator: np.random.Generator) -> NDArray[Any]:
    if array.dtype.kind in "iub":
        # Integers may be indices into a table, so only the values of the input are valid.
        return generator.permuted(array.ravel()).reshape(array.shape)
    values = np.abs(array.astype(np.float64))
    peak = np.max(values, initial=1.0, where=np.isfinite(values))
    with np.errstate(over="ignore"):
        loud: NDArray[Any] = generator.standard_normal(array.shape) * peak * NOISE_SCALE
        return loud.astype(array.dtype)
