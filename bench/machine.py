"""Facts about the machine, and its rate of matrix products in OpenVINO.

The rate of a 2048x2048 product is the reference for a network: same OpenVINO, threads and hints as
the engine, constant weights. The best of many runs counts.
"""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.durations import durations_s
from daguerre.models.openvino import openvino_core, ov
from daguerre.models.openvino import opset13 as op

SIDE = 2048
OPENVINO_NAMES = {"float32": "f32", "bfloat16": "bf16"}


@dataclass(frozen=True, slots=True)
class Rates:
    """Rates of the matrix product, in GFLOP/s."""

    float32: float
    bfloat16: float

    def best(self, other: Rates) -> Rates:
        return Rates(max(self.float32, other.float32), max(self.bfloat16, other.bfloat16))


def matrix_rates(num_threads: int, seconds: float) -> Rates:
    """Measure each type for about `seconds`; `num_threads` 0 uses every core."""
    return Rates(*(_matrix_rate(name, num_threads, seconds) for name in OPENVINO_NAMES))


def _matrix_rate(precision: str, num_threads: int, seconds: float) -> float:
    config = {
        "INFERENCE_PRECISION_HINT": OPENVINO_NAMES[precision],
        "NUM_STREAMS": "1",
        "PERFORMANCE_HINT": "LATENCY",
    }
    if num_threads:
        config["INFERENCE_NUM_THREADS"] = str(num_threads)
    generator = np.random.default_rng(0)
    x = generator.standard_normal((SIDE, SIDE), np.float32)
    weights = op.constant(generator.standard_normal((SIDE, SIDE), np.float32))
    parameter = op.parameter([SIDE, SIDE], np.float32)
    model = ov.Model([op.matmul(parameter, weights, False, True)], [parameter])
    request = openvino_core().compile_model(model, "CPU", config).create_infer_request()
    runs_s = durations_s(
        lambda: request.infer([x], share_inputs=True, share_outputs=True), seconds=seconds
    )
    return float(2 * SIDE**3 / min(runs_s) / 1e9)


def facts() -> dict[str, str]:
    """Facts for comparing results with another machine."""
    load = ", ".join(f"{x:.1f}" for x in os.getloadavg()) if hasattr(os, "getloadavg") else "?"
    return {
        "processor": str(openvino_core().get_property("CPU", "FULL_DEVICE_NAME")),
        "cores": str(os.cpu_count()),
        "instructions": ", ".join(_vector_instructions()) or "?",
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "openvino": ov.__version__.split("-")[0],
        "load at the start (1, 5, 15 min)": load,
    }


def _vector_instructions() -> list[str]:
    try:
        words = set(Path("/proc/cpuinfo").read_text().split())
    except OSError:
        return []
    return [name for name in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if name in words]
