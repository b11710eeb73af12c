"""The count of floating-point operations of a graph."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.networks import num_operations
from daguerre.models.openvino import opset13 as op
from daguerre.models.openvino import ov


def weights(*shape: int) -> ov.Node:
    return op.constant(np.ones(shape, np.float32))


def saved(folder: Path, output: ov.Node, *inputs: ov.Node) -> Path:
    ov.save_model(ov.Model([output], list(inputs)), folder / "network.xml")
    return folder / "network.xml"


@pytest.mark.parametrize("rows", [1, 2])
def test_products_and_attention(tmp_path: Path, rows: int) -> None:
    """The count of x (R, 6, 8) times (8, 16) and four heads of attention equals a manual count."""
    x = op.parameter([-1, 6, 8], np.float32)
    product = op.matmul(x, weights(16, 8), False, True)
    heads = op.transpose(op.reshape(product, [0, 6, 4, 4], True), [0, 2, 1, 3])
    attention = op.scaled_dot_product_attention(heads, heads, heads)
    by_hand = rows * (2 * 6 * 8 * 16 + 4 * 2 * 6 * 6 * (4 + 4))
    assert num_operations(saved(tmp_path, attention, x), rows) == by_hand


def test_transposed_product(tmp_path: Path) -> None:
    """The count respects a transposed first factor."""
    x = op.parameter([-1, 5, 3], np.float32)
    assert num_operations(saved(tmp_path, op.matmul(x, weights(5, 7), True, False), x), 2) == (
        2 * 2 * 3 * 5 * 7
    )


def test_unknown_operation_is_an_error(tmp_path: Path) -> None:
    """A graph with uncounted operations is an error, not a count that is too low."""
    x = op.parameter([-1, 3, 8, 8], np.float32)
    convolution = op.convolution(x, weights(4, 3, 3, 3), [1, 1], [1, 1], [1, 1], [1, 1])
    with pytest.raises(ValueError, match="Convolution"):
        num_operations(saved(tmp_path, convolution, x), 1)
