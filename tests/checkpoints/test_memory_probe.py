"""What an evaluation took of a process's memory, and of a device's."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import wait_until

from daguerre.engine.forward import HasMemoryProbe

from .conftest import REASON, Bench

pytest.importorskip("diffusers", reason=REASON)
torch = pytest.importorskip("torch", reason=REASON)

NUM_BYTES = 64 << 20
needs_proc = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="no /proc here")


@needs_proc
def test_process() -> None:
    """What is held, and what was given back before the end."""
    from daguerre.models.diffusers.memory_probe import make_memory_probe

    ours = make_memory_probe(torch.device("cpu"))
    with ours.track_peak() as measurement:
        held = [np.ones(NUM_BYTES, np.uint8)]
        measurement.reset()
        held.append(np.ones(NUM_BYTES, np.uint8))
        found = measurement.num_bytes()
    assert found is not None and NUM_BYTES * 0.9 <= found < NUM_BYTES * 1.5
    del held
    with ours.track_peak() as measurement:

        def was_seen() -> bool:
            np.ones(NUM_BYTES, np.uint8)
            return (measurement.num_bytes() or 0) >= NUM_BYTES * 0.9

        wait_until(was_seen)
    assert ours.free() > 0


def test_look_that_was_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it saw of an earlier part does not count for the one that begins meanwhile."""
    from daguerre.models.diffusers import memory_probe

    looking, goes_on = threading.Event(), threading.Event()
    now = {"bytes": 9000}

    def own_bytes() -> int:
        seen = now["bytes"]
        if threading.current_thread().name == "daguerre-memory-probe" and not looking.is_set():
            looking.set()
            assert goes_on.wait(20)
        return seen

    monkeypatch.setattr(memory_probe, "_anonymous_bytes", own_bytes)
    with memory_probe.ProcessMemoryProbe().track_peak() as measurement:
        assert looking.wait(20)
        now["bytes"] = 200
        again = threading.Thread(target=measurement.reset)
        again.start()
        again.join(0.05)
        goes_on.set()
        again.join()
    assert measurement.num_bytes() == 0


def test_system_that_does_not_say(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing is measured there, and nothing fails."""
    from daguerre.models.diffusers import memory_probe

    monkeypatch.setattr(memory_probe, "_STATM", tmp_path / "none")
    with memory_probe.ProcessMemoryProbe().track_peak() as measurement:
        assert measurement.num_bytes() is None


def test_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """The peak above what was there before, in torch's own count; what torch keeps is free, too."""
    from daguerre.models.diffusers.memory_probe import make_memory_probe

    device: dict[str, Any] = {"allocated": 500, "peak": 9000}

    def reset(of: Any) -> None:
        device["peak"] = device["allocated"]

    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda of: device["allocated"])
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda of: device["peak"])
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda of: 800)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda of: (1000, 5000))
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", reset)
    ours = make_memory_probe(torch.device("cuda:1"))
    with ours.track_peak() as measurement:
        device["peak"] = 1700
        assert measurement.num_bytes() == 1200
        device["allocated"] = 600
        measurement.reset()
        assert measurement.num_bytes() == 0
    device["allocated"] = 500
    assert ours.free() == 1000 + 800 - 500


def test_checkpoints_are_measured(folder_of: Any) -> None:
    """Their networks have a memory probe that measures their forwards."""
    from .conftest import Request

    bench = Bench(folder_of("flux"))
    assert all(isinstance(network, HasMemoryProbe) for network in bench.networks.values())
    bench.pictures([Request("a fox", steps=2)])
    (held,) = [
        taken
        for (fingerprint, _), taken in bench.loop.batcher._memory._peaks.items()
        if fingerprint == bench.networks["transformer"].fingerprint
    ]
    assert held.by_rows[1].num == 2
