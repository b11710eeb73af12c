"""The benchmark of the cost of a trace."""

from __future__ import annotations

import pytest

from bench import tracing


def test_cost(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """It makes real traces, and prints the time in the request and in the sending thread."""
    monkeypatch.setattr(tracing, "_NUM_REQUESTS", 2 * tracing._BATCH)
    request_ms, sending_ms = tracing.cost_ms()
    assert request_ms > 0 and sending_ms > 0
    monkeypatch.setattr(tracing, "cost_ms", lambda: (0.125, 0.5))
    tracing.main([])
    assert "0.12, and 0.50 in the sending thread" in capsys.readouterr().out
