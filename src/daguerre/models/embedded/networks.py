"""The embedded model's networks on OpenVINO: loading, precision, and one call per forward.

Knows nothing of what the inputs mean. The choice of arithmetic depends on the processor alone and
never on a timing, since it decides bits and replicas of one kind must agree.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import openvino as ov

from daguerre.engine.forward import Inputs, Outputs


class OpenVINONetwork:
    """A compiled network; rows on axis 0 of all inputs and outputs."""

    def __init__(self, name: str, compiled: ov.CompiledModel, fingerprint: str) -> None:
        self.name = name
        self.fingerprint = fingerprint
        self._request = compiled.create_infer_request()

    def __call__(self, inputs: Inputs) -> Outputs:
        arrays = {name: np.ascontiguousarray(value) for name, value in inputs.items()}
        results = self._request.infer(arrays, share_inputs=True)
        return tuple(results[i] for i in range(len(results)))


def inference_precision(wanted: str) -> str:
    """OpenVINO's name for float32 or bfloat16; `auto` takes bfloat16 where it has matrix units.

    Without them (AMX), vector bfloat16 took 1.0 to 1.9 times as long as float32 for the denoiser
    (bench/LOG.md).
    """
    if wanted == "auto":
        return "bf16" if _has_matrix_units() else "f32"
    return {"float32": "f32", "bfloat16": "bf16"}[wanted]


def _has_matrix_units() -> bool:
    try:
        return "amx_bf16" in Path("/proc/cpuinfo").read_text()
    except OSError:
        return False


def load_networks(folder: Path, num_threads: int, precision: str) -> Mapping[str, OpenVINONetwork]:
    """The networks of `folder` by the stem of their files; `num_threads` 0 takes every core."""
    core = ov.Core()
    config = {
        "INFERENCE_PRECISION_HINT": inference_precision(precision),
        "NUM_STREAMS": "1",
        "PERFORMANCE_HINT": "LATENCY",
    }
    if num_threads:
        config["INFERENCE_NUM_THREADS"] = str(num_threads)
    device = core.get_property("CPU", "FULL_DEVICE_NAME")
    networks = {}
    for file in sorted(folder.glob("*.xml")):
        compiled = core.compile_model(file, "CPU", config)
        threads = compiled.get_property("INFERENCE_NUM_THREADS")
        facts = (
            hashlib.sha256(file.with_suffix(".bin").read_bytes()).hexdigest(),
            ov.__version__,
            device,
            config["INFERENCE_PRECISION_HINT"],
            f"{threads} threads",
        )
        networks[file.stem] = OpenVINONetwork(file.stem, compiled, " ".join(facts))
    return networks
