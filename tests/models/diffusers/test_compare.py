"""The benchmark against a plain diffusers server, with real servers and tiny checkpoints."""

from __future__ import annotations

import itertools
import json
import socket
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from .conftest import REASON

pytest.importorskip("diffusers", reason=REASON)
pytest.importorskip("torch", reason=REASON)

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_quick_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both servers draw the same images at both concurrencies, and the report compares them."""
    from bench.__main__ import main

    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    output = tmp_path / "compare.json"
    options = [
        "--quick",
        "--num",
        "1",
        "--dtypes",
        "float32",
        "--our-dtypes",
        "float32",
        "--output",
        str(output),
    ]
    assert main(["compare", "dit", *options, "--folder", str(tmp_path)]) == 0
    (compared,) = json.loads(output.read_text())["compared"]
    servers = [(result["server"], result["clients"]) for result in compared["results"]]
    ours, plain = "daguerre float32", "plain float32"
    assert servers == [(ours, 1), (ours, 8), (plain, 1), (plain, 8)]
    assert [len(result["total_ms"]) for result in compared["results"]] == [1, 8, 1, 8]
    assert all(result["distance"]["mean"] < 1 for result in compared["results"])
    assert all(result["ratios"][ours] > 0 for result in compared["results"])
    if Path("/proc").exists():
        assert all(result["cpu_ratios"][ours] > 0 for result in compared["results"])
    assert "daguerre float32 by this" in capsys.readouterr().out
    assert not [folder for folder in tmp_path.iterdir() if folder.is_dir()]  # everything is removed


def test_slow_server_is_stopped() -> None:
    """The server is stopped after its CPU time is used up; other faults are errors."""
    from bench.compare import Load
    from bench.load import Target

    def load(limit_s: float) -> Load:
        listening = socket.create_server(("127.0.0.1", 0))
        clock = itertools.count()
        server: Any = SimpleNamespace(
            target=Target(f"http://127.0.0.1:{listening.getsockname()[1]}", ""),
            cpu_s=lambda: float(next(clock)),
            kill=listening.close,  # resets connections in the backlog
        )
        if limit_s > 100:  # the server has crashed
            listening.close()
        return Load(server, limit_s)

    stopped = load(0.5)
    assert not stopped.is_running
    assert [result.phases for result in stopped.results("plain", [1, 8])] == [(), ()]
    with pytest.raises(OSError):
        load(1000)


def test_ratio_to_a_stopped_server() -> None:
    """A lower bound is a PASS if it is high enough, and otherwise not a measurement."""
    from bench.compare.report import Comparison, Result, markdown
    from bench.load import Answer, Asked, Phase

    answer = Answer(Asked("m", "p", 1), 200, "", b"", 0.0, 4.0)
    ours = Result("daguerre bfloat16", 1, [Phase(1, [answer])], 9.0, [8.0])
    for spent_s, value, word in ((80.0, 10.0, "PASS"), (8.0, None, "not measured")):
        theirs = Result("plain bfloat16", 1, (), spent_s)
        compared = Comparison("n", "w", 1, 2, 3.0, "8x8", [ours, theirs])
        (verdict,) = compared.verdicts()
        assert (verdict.value, verdict.word) == (value, word)
        assert f"> {spent_s / 8:.2f}" in markdown({}, [compared])
