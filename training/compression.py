"""Stores the matrices of an OpenVINO network as int8, with one scale for each row.

A row of a matrix is the weights of one output, or the embedding of one token, so rounding changes
no weight by more than 0.4% of the largest of its row. The runtime multiplies the scales back.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from daguerre.models.openvino import opset13 as ops
from daguerre.models.openvino import ov

MIN_SIZE = 4096  # smaller constants stay as they are


def compress(network: ov.Model) -> None:
    """Replaces all large matrices of float constants in place."""
    for node in network.get_ordered_ops():
        if node.get_type_name() == "Constant" and _is_matrix(node):
            quantized, scales = quantize(node.get_data().astype(np.float32))
            whole = ops.convert(ops.constant(quantized), "f32")
            name = node.get_friendly_name()
            replacement = ops.multiply(whole, ops.constant(scales), name=name)
            for consumer in node.output(0).get_target_inputs():
                consumer.replace_source_output(replacement.output(0))


def _is_matrix(node: ov.Node) -> bool:
    shape = tuple(node.get_output_shape(0))
    return node.get_element_type() == ov.Type.f32 and len(shape) == 2 and np.prod(shape) >= MIN_SIZE


def quantize(matrix: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """The rows of a matrix (n, m) as int8 (n, m) and their scales (n, 1)."""
    scales = np.abs(matrix).max(axis=1, keepdims=True) / 127
    scales[scales == 0] = 1
    return np.rint(matrix / scales).astype(np.int8), scales.astype(np.float32)
