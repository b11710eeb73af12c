"""Requests survive the engine: `daguerre serve` itself, with the model in the box.

The engine's process is killed under eight clients; every request must be answered with the bytes
that it has alone. What kinds of death there are, and what is made of them, is tested with an engine
that needs no model, in `tests/engine/test_process.py`.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import process, soak

pytestmark = pytest.mark.skipif(not Path("/proc").exists(), reason="processes are found in /proc")


def check(num_kills: int) -> None:
    results = soak.measure(num_kills, num_steps="1")
    for line in results.lines():
        print(line)  # shown by pytest -rP
    assert (results.num_kills, results.num_restarts, results.num_unlike) == (
        num_kills,
        num_kills,
        0,
    )
    assert len(results.back_ms) == num_kills


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_killed_under_load() -> None:
    """Killed three times under eight clients, the engine answers all, with the bytes as alone."""
    check(num_kills=3)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_killed_under_load_at_length() -> None:
    """The same with twenty kills."""
    check(num_kills=20)


@pytest.mark.slow
def test_only_the_engine_has_the_runtime() -> None:
    """The process that answers HTTP never loads OpenVINO, and the engine's does."""
    with tempfile.TemporaryDirectory() as home, process.serving(Path(home), {}) as server:
        (engine,) = server.engine_pids()
        assert "openvino" not in Path(f"/proc/{server.pid}/maps").read_text()
        assert "openvino" in Path(f"/proc/{engine}/maps").read_text()
    assert not Path(f"/proc/{engine}").exists()
