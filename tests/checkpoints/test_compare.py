"""The comparison with a plain diffusers server: real servers and requests, tiny checkpoints."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from .conftest import REASON

pytest.importorskip("diffusers", reason=REASON)
pytest.importorskip("torch", reason=REASON)

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_quick_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both servers draw the same pictures at both concurrencies, and are put side by side."""
    from bench.__main__ import main

    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    output = tmp_path / "compare.json"
    options = ["--quick", "--num", "1", "--dtypes", "float32", "--output", str(output)]
    assert main(["compare", "dit", *options, "--folder", str(tmp_path)]) == 0
    (compared,) = json.loads(output.read_text())["compared"]
    servers = [(result["server"], result["clients"]) for result in compared["results"]]
    assert servers == [("daguerre", 1), ("daguerre", 8), ("plain float32", 1), ("plain float32", 8)]
    assert [len(result["total_ms"]) for result in compared["results"]] == [1, 8, 1, 8]
    assert all(result["distance"] < 1 for result in compared["results"])
    assert all(result["ratio"] > 0 for result in compared["results"])
    assert "ours by this" in capsys.readouterr().out
    assert not [folder for folder in tmp_path.iterdir() if folder.is_dir()]  # all is taken away
