"""Signatures: which forwards fit into one evaluation."""

from __future__ import annotations

import numpy as np
import pytest

from daguerre.engine.forward import ForwardRequest, Inputs, OpaqueConstant

X = np.zeros((2, 3, 4), np.float32)


def signature(inputs: Inputs, network: str = "denoiser") -> str:
    return ForwardRequest(network, inputs, "denoise").signature


def test_signature_is_readable() -> None:
    """The signature names network, inputs, dtypes, shapes without rows, and plain values."""
    assert signature({"x": X, "mode": "fast"}) == "denoiser(mode 'fast', x float32[3,4])"


def test_rows_and_values_are_not_in_it() -> None:
    """Forwards that differ in values, in row count or in their step fit together."""
    other = ForwardRequest("denoiser", {"x": np.ones((5, 3, 4), np.float32)}, "denoise", (3, 9))
    assert other.signature == signature({"x": X})


@pytest.mark.parametrize(
    "inputs",
    [
        {"x": X.astype(np.float64)},
        {"x": X[:, :2]},
        {"y": X},
        {"x": X, "t": X},
        {"x": X, "guidance": 1},
        {"x": X, "guidance": 1.0},
        {"x": X, "guidance": True},
        {"x": X, "guidance": "1"},
    ],
)
def test_all_else_is_in_it(inputs: Inputs) -> None:
    """Dtype, shape, names, and value and type of plain inputs keep forwards apart."""
    others = [signature({"x": X}), signature({"x": X, "guidance": 2}), signature({"x": X}, "other")]
    assert signature(inputs) not in others


def test_plain_values_of_other_types_are_apart() -> None:
    """1, 1.0, True and "1" are four signatures."""
    assert len({signature({"x": X, "guidance": g}) for g in (1, 1.0, True, "1")}) == 4


def test_constants_are_known_by_their_digest() -> None:
    """A constant is no row: its digest is in the signature, whatever object holds the content."""
    one, same, other = (OpaqueConstant(object(), digest) for digest in ("abc", "abc", "abd"))
    assert signature({"x": X, "ids": one}) == "denoiser(ids #abc, x float32[3,4])"
    assert signature({"x": X, "ids": one}) == signature({"x": X, "ids": same})
    assert signature({"x": X, "ids": one}) != signature({"x": X, "ids": other})
    assert (
        ForwardRequest("denoiser", {"x": X, "ids": OpaqueConstant(X[:1], "abc")}, "denoise").rows
        == 2
    )


@pytest.mark.parametrize("inputs", [{}, {"a": 1}, {"x": X, "t": X[:1]}, {"x": X[:0]}])
def test_rows_must_agree(inputs: Inputs) -> None:
    """A forward without rows, or with arrays of different row counts, cannot be made."""
    with pytest.raises(ValueError, match="rows"):
        ForwardRequest("denoiser", inputs, "denoise")


def test_scalar_array_is_refused() -> None:
    """An array without axis 0 has no rows to share."""
    with pytest.raises(ValueError, match="axis 0"):
        ForwardRequest("denoiser", {"x": X, "t": np.array(0.5)}, "denoise")
