"""CUDA graphs executor: captures the kernel launches of a call once per shape and replays them.

A replay saves the time in which Python and the driver launch thousands of small kernels. A shape is
captured when it occurs for the second time. A graph is used only if it reproduces the eager bits.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch

from daguerre.engine.batching.arrays import is_same
from daguerre.engine.forward import Inputs, Outputs, is_out_of_memory
from daguerre.errors import one_line
from daguerre.models.diffusers.executors.base import (
    Call,
    ExecutionTarget,
    Executor,
    ExecutorError,
    NetworkMethod,
    ShapeKey,
)

logger = logging.getLogger(__name__)

MAX_GRAPHS = 32  # per network; each has inputs and outputs of its own and shares the rest
# Libraries choose kernels and allocate workspaces in their first calls, which cannot be captured.
_NUM_WARMUP_CALLS = 3


@dataclass(frozen=True, slots=True)
class CapturedGraph:
    """A captured call: copies inputs in, replays, and copies outputs out.

    `kept` lives as long as the graph, which uses its memory.
    """

    inputs: Mapping[str, torch.Tensor]
    outputs: Outputs
    replay: Callable[[], None]
    kept: Any = None

    def __call__(self, inputs: Inputs) -> Outputs:
        for name, tensor in self.inputs.items():
            tensor.copy_(inputs[name])
        self.replay()
        outputs: Any = self.outputs
        return tuple(output.clone() for output in outputs)


class CUDAGraphExecutor(Executor):
    fingerprint = "cuda graphs"
    has_eager_bits = True

    def __init__(self, method: NetworkMethod, target: ExecutionTarget) -> None:
        if target.device.type != "cuda":
            raise ExecutorError(f"CUDA graphs need a CUDA device; the device is {target.device}")
        super().__init__(method, target)
        self._capture = target.capture_graph or GraphCapturer(target.device)
        self._seen: set[ShapeKey] = set()
        self._out_of_memory: set[ShapeKey] = set()  # which stay eager, with the same bits

    def _run(self, key: ShapeKey, inputs: Inputs) -> Outputs:
        self._seen.add(key)
        return super()._run(key, inputs)

    def _build(self, key: ShapeKey, inputs: Inputs) -> Generator[None, None, Call | None]:
        if key not in self._seen or key in self._out_of_memory:
            return None
        yield
        try:
            graph = self._capture(self._method, inputs)
            replayed, eager = graph(inputs), self._run_eagerly(inputs)
        except Exception as error:  # a runtime may raise anything
            if not is_out_of_memory(error):
                raise
            # The message of torch says how much memory was needed and free.
            text = "no CUDA graph of %s with %d rows, which runs eagerly: %s"
            logger.warning(text, *key, one_line(error))
            self._out_of_memory.add(key)
            return None
        if not all(map(is_same, replayed, eager)):
            raise ExecutorError("the replay of a CUDA graph differs from the eager call")
        self._evict(MAX_GRAPHS)
        return graph


class GraphCapturer:
    """Captures graphs of a device that share one memory pool.

    Graphs are replayed one at a time, and outputs are copied before the next replay. The pool lives
    as long as this object.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def __call__(self, method: NetworkMethod, inputs: Inputs) -> CapturedGraph:
        own = {
            name: value.clone() for name, value in inputs.items() if isinstance(value, torch.Tensor)
        }
        call = {**inputs, **own}
        with torch.cuda.device(self._device):
            stream, pool = self._stream_and_pool
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                for _ in range(_NUM_WARMUP_CALLS):
                    method.evaluate(call)
            torch.cuda.current_stream().wait_stream(stream)
            graph = torch.cuda.CUDAGraph()
            # Other threads of the process may use the device during the capture.
            with torch.cuda.graph(graph, pool, stream, capture_error_mode="thread_local"):
                outputs = method.evaluate(call)[1]
        return CapturedGraph(own, outputs, graph.replay, kept=call)

    @cached_property
    def _stream_and_pool(self) -> tuple[torch.cuda.Stream, Any]:
        return torch.cuda.Stream(self._device), torch.cuda.graph_pool_handle()
