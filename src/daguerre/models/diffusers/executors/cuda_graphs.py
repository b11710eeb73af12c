"""A method as CUDA graphs: the launches of a call, recorded once per shape and played back.

Playing back spares the time in which Python and the driver launch thousands of small kernels. A
shape is recorded when it comes for the second time, and a graph is used only where it gives the
eager bits. Knows nothing of families, requests or what an input means.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any

import torch

from daguerre.engine.forward import Inputs, Outputs, is_out_of_memory
from daguerre.models.diffusers.executors.base import (
    ExecutionTarget,
    ExecutorError,
    NetworkMethod,
    ShapeKey,
    ShapeKeyCache,
)

logger = logging.getLogger(__name__)

# Graphs of one network that are kept: each holds its inputs and outputs; all else is shared.
MAX_GRAPHS = 32
# Libraries choose kernels and take their workspaces in the first calls, which no graph can record.
_NUM_WARM = 3


class CapturedGraph:
    """A recorded call. Its memory is its own: inputs are written into it, outputs copied from it;
    `kept` lives as long as it does."""

    def __init__(
        self,
        inputs: Mapping[str, torch.Tensor],
        outputs: Outputs,
        replay: Callable[[], None],
        kept: Any = None,
    ) -> None:
        self._inputs, self._outputs, self._replay, self._kept = inputs, outputs, replay, kept

    def __call__(self, inputs: Inputs) -> Outputs:
        for name, held in self._inputs.items():
            held.copy_(inputs[name])
        self._replay()
        outputs: Any = self._outputs
        return tuple(output.clone() for output in outputs)


class CUDAGraphExecutor:
    """Implements `daguerre.models.diffusers.executors.base.Executor`."""

    fingerprint = "cuda graphs"

    def __init__(self, method: NetworkMethod, target: ExecutionTarget) -> None:
        if target.device.type != "cuda":
            raise ExecutorError(f"CUDA graphs are recorded on CUDA devices, not on {target.device}")
        self._method = method
        self._capture = target.capture_graph or GraphCapturer(target.device)
        self._shape = ShapeKeyCache()
        self._seen: set[ShapeKey] = set()
        self._refused: set[ShapeKey] = set()  # without room for a graph of theirs
        self._graphs: OrderedDict[ShapeKey, Callable[[Inputs], Outputs]] = OrderedDict()  # LRU

    def prepare(self, inputs: Inputs) -> Iterator[None]:
        key = self._shape(inputs)
        if key in self._seen and key not in self._graphs and key not in self._refused:
            yield
            self._add(key, inputs)

    def __call__(self, inputs: Inputs) -> Outputs:
        for _ in self.prepare(inputs):
            pass
        key = self._shape(inputs)
        self._seen.add(key)
        if key not in self._graphs:
            return self._method.evaluate(inputs)[1]
        self._graphs.move_to_end(key)
        return self._graphs[key](inputs)

    def release(self) -> None:
        self._graphs.clear()

    def _add(self, key: ShapeKey, inputs: Inputs) -> None:
        """Where there is no room for it the shape is run eagerly, which gives the same bits."""
        while len(self._graphs) >= MAX_GRAPHS:
            self._graphs.popitem(last=False)
        try:
            graph = self._capture(self._method, inputs)
            self._compare(graph, inputs)
        except Exception as error:  # a runtime may throw anything
            if not is_out_of_memory(error):
                raise
            logger.warning("no room for a graph of %s with %d rows", *key)
            self._refused.add(key)
        else:
            self._graphs[key] = graph

    def _compare(self, graph: Callable[[Inputs], Outputs], inputs: Inputs) -> None:
        """Else the second picture of a seed would differ from the first."""
        replayed: Any = graph(inputs)
        eager: Any = self._method.evaluate(inputs)[1]
        if not all(map(_is_same, replayed, eager)):
            raise ExecutorError("a graph that is played back gives other bits")


class GraphCapturer:
    """Makes the graphs of a device, which all work in one memory: they are played one at a time,
    and what one leaves there is copied before the next. It lasts as long as its owner does."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def __call__(self, method: NetworkMethod, inputs: Inputs) -> CapturedGraph:
        tensors = {name: held for name, held in inputs.items() if isinstance(held, torch.Tensor)}
        own = {name: tensor.clone() for name, tensor in tensors.items()}
        call = {**inputs, **own}
        with torch.cuda.device(self._device):
            stream = self._stream
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                for _ in range(_NUM_WARM):
                    method.evaluate(call)
            torch.cuda.current_stream().wait_stream(stream)
            graph = torch.cuda.CUDAGraph()
            # Other threads of the process may use the device meanwhile.
            with torch.cuda.graph(graph, self._pool, stream, capture_error_mode="thread_local"):
                outputs = method.evaluate(call)[1]
        return CapturedGraph(own, outputs, graph.replay, kept=call)

    @cached_property
    def _stream(self) -> torch.cuda.Stream:
        return torch.cuda.Stream(self._device)

    @cached_property
    def _pool(self) -> Any:
        return torch.cuda.graph_pool_handle()


def _is_same(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Bit for bit; not a number is equal to itself here."""
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    bits = (tensor.contiguous().view(torch.uint8) for tensor in (one, other))
    return bool(torch.equal(*bits))
