"""Which models are given up because workers crashed while they loaded them."""

from __future__ import annotations

import pytest

from daguerre import memory
from daguerre.engine.interface import ModelLoad
from daguerre.engine.workers.load_crashes import LoadCrashes
from daguerre.engine.workers.messages import WorkerExit

CRASH, KILL = WorkerExit("exited with status 3"), WorkerExit("was killed", is_out_of_memory=True)


def test_crashes_in_a_row() -> None:
    """Only crashes without a success in between count."""
    crashes = LoadCrashes(num_models=2)
    crashes.record(ModelLoad("a"), CRASH, was_ready=False)
    crashes.record_loaded(["a", "b"])
    text = crashes.record(ModelLoad("a"), CRASH, was_ready=False)
    assert text == "exited with status 3 while it loaded a" and crashes.excluded() == {}
    crashes.record(ModelLoad("a"), CRASH, was_ready=False)
    assert crashes.excluded() == {"a": "it crashes its worker"}


def test_only_model() -> None:
    """The only model is given up if it is loaded on demand, by a worker that is ready."""
    crashes = LoadCrashes(num_models=1)
    for _ in range(9):
        crashes.record(ModelLoad("a"), CRASH, was_ready=False)
    assert crashes.excluded() == {}
    crashes.record(ModelLoad("a"), CRASH, was_ready=True)
    assert list(crashes.excluded()) == ["a"]


def test_lack_of_memory(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """The log says how much memory the model needs and how much is free."""
    monkeypatch.setattr(memory, "free_bytes", lambda: 3_100_000_000)
    crashes = LoadCrashes(num_models=2)
    for _ in range(2):
        text = crashes.record(ModelLoad("sd", 5_240_000_000), KILL, was_ready=True)
        assert text == "was killed while it loaded sd (it needs about 5.2 GB, and 3.1 GB are free)"
    assert crashes.excluded() == {"sd": "not enough memory"}
    assert "sd is not loaded any more: not enough memory; remove the cause" in caplog.text
    text = crashes.record(ModelLoad("box"), KILL, was_ready=True)
    assert text.endswith("loaded box (3.1 GB are free)")
