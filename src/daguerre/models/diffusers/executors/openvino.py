"""OpenVINO executor: converts a method from torch on the first use of a signature.

The graph is traced from an example that depends on the signature alone, never on the first request.
It is cached on disk after its output was compared with torch's, and compiled for each number of
rows.
"""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from daguerre.cpu import has_fast_bfloat16
from daguerre.engine.forward import Inputs, Outputs, is_out_of_memory
from daguerre.models.diffusers.executors import int8
from daguerre.models.diffusers.executors.base import (
    Call,
    ExecutionTarget,
    Executor,
    NetworkMethod,
    ShapeKey,
    assert_close,
    in_float32,
    tensors_in_float32,
)
from daguerre.models.diffusers.executors.failed_conversions import remember_failure
from daguerre.models.diffusers.executors.openvino_graph import to_arrays, trace, with_rows
from daguerre.models.diffusers.memory_probe import ProcessMemoryProbe, anonymous_bytes
from daguerre.models.openvino import (
    effective_num_threads,
    openvino_core,
    ov,
    supports_bfloat16,
)
from daguerre.storage.artifact_cache import Artifact

logger = logging.getLogger(__name__)

_MAX_COMPILED = 4  # per network; each holds a copy of the weights in a layout of its own
_FILE = "graph.xml"
_OUTPUT_TYPES = ["daguerre", "outputs"]  # path of torch's output types in a graph's metadata
_HALF_TYPES = {torch.bfloat16: "bf16", torch.float16: "f16"}


