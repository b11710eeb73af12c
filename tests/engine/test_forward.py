"""Signatures: which forwards fit into one batch."""

from __future__ import annotations

import numpy as np
import pytest

from daguerre.engine.forward import ForwardRequest, Inputs, OpaqueConstant

X = np.zeros((2, 3, 4), np.float32)


def signature(inputs: Inputs, network: str = "denoiser") -> str:
    return ForwardRequest(network, inputs, "denoise").signature


def test_signature_is_readable() -> None:
    """The signature has the network, the inputs, dtypes, shapes without rows, and scalars."""
    assert signature({"x": X, "mode": "fast"}) == "denoiser(mode 'fast', x float32[3,4])"


def test_signature_ignores_rows_and_values() -> None:
    """Forwards that differ in values, number of rows or step have one signature."""
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
def test_signature_has_everything_else(inputs: Inputs) -> None:
    """Dtypes, shapes, names, and the values and types of scalars change the signature."""
    others = [signature({"x": X}), signature({"x": X, "guidance": 2}), signature({"x": X}, "other")]
    assert signature(inputs) not in others


def test_scalars_of_different_types_differ() -> None:
    """1, 1.0, True and "1" give four signatures."""
    assert len({signature({"x": X, "guidance": g}) for g in (1, 1.0, True, "1")}) == 4


def test_constants_are_identified_by_their_digest() -> None:
    """A constant has no rows, and its digest is in the signature."""
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
    """A forward without rows, or with arrays of different row counts, is an error."""
    with pytest.raises(ValueError, match="rows"):
        ForwardRequest("denoiser", inputs, "denoise")


def test_zero_dimensional_array_is_an_error() -> None:
    """An array without axis 0 has no rows."""
    with pytest.raises(ValueError, match="axis 0"):
        ForwardRequest("denoiser", {"x": X, "t": np.array(0.5)}, "denoise")
