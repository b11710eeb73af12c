"""A bounded cache of the text encoders' outputs.

The forward of an encoder shares no batch and depends on its inputs alone, so a cached output has
the same bits as a new one. The key is the content of the inputs.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Generator
from typing import Any

from daguerre.engine.forward import ForwardRequest, Outputs
from daguerre.models.diffusers.call_packing import tensor_bytes

# Per checkpoint, on the device of its encoders: about 60 prompts of FLUX.1 in bfloat16.
MAX_BYTES = 256 * 1024**2


class Embeddings:
    """LRU cache. Used in the engine's thread only."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._cached: OrderedDict[str, Outputs] = OrderedDict()  # least recently used first
        self._num_bytes = 0

    def get(self, forward: ForwardRequest) -> Outputs | None:
        """Returns a copy: pipelines may modify the tensors in place."""
        key = _key(forward)
        if key not in self._cached:
            return None
        self._cached.move_to_end(key)
        return _copy(self._cached[key])

    def put(self, forward: ForwardRequest, outputs: Outputs) -> None:
        """Stores a copy of the outputs and evicts the least recently used entries."""
        key, size = _key(forward), _size(outputs)
        if key in self._cached or size > self._max_bytes:
            return
        self._cached[key] = _copy(outputs)
        self._num_bytes += size
        while self._num_bytes > self._max_bytes:
            self._num_bytes -= _size(self._cached.popitem(last=False)[1])

    def evaluate(self, forward: ForwardRequest) -> Generator[ForwardRequest, Outputs, Outputs]:
        """Yields the forward unless it is a text encoder's and its outputs are cached."""
        if forward.stage != "encode":
            return (yield forward)
        outputs = self.get(forward)
        if outputs is None:
            outputs = yield forward
            self.put(forward, outputs)
        return outputs


def _key(forward: ForwardRequest) -> str:
    digest = hashlib.sha256(forward.signature.encode())
    for name, tensor in sorted(forward.arrays.items()):
        digest.update(f"{name} {len(tensor)} ".encode() + tensor_bytes(tensor))
    return digest.hexdigest()


def _copy(outputs: Outputs) -> Outputs:
    tensors: Any = outputs
    return tuple(tensor.clone() for tensor in tensors)


def _size(outputs: Outputs) -> int:
    return sum(output.nbytes for output in outputs)
