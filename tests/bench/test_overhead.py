"""The benchmark of the engine's own cost measures forwards that all jobs share."""

from __future__ import annotations

import pytest

from bench import overhead


def test_cost_is_of_shared_forwards(monkeypatch: pytest.MonkeyPatch) -> None:
    """With 16 jobs there are forwards of 16 rows to time, and they take some time."""
    monkeypatch.setattr(overhead, "_NUM_STEPS", 60)
    monkeypatch.setattr(overhead, "_NUM_WARM", 1)
    assert 0 < overhead.cost_ms({"sample": (4,), "text": (2,)}) < 1000


def test_table(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A row per shape, with what is moved."""
    monkeypatch.setattr(overhead, "cost_ms", lambda shapes: 0.25)
    overhead.main([])
    rows = capsys.readouterr().out.splitlines()[2:]
    assert len(rows) == len(overhead.SHAPES)
    assert rows[2] == "| as SDXL at 1024x1024 | 14.3 | 0.25 |"
