"""A denoiser's graph with int8 products: NNCF, calibrated with calls of the checkpoint itself.

Quantized are the layers in the repeated blocks that process every patch. The first and the last
layers, and those that produce one vector per step or prompt, keep their type: they cause half of
the error or more (bench/LOG.md).
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import Any

import torch

from daguerre.engine.forward import Inputs
from daguerre.models import nncf
from daguerre.models.diffusers import coroutine
from daguerre.models.diffusers.executors.base import ExecutorError
from daguerre.models.openvino import ov

# Of an output, relative to the norm of torch's; random weights leave 0.01 to 0.04.
MAX_DISTANCES = dict.fromkeys((torch.float32, torch.float16, torch.bfloat16), 0.2)
# Starts of the names of operations: a layer outside of the blocks has no number in its path.
_UNQUANTIZED = (
    r"(?!__module\.module\.[^/]*\.\d+\.)",
    r"__module\.module\.[^/]*(norm|emb|mod|adaln)",
)


def quantized(
    model: ov.Model, calls: Sequence[Sequence[Any]], config: Mapping[str, str]
) -> Generator[None, None, ov.Model]:
    """The quantized graph; yields before each inference. `calls` are the arrays of one row each."""
    task = coroutine.run(lambda: nncf.quantize(model, _Calls(calls), config, _UNQUANTIZED))
    return (yield from task)


class _Calls:
    """Gives the control back before each call."""

    def __init__(self, calls: Sequence[Sequence[Any]]) -> None:
        self._calls = calls

    def __iter__(self) -> Iterator[list[Any]]:
        for arrays in self._calls:
            coroutine.request_forward(None)
            yield list(arrays)

    def __len__(self) -> int:
        return len(self._calls)


def fitted(call: Inputs, like: Inputs, row: int) -> dict[str, Any]:
    """One row of the recorded call in the shape of the call `like`, with its constant part.

    A tensor of another size is repeated or cut: a recorded image may be smaller, a prompt shorter.
    Raises `ExecutorError` if the calls have other inputs.
    """
    return {name: _fitted(name, call, value, row) for name, value in like.items()}


def _fitted(name: str, call: Inputs, like: Any, row: int) -> Any:
    if not isinstance(like, torch.Tensor):
        return like
    recorded = call.get(name)
    if not isinstance(recorded, torch.Tensor) or recorded.ndim != like.ndim:
        raise ExecutorError(f"the calls for the calibration have no input {name} of this kind")
    tensor = recorded[row % len(recorded)].unsqueeze(0).to(like.dtype)
    for axis, size in enumerate(like.shape[1:], 1):
        repeats = -(-size // tensor.shape[axis])
        tensor = torch.cat([tensor] * repeats, axis).narrow(axis, 0, size)
    return tensor.contiguous()
