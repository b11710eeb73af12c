"""The embedded model's networks on OpenVINO: loading, precision, and one call per forward.

Knows nothing of what the inputs mean. The choice of arithmetic depends on the processor alone and
never on a timing, since it decides bits and replicas of one kind must agree.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import openvino as ov

from daguerre.cpu import has_fast_bfloat16
from daguerre.engine.forward import Inputs, Outputs
from daguerre.models.openvino import effective_num_threads, openvino_core

# The text encoder meets many shapes: for it one dynamic network is enough.
_STATIC = ("denoiser",)


class OpenVINONetwork:
    """A network read from `file`; rows on axis 0 of all inputs and outputs.

    A static one is compiled anew for each set of input shapes that it meets: faster, and it takes
    less memory (bench/LOG.md). Which one a shape is run by never changes, so neither do its bits.
    """

    def __init__(
        self, core: ov.Core, file: Path, config: Mapping[str, str], facts: str, is_static: bool
    ) -> None:
        self.name = file.stem
        self._core, self._file, self._config = core, file, dict(config)
        self._is_static = is_static
        self._requests: dict[tuple[tuple[int, ...], ...], ov.InferRequest] = {}
        self.fingerprint = f"{facts} {self.name} {'static' if is_static else 'dynamic'}"

    def __call__(self, inputs: Inputs) -> Outputs:
        arrays = {name: np.ascontiguousarray(value) for name, value in inputs.items()}
        shapes = {name: array.shape for name, array in arrays.items()} if self._is_static else {}
        key = tuple(shapes[name] for name in sorted(shapes))
        if key not in self._requests:
            self._requests[key] = self._compile(shapes)
        request = self._requests[key]
        results = request.infer(arrays, share_inputs=True)
        self.latency_ms: float = request.latency
        return tuple(results[i] for i in range(len(results)))

    def _compile(self, shapes: Mapping[str, tuple[int, ...]]) -> ov.InferRequest:
        model = self._core.read_model(self._file)
        if shapes:
            model.reshape({name: list(shape) for name, shape in shapes.items()})
        return self._core.compile_model(model, "CPU", self._config).create_infer_request()


def inference_precision(wanted: str) -> str:
    """OpenVINO's name for float32 or bfloat16; `auto` takes the one that is faster here.

    Of the denoiser's forward bfloat16 takes half on AMD's vector units, and on a Xeon without
    matrix units 1.6 times as much (bench/LOG.md).
    """
    if wanted == "auto":
        return "bf16" if has_fast_bfloat16() else "f32"
    return {"float32": "f32", "bfloat16": "bf16"}[wanted]


def load_networks(
    folder: Path, weights_sha256: str, num_threads: int, precision: str
) -> Mapping[str, OpenVINONetwork]:
    """The networks of `folder` by the stem of their files."""
    core = openvino_core()
    config = {
        "INFERENCE_PRECISION_HINT": inference_precision(precision),
        "NUM_STREAMS": "1",
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": str(num_threads),
    }
    facts = (
        weights_sha256,
        ov.__version__,
        # A hypervisor may hide the processor's name, so what it can do is named too.
        core.get_property("CPU", "FULL_DEVICE_NAME"),
        *sorted(core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")),
        config["INFERENCE_PRECISION_HINT"],
        f"{effective_num_threads(core, config)} threads",
    )
    return {
        file.stem: OpenVINONetwork(core, file, config, " ".join(facts), file.stem in _STATIC)
        for file in sorted(folder.glob("*.xml"))
    }
