"""How many threads OpenVINO computes with, which decides bits.

For one request at a time it takes one thread of each core, and no more than there are cores that
the process may use, whatever it is told. Only the runtime knows how it counts them.
"""

from __future__ import annotations

from collections.abc import Mapping

import openvino as ov
from openvino import opset13


def num_taken(core: ov.Core, config: Mapping[str, str]) -> int:
    """With this configuration, on the processor; asked of a network that does nothing."""
    number = opset13.parameter([1], ov.Type.f32)
    nothing = ov.Model([opset13.relu(number)], [number])
    compiled = core.compile_model(nothing, "CPU", dict(config))
    return int(compiled.get_property("INFERENCE_NUM_THREADS"))
