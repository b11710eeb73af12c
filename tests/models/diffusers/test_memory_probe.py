"""Memory: what a checkpoint needs, what is free, and the peak of an evaluation."""

from __future__ import annotations

import importlib.util
import multiprocessing
import threading
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import wait_until

from daguerre.engine.forward import HasMemoryProbe
from daguerre.models.diffusers import memory_probe
from daguerre.models.diffusers.memory_probe import make_memory_probe, tensor_bytes

from .conftest import REASON, Bench

NUM_BYTES = 64 << 20
needs_proc = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="no /proc here")
needs_extra = pytest.mark.skipif(not importlib.util.find_spec("diffusers"), reason=REASON)


def test_weights_count_in_their_loaded_type() -> None:
    """Weights take 4 bytes per item in float32 and 2 in a half type, however they are stored."""
    shapes = [(1000, 1000), (7,), ()]
    assert tensor_bytes(shapes, "float32") == [4_000_000, 28, 4]
    for half in ("float16", "bfloat16"):
        assert tensor_bytes(shapes, half) == [2_000_000, 14, 2]


def test_quantized_matrices_take_a_byte_per_item() -> None:
    """Vectors and kernels of a quantized network keep their type."""
    shapes = [(100, 100), (7,), (2, 2, 3, 3)]
    assert tensor_bytes(shapes, "float32", is_quantized=True) == [10_000, 28, 144]


@needs_extra
@pytest.mark.parametrize("is_offloaded", [False, True])
def test_offloaded_weights_are_an_overhead(is_offloaded: bool) -> None:
    """They are part of the peak on a CUDA device, however many rows there are."""
    import torch

    probe = make_memory_probe(torch.device("cuda:0"), is_offloaded)
    assert probe.has_fixed_overhead is is_offloaded


def peak_after_reset() -> int | None:
    """The peak of an allocation that is still in use."""
    import torch

    with make_memory_probe(torch.device("cpu")).track_peak() as peak:
        held = [np.ones(NUM_BYTES, np.uint8)]
        peak.reset()
        held.append(np.ones(NUM_BYTES, np.uint8))
        return peak.num_bytes()


@needs_proc
@needs_extra
def test_process() -> None:
    """The peak includes memory that is still in use and memory that was freed."""
    import torch

    # This process may return memory of other tests at any time.
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as fresh:
        found = fresh.submit(peak_after_reset).result()
    assert found is not None and NUM_BYTES * 0.9 <= found < NUM_BYTES * 1.5
    probe = make_memory_probe(torch.device("cpu"))
    with probe.track_peak() as peak:

        def is_noticed() -> bool:
            np.ones(NUM_BYTES, np.uint8)
            return (peak.num_bytes() or 0) >= NUM_BYTES * 0.9

        wait_until(is_noticed)
    assert probe.free() > 0


def test_sample_in_flight_at_a_reset(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sample that was read before a reset does not count after it."""
    is_sampling, may_continue = threading.Event(), threading.Event()
    now = {"bytes": 9000}

    def anonymous_bytes() -> int:
        sample = now["bytes"]
        if threading.current_thread().name == "daguerre-memory-probe" and not is_sampling.is_set():
            is_sampling.set()
            assert may_continue.wait(20)
        return sample

    monkeypatch.setattr(memory_probe, "anonymous_bytes", anonymous_bytes)
    with memory_probe.ProcessMemoryProbe().track_peak() as peak:
        assert is_sampling.wait(20)
        now["bytes"] = 200
        resetting = threading.Thread(target=peak.reset)
        resetting.start()
        resetting.join(0.05)
        may_continue.set()
        resetting.join()
    assert peak.num_bytes() == 0


def test_system_without_proc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The peak is None, and nothing fails."""
    monkeypatch.setattr(memory_probe, "_STATM", tmp_path / "none")
    with memory_probe.ProcessMemoryProbe().track_peak() as peak:
        assert peak.num_bytes() is None


@needs_extra
def test_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """The peak counts torch's allocations above the base; memory that torch reserves is free."""
    import torch

    device: dict[str, Any] = {"allocated": 500, "peak": 9000}

    def reset(of: Any) -> None:
        device["peak"] = device["allocated"]

    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda of: device["allocated"])
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda of: device["peak"])
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda of: 800)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda of: (1000, 5000))
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", reset)
    probe = make_memory_probe(torch.device("cuda:1"))
    with probe.track_peak() as peak:
        device["peak"] = 1700
        assert peak.num_bytes() == 1200
        device["allocated"] = 600
        peak.reset()
        assert peak.num_bytes() == 0
    device["allocated"] = 500
    assert probe.free() == 1000 + 800 - 500


@needs_extra
def test_checkpoints_are_measured(folder_of: Any) -> None:
    """Their networks have a memory probe that measures their forwards."""
    from .conftest import Request

    bench = Bench(folder_of("flux"))
    assert all(isinstance(network, HasMemoryProbe) for network in bench.networks.values())
    bench.images([Request("a fox", steps=2)])
    (peaks,) = [
        by_rows
        for (fingerprint, _), by_rows in bench.loop.batcher._memory._peaks.items()
        if fingerprint == bench.networks["transformer"].fingerprint
    ]
    assert len(peaks[1]) == 2
