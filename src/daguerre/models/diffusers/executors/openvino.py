"""A module's method on OpenVINO: converted from torch at the first use of a signature, and kept.

The graph is traced from an example that depends on the signature alone, never on what came first,
and kept on disk only after its output was compared with torch's. It is compiled anew for each
number of rows. Knows nothing of families, requests or what an input means.
"""

from __future__ import annotations

import hashlib
import logging
import math
import warnings
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import openvino as ov
import torch
from openvino.frontend import FrontEndManager
from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

from daguerre.cpu import has_fast_bfloat16
from daguerre.engine.forward import Inputs, Outputs, is_out_of_memory
from daguerre.models.diffusers.executors.base import (
    ExecutionTarget,
    ExecutorError,
    NetworkMethod,
    ShapeKeyCache,
    assert_close,
    output_structure,
)
from daguerre.models.openvino import effective_num_threads, openvino_core
from daguerre.storage.artifact_cache import Artifact, ArtifactCache

logger = logging.getLogger(__name__)

# Rows of the example: with one, an operation might be taken for one that has no rows.
_TRACED_ROWS = 2
# Shapes that stay compiled: each holds the weights once more, in an order of its own.
_MAX_COMPILED = 4
_DTYPES = {"bf16": torch.bfloat16}  # all others come as they are
# Where a graph says of what type torch's outputs are.
_TYPES = ("daguerre", "outputs")
_FILE = "graph.xml"


class OpenVINOExecutor:
    """Implements `daguerre.models.diffusers.executors.base.Executor`.

    Without a store the graphs are kept in memory only.
    """

    def __init__(self, method: NetworkMethod, target: ExecutionTarget) -> None:
        self._method, self._store = method, target.store
        if self._store:
            self._store.evict()
        self._shape = ShapeKeyCache()
        self._core = openvino_core()
        self._config = _config(target.dtype)
        self.fingerprint = _fingerprint(self._core, self._config)
        self._network = f"{target.fingerprint} {method.name} {self.fingerprint}"
        self._graphs: dict[str, _Graph] = {}  # by signature
        self._compiled: OrderedDict[tuple[str, int], _Compiled] = OrderedDict()

    def prepare(self, inputs: Inputs) -> Iterator[None]:
        key = self._shape(inputs)
        if key[0] not in self._graphs:
            yield from self._convert(key[0], inputs)
        if key not in self._compiled:
            yield
            while len(self._compiled) >= _MAX_COMPILED:
                self._compiled.popitem(last=False)
            self._compiled[key] = self._compile(self._graphs[key[0]].copy(self._store), key[1])

    def _convert(self, signature: str, inputs: Inputs) -> Iterator[None]:
        """The signature's graph, found or made."""
        yield
        name = hashlib.sha256(f"{self._network} {signature}".encode()).hexdigest()[:32]
        found = self._read(name)
        if found is None:
            logger.info("converting %s for OpenVINO: once, it may take minutes", signature)
            _check(self._method, inputs)
            graph = _traced(self._method, inputs)
            yield
            self._compare(graph, inputs)
            yield
            found = self._keep(name, graph)
        self._graphs[signature] = found

    def __call__(self, inputs: Inputs) -> Outputs:
        for _ in self.prepare(inputs):
            pass
        key = self._shape(inputs)
        self._compiled.move_to_end(key)
        return self._compiled[key](_arrays(inputs))

    def release(self) -> None:
        self._graphs.clear()
        self._compiled.clear()

    def _read(self, name: str) -> _Graph | None:
        """What is kept under the name. Its weights stay on the disk, and are read as they are
        needed."""
        if self._store is None or (entry := self._store.get(name)) is None:
            return None
        try:
            return _Graph(self._core.read_model(entry.path / _FILE), entry)
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise
            logger.warning("%s is damaged and made anew: %s", entry.path, error)
            self._store.remove(entry)
            return None

    def _keep(self, name: str, graph: ov.Model) -> _Graph:
        if self._store:
            self._store.add(
                name,
                _num_bytes(graph),
                lambda folder: ov.save_model(graph, folder / _FILE, compress_to_fp16=False),
            )
        return self._read(name) or _Graph(graph)

    def _compile(self, graph: ov.Model, rows: int) -> _Compiled:
        # Static: each shape by a network of its own, whatever was run before it.
        graph.reshape({port: [rows, *list(port.partial_shape)[1:]] for port in graph.inputs})
        compiled = self._core.compile_model(graph, "CPU", self._config)
        types = str(graph.get_rt_info(list(_TYPES)).value).split()
        return _Compiled(compiled.create_infer_request(), types)

    def _compare(self, graph: ov.Model, inputs: Inputs) -> None:
        """With one row: also a graph that holds on to the number of rows that it was traced with
        is found out."""
        lone = _with_rows(inputs, 1)
        expected = self._method.evaluate(lone)[1]
        found = self._compile(graph.clone(), 1)(_arrays(lone))
        assert_close(found, expected)


