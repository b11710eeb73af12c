"""Compression of networks to int8: the error of a weight, and what stays as it is."""

from __future__ import annotations

import numpy as np

from daguerre.models.openvino import openvino_core, ov
from daguerre.models.openvino import opset13 as ops
from training.compression import compress, quantize

ROWS = np.random.RandomState(1)
MATRIX = ROWS.standard_normal((96, 64)).astype(np.float32)


def test_rounding_is_within_half_a_step() -> None:
    """A weight changes by at most half of its row's scale; a row of zeros stays zero."""
    matrix = MATRIX * np.linspace(0, 3, len(MATRIX), dtype=np.float32)[:, None]
    quantized, scales = quantize(matrix)
    assert quantized.dtype == np.int8 and scales.shape == (96, 1)
    assert (np.abs(quantized * scales - matrix) <= 0.501 * scales).all()
    assert not quantized[0].any()


def test_a_compressed_network_computes_nearly_the_same() -> None:
    """Large matrices become int8; small constants and the results stay."""
    x = ops.parameter([2, 64], np.float32, name="x")
    bias = ops.constant(np.ones((1, 96), np.float32))
    product = ops.matmul(x, ops.constant(MATRIX), transpose_a=False, transpose_b=True)
    network = ov.Model([ops.add(product, bias)], [x])
    given = ROWS.standard_normal((2, 64)).astype(np.float32)
    core = openvino_core()
    config = {"INFERENCE_PRECISION_HINT": "f32"}
    before = core.compile_model(network, "CPU", config)([given])[0].copy()
    compress(network)
    constants = [op for op in network.get_ops() if op.get_type_name() == "Constant"]
    after = core.compile_model(network, "CPU", config)([given])[0]
    kinds = [op.get_element_type() for op in constants if op.get_output_shape(0) == [96, 64]]
    assert kinds == [ov.Type.i8] and len(constants) == 3  # with the scales and the bias
    assert np.abs(before - after).max() < 0.01 * np.abs(before).max()
