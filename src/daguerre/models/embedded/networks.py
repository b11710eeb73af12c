"""The bundled model's networks on OpenVINO: loading, precision, and one call per forward.

The precision depends only on the processor and what the runtime may use of it, never on a timing,
because it determines the output: workers on equal machines must agree.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from daguerre.cpu import has_fast_bfloat16
from daguerre.engine.forward import Inputs, Outputs
from daguerre.errors import SettingsError
from daguerre.models.embedded.fields import FIELDS
from daguerre.models.embedded.memory import Memory, both_rows
from daguerre.models.embedded.text import (
    NUM_NEGATIVE_SLOTS,
    SHORT_SLOTS,
    TEXT_WIDTH,
    WINDOW_TOKENS,
)
from daguerre.models.openvino import effective_num_threads, openvino_core, ov, supports_bfloat16
from daguerre.runtime_variables import runtime_fingerprint

# The others are called once for an image, with inputs of several shapes.
_STATIC = ("denoiser",)
# Without this, the runtime rounds what it multiplies with int8 matrices to int8, too, and some
# scenes differ from those of the trained network. Training has the rounded text encoder, as well.
_EXACT = {"DYNAMIC_QUANTIZATION_GROUP_SIZE": "0"}
_ROUNDED = ("text_encoder",)


class OpenVINONetwork:
    """A network read from `file`, with rows on axis 0 of all inputs and outputs.

    A static network is compiled for each set of input shapes: faster, with less memory for one
    shape (bench/LOG.md). A shape always runs on the same compiled network, so its output never
    changes.
    """

    def __init__(self, core: ov.Core, file: Path, config: Mapping[str, str], runtime: str) -> None:
        self.name = file.stem
        self._core, self._file = core, file
        self._config = {**config, **({} if self.name in _ROUNDED else _EXACT)}
        self._is_static = self.name in _STATIC
        self._requests: dict[tuple[tuple[int, ...], ...], ov.InferRequest] = {}
        self.fingerprint = f"{runtime} {self.name} {'static' if self._is_static else 'dynamic'}"

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
    """OpenVINO's name of the precision; `auto` is the faster one on this processor.

    With bfloat16, the denoiser takes half the time on AMD's vector units, and 1.6 times as much on
    a Xeon without matrix units (bench/LOG.md). Raises `SettingsError` for bfloat16 if the runtime
    does not support it.
    """
    if wanted == "auto":
        return "bf16" if has_fast_bfloat16() and supports_bfloat16() else "f32"
    if wanted == "bfloat16" and not supports_bfloat16():
        raise SettingsError(
            "embedded_precision is 'bfloat16', which OpenVINO does not support on this CPU or with"
            f" these variables ({' '.join(runtime_fingerprint()) or 'none'}); use 'auto' or"
            " 'float32'"
        )
    return {"float32": "f32", "bfloat16": "bf16"}[wanted]


def load_networks(
    folder: Path, weights_sha256: str, num_threads: int, precision: str
) -> Mapping[str, OpenVINONetwork]:
    """The networks of `folder`, by the stem of their files."""
    core = openvino_core()
    config = {
        "INFERENCE_PRECISION_HINT": inference_precision(precision),
        "NUM_STREAMS": "1",
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": str(num_threads),
    }
    runtime = (
        weights_sha256,
        ov.__version__,
        # A hypervisor may hide the processor's name, so its capabilities are included.
        core.get_property("CPU", "FULL_DEVICE_NAME"),
        *sorted(core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")),
        config["INFERENCE_PRECISION_HINT"],
        f"{effective_num_threads(core, config)} threads",
        *runtime_fingerprint(),
    )
    return {
        file.stem: OpenVINONetwork(core, file, config, " ".join(runtime))
        for file in sorted(folder.glob("*.xml"))
    }


def first_inputs(unprompted: Memory) -> Iterator[tuple[str, Inputs]]:
    """Networks with inputs of the usual shapes, the slowest to compile first.

    `unprompted` is of `memory.read_unprompted`.
    """
    tokens, shape = np.zeros((2, len(FIELDS)), np.int64), np.zeros(2, np.int64)
    yield "denoiser", {**both_rows(unprompted, unprompted), "tokens": tokens, "shape": shape}
    ids = np.zeros((2, WINDOW_TOKENS[0]), np.int64)
    yield "text_encoder", {"ids": ids, "mask": np.ones_like(ids)}
    text = np.zeros((1, 1 + SHORT_SLOTS, TEXT_WIDTH), np.float32)
    yield "reader", {"text": text, "negative": text[:, : 1 + NUM_NEGATIVE_SLOTS]}
