"""A worker's process: its exit is noticed, even if a child holds its connection."""

from __future__ import annotations

import functools
import logging
import os
import signal
import sys
from pathlib import Path
from typing import NoReturn

import pytest
from conftest import wait_until

from daguerre import memory
from daguerre.engine.job import WorkObserver
from daguerre.engine.workers.messages import InitWorker, WorkerExit
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
    assert worker.wait() == WorkerExit("exited with status 3")
    if has_own_group:
        os.kill(child, signal.SIGKILL)
    wait_until(lambda: is_gone(child))


def kill(observer: WorkObserver) -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


@pytest.mark.parametrize("num_kills", [0, 1])
def test_killed_by_the_kernel(num_kills: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that was killed when the kernel's count of such kills rose had too little memory."""
    counts = iter([7, 7 + num_kills])
    monkeypatch.setattr(memory, "num_oom_kills", lambda: next(counts))
    worker = WorkerProcess(InitWorker(kill, (), os.getpid(), logging.INFO, 1.0))
    assert list(worker.messages()) == []
    by_kernel = WorkerExit("was killed by the kernel for lack of memory", is_out_of_memory=True)
    assert worker.wait() == (by_kernel if num_kills else WorkerExit("was killed by SIGKILL"))


def test_terminated(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that the server killed has the reason of the server."""
    counts = iter([7, 8])
    monkeypatch.setattr(memory, "num_oom_kills", lambda: next(counts))
    worker = WorkerProcess(InitWorker(kill, (), os.getpid(), logging.INFO, 1.0))
    worker.terminate("hung")
    assert worker.wait() == WorkerExit("hung")