class OpenVINOExecutor(Executor):
    """Without a store, graphs are kept in memory only."""

    def __init__(self, method: NetworkMethod, target: ExecutionTarget) -> None:
        super().__init__(method, target)
        self._store = target.store
        if self._store:
            self._store.evict()
        self._core = openvino_core()
        self._config = _config(target.dtype)
        self._record_calls = target.record_calls
        is_computed_in_float32 = self._config["INFERENCE_PRECISION_HINT"] == "f32"
        # NNCF reads float32 graphs.
        self._is_float32 = is_computed_in_float32 or self._record_calls is not None
        self.fingerprint = _fingerprint(self._core, self._config)
        if self._is_float32 and target.dtype != "float32":
            self.fingerprint += " converted to float32"
        self._network = f"{target.fingerprint} {method.name} {self.fingerprint}"
        self._graphs: dict[str, _Graph] = {}  # by signature
        self._compiled = target.compiled
        weights = list(method.module.parameters())
        self._conversion_bytes = sum(  # the largest peak so far
            4 * weight.numel() if self._is_float32 else weight.nbytes for weight in weights
        )
        num_weights = sum(weight.numel() for weight in weights)
        self._weights_bytes = num_weights if self._record_calls else self._conversion_bytes
        self._call_bytes = self._weights_bytes  # of the largest call so far

    def _build(self, key: ShapeKey, inputs: Inputs) -> Generator[None, None, Call]:
        signature, rows = key
        if signature not in self._graphs:
            yield from self._load_or_convert(signature, inputs)
        yield
        self._evict_for(self._call_bytes)
        graph = self._graphs[signature]
        if self._store and graph.artifact:
            self._store.touch(graph.artifact)
        used_bytes = anonymous_bytes()
        call = self._compile(graph.model.clone(), rows)
        self._use(key)
        return self._measured(key, call, used_bytes)

    def _run(self, key: ShapeKey, inputs: Inputs) -> Outputs:
        self._use(key)
        return super()._run(key, inputs)

    def _use(self, key: ShapeKey) -> None:
        name = (self._method.name, *key)
        self._compiled.use(name, self._call_bytes, lambda: self._calls.pop(key, None))

    def _evict_for(self, num_bytes: int) -> None:
        """Evicts calls, so that another one fits, whose preparation takes `num_bytes`."""
        while len(self._calls) >= _MAX_COMPILED:
            self._drop(next(iter(self._calls)))
        self._compiled.evict_until_free(self._method.name, self._weights_bytes, num_bytes)

    def _drop(self, key: ShapeKey) -> None:
        self._compiled.drop((self._method.name, *key))

    def _measured(self, key: ShapeKey, call: Call, used_bytes: int) -> Call:
        """The call; its first run shows its size, because that allocates the last of its memory.

        `used_bytes` were in use before it was compiled.
        """

        def first_run(inputs: Inputs) -> Outputs:
            outputs = call(inputs)
            self._call_bytes = max(self._call_bytes, anonymous_bytes() - used_bytes)
            self._calls[key] = call
            return outputs

        return first_run

    def release(self) -> None:
        for key in list(self._calls):
            self._drop(key)
        self._graphs.clear()

    def _load_or_convert(self, signature: str, inputs: Inputs) -> Iterator[None]:
        yield
        key = f"{self._network} {signature}"
        name = hashlib.sha256(key.encode()).hexdigest()[:32]
        graph = self._load(name)
        if graph is None:
            self._evict_for(self._conversion_bytes)
            with remember_failure(self._store, key), ProcessMemoryProbe().track_peak() as peak:
                model = yield from self._convert(signature, inputs)
                self._conversion_bytes = max(self._conversion_bytes, peak.num_bytes() or 0)
            yield
            graph = self._save(name, model)
        self._graphs[signature] = graph

    def _convert(self, signature: str, inputs: Inputs) -> Generator[None, None, ov.Model]:
        """The graph, after a comparison of its output with torch's."""
        logger.info("converting %s for OpenVINO; this can take minutes", signature)
        if self._is_float32:
            # The plugin lacks operations in a half type, such as GroupNormalization (2026.4).
            with in_float32(self._method.module):
                model = trace(self._method, tensors_in_float32(inputs))
        else:
            model = trace(self._method, inputs)
        yield
        # One row, which also finds a graph that fixed the traced rows.
        row = with_rows(inputs, 1)
        expected: Any = self._run_reference(row)
        types = (_HALF_TYPES.get(output.dtype, "other") for output in expected)
        model.set_rt_info(" ".join(types), _OUTPUT_TYPES)
        assert_close(self._compile(model.clone(), 1)(row), expected)
        if self._record_calls:
            model = yield from self._quantize(model, inputs, self._record_calls())
        return model

    def _quantize(
        self, model: ov.Model, like: Inputs, recorded: Iterator[Inputs]
    ) -> Generator[None, None, ov.Model]:
        """The graph with int8 products, after a comparison of its output with torch's."""
        calls = []
        for number, call in enumerate(recorded):
            calls.append(int8.fitted(call, like, number))
            yield
        model = yield from int8.quantized(model, [to_arrays(call) for call in calls], self._config)
        yield
        found, expected = self._compile(model.clone(), 1)(calls[-1]), self._run_reference(calls[-1])
        assert_close(found, expected, int8.MAX_DISTANCES)
        return model

    def _load(self, name: str) -> _Graph | None:
        """Reads a cached graph. Its weights stay on disk and are mapped as needed."""
        if self._store is None or (artifact := self._store.get(name)) is None:
            return None
        try:
            return _Graph(self._core.read_model(artifact.path / _FILE), artifact)
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise
            logger.warning("%s is damaged; converting it again: %s", artifact.path, error)
            self._store.remove(artifact)
            return None

    def _save(self, name: str, model: ov.Model) -> _Graph:
        if self._store:
            self._store.add(
                name,
                _num_bytes(model),
                lambda folder: ov.save_model(model, folder / _FILE, compress_to_fp16=False),
            )
        return self._load(name) or _Graph(model)

    def _compile(self, model: ov.Model, rows: int) -> Call:
        # Static shapes: the network of a shape does not depend on which shapes ran before.
        model.reshape({port: [rows, *list(port.partial_shape)[1:]] for port in model.inputs})
        request = self._core.compile_model(model, "CPU", self._config).create_infer_request()
        types = str(model.get_rt_info(_OUTPUT_TYPES).value).split()
        halves = {name: dtype for dtype, name in _HALF_TYPES.items()}
        dtypes = [halves.get(name) for name in types]

        def call(inputs: Inputs) -> Outputs:
            """The outputs own their memory."""
            results = request.infer(to_arrays(inputs), share_inputs=True)
            return tuple(
                torch.from_numpy(np.ascontiguousarray(results[number])).to(dtype)
                for number, dtype in enumerate(dtypes)
            )

        return call


@dataclass(frozen=True, slots=True)
class _Graph:
    """A graph for any number of rows, and its cached artifact, which must outlive it."""

    model: ov.Model
    artifact: Artifact | None = None


def _num_bytes(model: ov.Model) -> int:
    ports = (node.output(0) for node in model.get_ops() if node.get_type_name() == "Constant")
    return sum(math.prod(port.get_shape()) * port.get_element_type().size for port in ports)


def _config(dtype: str) -> dict[str, str]:
    """Configuration of OpenVINO; float32 if the CPU has no fast bfloat16."""
    is_bfloat16 = dtype == "bfloat16" and has_fast_bfloat16() and supports_bfloat16()
    return {
        "INFERENCE_PRECISION_HINT": "bf16" if is_bfloat16 else "f32",
        "NUM_STREAMS": "1",
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": str(torch.get_num_threads()),
    }


def _fingerprint(core: ov.Core, config: Mapping[str, str]) -> str:
    parts = (
        f"openvino {ov.__version__}",
        core.get_property("CPU", "FULL_DEVICE_NAME"),
        *sorted(core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")),
        config["INFERENCE_PRECISION_HINT"],
        f"{effective_num_threads(core, config)} threads",
    )
    return " ".join(parts)
