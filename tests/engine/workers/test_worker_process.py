"""A worker's process: its exit is noticed, whoever else holds its connection."""

from __future__ import annotations

import functools
import logging
import os
import signal
import sys
from pathlib import Path

import pytest
from conftest import wait_until

from daguerre.engine.workers.messages import InitWorker
from daguerre.engine.workers.process import WorkerProcess
from engine.faulty import fork_and_exit
from engine.workers.test_process_engine import is_gone

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc")


@pytest.mark.parametrize("has_own_group", [False, True])
def test_exit_with_a_child(has_own_group: bool, tmp_path: Path) -> None:
    """The messages end when the worker exits, although its child holds the connection.

    Its process group ends, too. A child with a group of its own survives.
    """
    file = tmp_path / "pid"
    build = functools.partial(fork_and_exit, file, has_own_group)
    worker = WorkerProcess(InitWorker(build, (), os.getpid(), logging.INFO, 1.0))
    assert list(worker.messages()) == []
    child = int(file.read_text())
    assert worker.wait() == "exited with status 3"
    if has_own_group:
        os.kill(child, signal.SIGKILL)
    wait_until(lambda: is_gone(child))
