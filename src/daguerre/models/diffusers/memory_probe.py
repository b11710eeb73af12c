"""How much memory an evaluation takes, and how much there is: gauges of a process and of a device.

Both implement `daguerre.engine.forward.MemoryProbe`. Knows nothing of networks.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from daguerre.engine.forward import MemoryProbe, PeakMemory
from daguerre.models.diffusers import memory

_LOOK_S = 0.002
_PAGES = Path("/proc/self/statm")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 0


def make_memory_probe(device: torch.device) -> MemoryProbe:
    return ProcessMemoryProbe() if device.type == "cpu" else CudaMemoryProbe(device)


class ProcessMemoryProbe:
    """Of a CPU: the process's own memory, files left out, looked at again and again meanwhile.

    The system knows the peak since the start only, and it can be reset by one for all who ask.
    """

    # A runtime's copy of the weights for a number of rows is in what it takes.
    has_fixed_overhead = True

    def free(self) -> int:
        return memory.free("cpu")

    @contextmanager
    def track_peak(self) -> Iterator[PeakMemory]:
        measurement, ended = _OfProcess(), threading.Event()
        looker = threading.Thread(
            target=measurement.look_until, args=(ended,), name="daguerre-memory-probe", daemon=True
        )
        looker.start()
        try:
            yield measurement
        finally:
            ended.set()
            looker.join()


class _OfProcess:
    def __init__(self) -> None:
        self._looking = threading.Lock()
        self.reset()

    def reset(self) -> None:
        with self._looking:  # what a look has begun to see is of before
            self._before = self._most = _own_bytes()

    def look_until(self, ended: threading.Event) -> None:
        while self._before and not ended.wait(_LOOK_S):
            with self._looking:
                self._most = max(self._most, _own_bytes())

    def num_bytes(self) -> int | None:
        return max(self._most, _own_bytes()) - self._before if self._before else None


class CudaMemoryProbe:
    """Of a CUDA device: what torch has handed out at the most."""

    has_fixed_overhead = False

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def free(self) -> int:
        return memory.free(str(self._device))

    @contextmanager
    def track_peak(self) -> Iterator[PeakMemory]:
        yield _OfDevice(self._device)


class _OfDevice:
    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.reset()

    def reset(self) -> None:
        self._before: int = torch.cuda.memory_allocated(self._device)
        torch.cuda.reset_peak_memory_stats(self._device)

    def num_bytes(self) -> int:
        most: int = torch.cuda.max_memory_allocated(self._device)
        return most - self._before


def _own_bytes() -> int:
    """0 where the system does not say."""
    try:
        _, resident, shared, *_ = _PAGES.read_text().split()
    except (OSError, ValueError):
        return 0
    return (int(resident) - int(shared)) * _PAGE_BYTES
