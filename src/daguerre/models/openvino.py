"""OpenVINO: the process-wide runtime, and the number of threads it computes with."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import openvino as ov
from openvino import opset13


@cache
def openvino_core() -> ov.Core:
    """The only `ov.Core` of the process, kept until the process ends."""
    # The CPU plugin installs an alternate signal stack in the thread that creates it, and frees it
    # with the plugin: later signals would write into freed memory (OpenVINO 2026.4).
    return ov.Core()


def effective_num_threads(core: ov.Core, config: Mapping[str, str]) -> int:
    """Number of threads that OpenVINO uses with `config`; it affects the output bits.

    In latency mode OpenVINO uses one thread per core and never more than the cores available,
    whatever was requested. Only the runtime knows how it counts, so a trivial model is compiled.
    """
    parameter = opset13.parameter([1], ov.Type.f32)
    model = ov.Model([opset13.relu(parameter)], [parameter])
    compiled = core.compile_model(model, "CPU", dict(config))
    return int(compiled.get_property("INFERENCE_NUM_THREADS"))
