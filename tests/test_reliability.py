"""The processes of `daguerre serve` itself, with the model in the box: who has what, and who ends.

What becomes of requests when the engine dies is tested with an engine that needs no model in
`tests/engine/test_process.py`, and with the model, under load, in `tests/test_soak.py`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from conftest import wait_until

from bench import process
from bench.load import Target, run_phase
from bench.soak.client import metric, requests

pytestmark = pytest.mark.skipif(not Path("/proc").exists(), reason="processes are found in /proc")


@contextmanager
def started(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """In a session of its own, as from a terminal; the first line that it prints has been read."""
    program = subprocess.Popen(
        [sys.executable, "-m", "daguerre", "serve", "--port", "0"],
        env={**os.environ, "DAGUERRE_HOME": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert program.stdout and "listens on" in program.stdout.readline()
        yield program
    finally:
        program.kill()
        program.communicate()


@pytest.mark.slow
def test_interrupted_on_a_terminal(tmp_path: Path) -> None:
    """Ctrl-C reaches the server and its engine, also one that still loads: the server ends with
    status 0, the engine with it, and neither with a traceback."""
    with started(tmp_path) as program:
        (engine,) = process.ServerProcess(Target("", ""), 0.0, program.pid).engine_pids()
        os.killpg(program.pid, signal.SIGINT)
        _, log = program.communicate(timeout=60)
    assert program.returncode == 0
    assert "Traceback" not in log and "it is replaced" not in log
    assert not Path(f"/proc/{engine}").exists()


@pytest.mark.slow
def test_only_the_engine_has_the_runtime() -> None:
    """The process that answers HTTP never loads OpenVINO, and the engine's does."""
    with tempfile.TemporaryDirectory() as home, process.serving(Path(home), {}) as server:
        (engine,) = server.engine_pids()
        assert "openvino" not in Path(f"/proc/{server.pid}/maps").read_text()
        assert "openvino" in Path(f"/proc/{engine}/maps").read_text()
    assert not Path(f"/proc/{engine}").exists()


@pytest.mark.slow
def test_two_workers() -> None:
    """Both serve, each on cores of its own; one killed amid requests costs nobody an answer, and
    all have the bytes that they have alone."""
    with tempfile.TemporaryDirectory() as home:
        with process.serving(Path(home), {"DAGUERRE_WORKERS": "2"}) as server:
            wait_until(lambda: num_up(server) == 2, timeout_s=60)
            engines = server.engine_pids()
            cores = [os.sched_getaffinity(pid) for pid in engines]
            if len(os.sched_getaffinity(0)) > 1:
                assert len(cores[0]) == len(cores[1]) and not cores[0] & cores[1]
            asked = requests(8)
            alone = {one.asked: one.digest for one in run_phase(server.target, asked, 1).answers}
            killer = threading.Timer(0.2, os.kill, (engines[0], signal.SIGKILL))
            killer.start()
            together = run_phase(server.target, asked * 3, 8).answers
            killer.join()
            assert {one.asked: one.digest for one in together} == alone
            assert len({one.digest for one in together}) == len(asked)
            wait_until(lambda: num_up(server) == 2, timeout_s=60)
            assert (
                metric(server.target, 'daguerre_worker_restarts_total{worker="0"}')
                + metric(server.target, 'daguerre_worker_restarts_total{worker="1"}')
                == 1
            )
    assert not any(Path(f"/proc/{pid}").exists() for pid in engines)


def num_up(server: process.ServerProcess) -> int:
    names = (f'daguerre_worker_up{{worker="{number}"}}' for number in range(2))
    return int(sum(metric(server.target, name) for name in names))
