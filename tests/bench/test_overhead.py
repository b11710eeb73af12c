"""The benchmark of the engine's overhead."""

from __future__ import annotations

import pytest

from bench import overhead


def test_cost_is_of_shared_forwards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixteen jobs share forwards of 16 rows, whose overhead is measured."""
    monkeypatch.setattr(overhead, "_NUM_STEPS", 60)
    monkeypatch.setattr(overhead, "_NUM_WARM", 1)
    assert overhead.cost_ms({"sample": (4,), "text": (2,)}) > 0


def test_table(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The table has a row per shape, with the size of its tensors."""
    monkeypatch.setattr(overhead, "cost_ms", lambda shapes: 0.25)
    overhead.main([])
    rows = capsys.readouterr().out.splitlines()[2:]
    assert len(rows) == len(overhead.SHAPES)
    assert rows[2] == "| as SDXL at 1024x1024 | 14.3 | 0.25 |"
