"""Memory: what a checkpoint needs, what is free, and the peak that an evaluation takes.

A probe is both the `MemoryProbe` and the `PeakMemory` of `daguerre.engine.forward`. No function of
CPU memory needs torch.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from daguerre import memory
from daguerre.models.diffusers.precision import ITEM_BYTES

if TYPE_CHECKING:
    import torch

    from daguerre.engine.forward import MemoryProbe, PeakMemory

# Besides the weights: a request's tensors at one megapixel, and the decoder's activations.
WORK_BYTES = 2 << 30
_STATM = Path("/proc/self/statm")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE") if os.name == "posix" else 0
_POLL_S = 0.002


def tensor_bytes(
    shapes: Iterable[tuple[int, ...]], dtype: str, is_quantized: bool = False
) -> list[int]:
    """Bytes of each tensor in `dtype`. Quantized matrices take one byte per item."""
    size = ITEM_BYTES[dtype]
    return [
        math.prod(shape) * (1 if is_quantized and len(shape) == 2 else size) for shape in shapes
    ]


def free_bytes(device: str) -> int:
    """Bytes that can be allocated now."""
    if device == "cpu":
        return memory.free_bytes()
    import torch

    # torch reuses what it has reserved.
    reusable = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(torch.cuda.mem_get_info(device)[0] + reusable)


def make_memory_probe(device: torch.device, is_offloaded: bool = False) -> MemoryProbe:
    """`is_offloaded`: whether a forward copies the network's weights to the device."""
    if device.type == "cpu":
        return ProcessMemoryProbe()
    return CudaMemoryProbe(device, is_offloaded)


class ProcessMemoryProbe:
    """Peak of the process's anonymous memory, by polling.

    The system's own peak is of no use: it counts from the start of the process, and a reset by one
    reader changes it for all.
    """

    has_fixed_overhead = True  # a runtime may copy the weights for a new batch size

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def free(self) -> int:
        return free_bytes("cpu")

    @contextmanager
    def track_peak(self) -> Iterator[PeakMemory]:
        self.reset()
        stopped = threading.Event()
        poller = threading.Thread(
            target=self._poll, args=(stopped,), name="daguerre-memory-probe", daemon=True
        )
        poller.start()
        try:
            yield self
        finally:
            stopped.set()
            poller.join()

    def reset(self) -> None:
        with self._lock:  # a sample in flight belongs to the time before
            self._base = self._peak = anonymous_bytes()

    def num_bytes(self) -> int | None:
        return max(self._peak, anonymous_bytes()) - self._base if self._base else None

    def _poll(self, stopped: threading.Event) -> None:
        while self._base and not stopped.wait(_POLL_S):
            with self._lock:
                self._peak = max(self._peak, anonymous_bytes())


class CudaMemoryProbe:
    """Peak of what torch has allocated on a CUDA device."""

    def __init__(self, device: torch.device, has_fixed_overhead: bool) -> None:
        from torch import cuda

        self._cuda, self._device = cuda, device
        self.has_fixed_overhead = has_fixed_overhead

    def free(self) -> int:
        return free_bytes(str(self._device))

    @contextmanager
    def track_peak(self) -> Iterator[PeakMemory]:
        self.reset()
        yield self

    def reset(self) -> None:
        self._base: int = self._cuda.memory_allocated(self._device)
        self._cuda.reset_peak_memory_stats(self._device)

    def num_bytes(self) -> int:
        return int(self._cuda.max_memory_allocated(self._device)) - self._base


def anonymous_bytes() -> int:
    """Resident memory of the process without files; 0 if the system does not report it."""
    try:
        fields = _STATM.read_text().split()
    except OSError:
        return 0
    return (int(fields[1]) - int(fields[2])) * _PAGE_BYTES
