"""What text encoders made of texts that came before: bounded, and bit for bit what they would make.

An encoder's forward is never shared and depends on nothing but its inputs, so its outputs can be
handed out again. They are found by the content of the inputs: the tokens, and how they are read.
Knows nothing of prompts or requests.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import Any

import torch

from daguerre.engine.forward import ForwardRequest, Outputs

# Of one checkpoint: some sixty prompts of FLUX.1 in bfloat16, on the device of its encoders.
MAX_BYTES = 256 * 1024**2


class Embeddings:
    """Used by the engine's thread only."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._kept: OrderedDict[str, Outputs] = OrderedDict()  # the last used is the last
        self._num_bytes = 0

    def get(self, forward: ForwardRequest) -> Outputs | None:
        """The caller's own: pipelines may work on them in place."""
        key = _key(forward)
        if key not in self._kept:
            return None
        self._kept.move_to_end(key)
        return _copied(self._kept[key])

    def put(self, forward: ForwardRequest, outputs: Outputs) -> None:
        """Before the caller changes them; what was not used for longest makes room."""
        key, size = _key(forward), _size(outputs)
        if key in self._kept or size > self._max_bytes:
            return
        self._kept[key] = _copied(outputs)
        self._num_bytes += size
        while self._num_bytes > self._max_bytes:
            self._num_bytes -= _size(self._kept.popitem(last=False)[1])


def _key(forward: ForwardRequest) -> str:
    digest = hashlib.sha256(forward.signature.encode())
    for name in sorted(forward.arrays):
        tensor: Any = forward.arrays[name]
        digest.update(f"{name} {len(tensor)} ".encode())
        digest.update(tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _copied(outputs: Outputs) -> Outputs:
    tensors: Any = outputs
    return tuple(tensor.clone() for tensor in tensors)


def _size(outputs: Outputs) -> int:
    return sum(output.nbytes for output in outputs)
