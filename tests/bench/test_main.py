"""The command line of the benchmarks."""

from __future__ import annotations

import sys

import pytest

from bench import encoding, serving
from bench.__main__ import main


def test_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """Options without a name are those of `serving`, which `encoding` follows."""
    calls = list[tuple[str, list[str]]]()
    monkeypatch.setattr(serving, "main", lambda options: calls.append(("serving", [*options])))
    monkeypatch.setattr(encoding, "main", lambda options: calls.append(("encoding", [*options])))
    assert main(["--quick"]) == main(["encoding", "--digest"]) == 0
    assert calls == [("serving", ["--quick"]), ("encoding", []), ("encoding", ["--digest"])]


def test_unknown_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nothing"]) == 2
    assert "no benchmark 'nothing'; use one of serving," in capsys.readouterr().err


def test_missing_extra(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The error names the extra."""
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    assert main(["tracing"]) == 1
    assert "pip install 'daguerre[otel]'" in capsys.readouterr().err
