"""The engine's array operations on torch tensors match those on numpy arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from daguerre.engine.batching import arrays
from daguerre.engine.forward import ForwardRequest

from .conftest import REASON

torch = pytest.importorskip("torch", reason=REASON)


def test_is_same_compares_bits() -> None:
    """0.0 differs from -0.0, NaN equals itself, and shape and type count, in every type."""
    for dtype in (torch.float32, torch.bfloat16, torch.float64):
        zero, nan = torch.zeros(2, 1, dtype=dtype), torch.full((2, 1), float("nan"), dtype=dtype)
        assert arrays.is_same(zero, zero.clone()) and arrays.is_same(nan, nan.clone())
        assert not arrays.is_same(zero, -zero)
        assert not arrays.is_same(zero, torch.zeros(1, 2, dtype=dtype))
    assert not arrays.is_same(torch.zeros(2), torch.zeros(2, dtype=torch.int32))


def test_copied_rows_own_their_memory() -> None:
    """A pipeline that modifies its rows in place does not change those of others."""
    whole = arrays.concatenate([torch.zeros(1, 2), torch.ones(2, 2)])
    part: Any = arrays.select_rows(whole, 1, 3)
    part += 1
    assert whole.tolist() == [[0.0, 0.0], [1.0, 1.0], [1.0, 1.0]]
    assert part.storage_offset() == 0


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_noise_is_loud(dtype: str) -> None:
    """Noise has the shape and type of the array that it replaces, and is larger."""
    quiet = torch.full((4, 64), 3.0, dtype=getattr(torch, dtype))
    loud: Any = arrays.noise(quiet, np.random.default_rng(0))
    assert loud.shape == quiet.shape and loud.dtype == quiet.dtype
    assert loud.float().abs().mean() > 2 * 3.0


def test_noise_of_indices() -> None:
    """Noise for integers and flags consists of values of the array."""
    for values in (torch.arange(12).reshape(3, 4), torch.eye(3, dtype=torch.bool)):
        other = arrays.noise(values, np.random.default_rng(0))
        assert other.dtype == values.dtype and other.shape == values.shape
        assert sorted(other.flatten().tolist()) == sorted(values.flatten().tolist())


def test_signature_has_the_type() -> None:
    """A tensor is described in a signature as an array is."""
    forward = ForwardRequest("net", {"x": torch.zeros(2, 3, dtype=torch.bfloat16)}, "denoise")
    assert (forward.signature, forward.rows) == ("net(x bfloat16[3])", 2)