@dataclass(frozen=True, slots=True)
class _Graph:
    """With rows of any number; `entry` is where it is kept."""

    graph: ov.Model
    entry: Artifact | None = None

    def copy(self, store: ArtifactCache | None) -> ov.Model:
        """One to be reshaped."""
        if store and self.entry:
            store.touch(self.entry)
        return self.graph.clone()


class _Compiled:
    """A graph for one number of rows; `types` are those of torch's outputs."""

    def __init__(self, request: ov.InferRequest, types: list[str]) -> None:
        self._request = request
        self._dtypes = [_DTYPES.get(name) for name in types]

    def __call__(self, arrays: list[Any]) -> Outputs:
        """In memory of their own."""
        results = self._request.infer(arrays, share_inputs=True)
        return tuple(
            torch.from_numpy(np.ascontiguousarray(results[number])).to(dtype)
            for number, dtype in enumerate(self._dtypes)
        )


class _Call(torch.nn.Module):
    """The call as a module of its tensors alone."""

    def __init__(self, method: NetworkMethod, inputs: Inputs) -> None:
        super().__init__()
        self.module = method.module  # so that the tracer knows its weights
        self._evaluate, self._inputs = method.evaluate, inputs

    def forward(self, *tensors: torch.Tensor) -> Outputs:
        names = _names(self._inputs)
        return self._evaluate({**self._inputs, **dict(zip(names, tensors, strict=True))})[1]


def _check(method: NetworkMethod, inputs: Inputs) -> None:
    """A branch on a value would be traced as that of the example, whatever comes later."""
    try:
        output_structure(method, inputs)
    except Exception as error:  # code that looks at values raises what it likes
        raise ExecutorError(f"it cannot be followed without values: {error}") from error


def _traced(method: NetworkMethod, inputs: Inputs) -> ov.Model:
    """Rows are free, everything else is as in the example."""
    example = _with_rows(inputs, _TRACED_ROWS)
    tensors = tuple(example[name] for name in _names(example))
    with warnings.catch_warnings():
        # The tracer warns of each branch on a shape: all shapes but the rows are fixed here.
        warnings.simplefilter("ignore")
        # Not by `ov.convert_model`, which reports on its use over the network.
        decoder = TorchScriptPythonDecoder(
            _Call(method, example), example_input=tensors, trace_kwargs={"check_trace": False}
        )
        frontend = FrontEndManager().load_by_framework("pytorch")
        graph = frontend.convert(frontend.load(decoder))
    shapes = {p: [-1, *t.shape[1:]] for p, t in zip(graph.inputs, tensors, strict=True)}
    graph.reshape(shapes)
    return _in_numpy_types(graph)


def _in_numpy_types(graph: ov.Model) -> ov.Model:
    """bfloat16 comes and goes as float32, which holds it exactly; numpy has no such type."""
    steps = ov.preprocess.PrePostProcessor(graph)
    types = [port.get_element_type().get_type_name() for port in graph.outputs]
    for number, port in enumerate(graph.inputs):
        if port.get_element_type() == ov.Type.bf16:
            steps.input(number).tensor().set_element_type(ov.Type.f32)
    for number, port in enumerate(graph.outputs):
        if port.get_element_type() == ov.Type.bf16:
            steps.output(number).tensor().set_element_type(ov.Type.f32)
    graph = steps.build()
    graph.set_rt_info(" ".join(types), list(_TYPES))
    return graph


def _num_bytes(graph: ov.Model) -> int:
    ports = (node.output(0) for node in graph.get_ops() if node.get_type_name() == "Constant")
    return sum(math.prod(port.get_shape()) * port.get_element_type().size for port in ports)


def _names(inputs: Inputs) -> list[str]:
    return sorted(name for name, value in inputs.items() if isinstance(value, torch.Tensor))


def _with_rows(inputs: Inputs, rows: int) -> dict[str, Any]:
    """The first rows, again from the start where there are too few."""
    tensors: dict[str, Any] = {name: inputs[name] for name in _names(inputs)}
    where = torch.arange(rows) % len(next(iter(tensors.values())))
    return {**inputs, **{name: tensor[where] for name, tensor in tensors.items()}}


def _arrays(inputs: Inputs) -> list[Any]:
    tensors: list[Any] = [inputs[name] for name in _names(inputs)]
    return [(t.float() if t.dtype == torch.bfloat16 else t).numpy() for t in tensors]


def _config(dtype: str) -> dict[str, str]:
    """In float32 also where the checkpoint is bfloat16 and the processor is slow with it."""
    is_bfloat16 = dtype == "bfloat16" and has_fast_bfloat16()
    return {
        "INFERENCE_PRECISION_HINT": "bf16" if is_bfloat16 else "f32",
        "NUM_STREAMS": "1",
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": str(torch.get_num_threads()),
    }


def _fingerprint(core: ov.Core, config: Mapping[str, str]) -> str:
    fingerprint = (
        f"openvino {ov.__version__}",
        core.get_property("CPU", "FULL_DEVICE_NAME"),
        *sorted(core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")),
        config["INFERENCE_PRECISION_HINT"],
        f"{effective_num_threads(core, config)} threads",
    )
    return " ".join(fingerprint)
