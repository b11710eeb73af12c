"""The processes of `daguerre serve` with the bundled model: isolation, signals, two workers.

`tests/engine/workers/test_process_engine.py` tests crashes with an engine that needs no model, and
`tests/test_soak.py` tests them under load.
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

from conftest import PATIENCE_S, wait_until

from bench import process
from bench.load import Target, run_phase
from bench.soak.client import requests, total

pytestmark = pytest.mark.skipif(not Path("/proc").exists(), reason="processes are found in /proc")


@contextmanager
def started(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A server in its own session, like one started from a terminal; it listens already."""
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
    """Ctrl-C reaches the server and its engine, also during loading: both exit without a traceback,
    the server with status 0."""
    with started(tmp_path) as program:
        (engine,) = process.ServerProcess(Target("", ""), 0.0, program.pid).engine_pids()
        os.killpg(program.pid, signal.SIGINT)
        _, log = program.communicate(timeout=PATIENCE_S)
    assert program.returncode == 0
    assert "Traceback" not in log and "restarting" not in log
    assert not Path(f"/proc/{engine}").exists()


@pytest.mark.slow
def test_only_the_engine_loads_the_runtime() -> None:
    """The HTTP process never loads OpenVINO; the engine process does."""
    with tempfile.TemporaryDirectory() as home, process.serving(Path(home), {}) as server:
        (engine,) = server.engine_pids()
        assert "openvino" not in Path(f"/proc/{server.pid}/maps").read_text()
        assert "openvino" in Path(f"/proc/{engine}/maps").read_text()
    assert not Path(f"/proc/{engine}").exists()


@pytest.mark.slow
def test_two_workers() -> None:
    """Two workers run on separate cores. When one is killed, every request is still answered, with
    the same bytes as alone."""
    with tempfile.TemporaryDirectory() as home:
        with process.serving(Path(home), {"DAGUERRE_WORKERS": "2"}) as server:
            wait_until(lambda: num_up(server) == 2)
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
            wait_until(lambda: num_up(server) == 2)
            assert total(server.target, "daguerre_worker_restarts_total") == 1
    assert not any(Path(f"/proc/{pid}").exists() for pid in engines)


def num_up(server: process.ServerProcess) -> int:
    return int(total(server.target, "daguerre_worker_up"))
