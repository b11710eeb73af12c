"""Previews of the embedded model: what they show, and the process that draws them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import numpy as np
import pytest
from conftest import wait_until

from daguerre.engine.pipeline import Pixels
from daguerre.models.embedded import previews
from daguerre.models.embedded.drawing import SHAPES
from daguerre.models.embedded.fields import MASKED, NUM_LOGITS
from daguerre.models.embedded.model import WEIGHTS, EmbeddedModel
from daguerre.models.embedded.previews import MAX_WAITING, Draft, DrawingProcess, read_rules

START_S = 120.0  # of a process with the lowest priority on a busy machine

Started = list[subprocess.Popen[bytes]]


def draft(seed: int = 1, negative_prompt: str = "", shape: int = 0) -> Draft:
    logits = np.random.RandomState(seed).standard_normal((2, NUM_LOGITS)).astype(np.float32)
    return Draft(seed, negative_prompt, shape, 2.0, MASKED.copy(), logits)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[Started]:
    """The processes that are started; the test fails where one or its thread is left."""
    found: Started = []
    start = previews._started

    def recorded(folder: Path) -> subprocess.Popen[bytes]:
        found.append(start(folder))
        return found[-1]

    before = preview_threads()
    monkeypatch.setattr(previews, "_started", recorded)
    yield found
    wait_until(lambda: all(one.returncode is not None for one in found), START_S)
    wait_until(lambda: preview_threads() <= before)  # others may have some


def preview_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "daguerre-previews"}


def ready(process: DrawingProcess) -> None:
    process.draw(draft())
    assert process._is_ready.wait(START_S)


def promise(process: DrawingProcess, wanted: Draft) -> Future[Pixels]:
    found = process.draw(wanted)
    assert found is not None
    return found


def test_drawn_elsewhere_and_here(started: Started) -> None:
    """Until the process is there whoever asks draws; after that it draws the same."""
    process, rules = DrawingProcess(WEIGHTS), read_rules(WEIGHTS)
    assert process.draw(draft()) is None
    ready(process)
    drafts = [draft(seed, "the sea, a dog", seed) for seed in range(len(SHAPES))]
    for wanted, promised in [(one, promise(process, one)) for one in drafts]:
        pixels, (width, height) = promised.result(START_S), SHAPES[wanted.shape]
        assert pixels.shape == (height // 8, width // 8, 3)
        assert np.array_equal(pixels, wanted.drawn(rules))
    assert len(started) == 1


def test_what_cannot_be_drawn(started: Started) -> None:
    """It is told to whoever asked, and the process draws on."""
    process = DrawingProcess(WEIGHTS)
    ready(process)
    wrong, right = promise(process, draft(shape=99)), promise(process, draft())
    assert isinstance(wrong.exception(START_S), IndexError)
    assert right.result(START_S).size and len(started) == 1


def test_death_costs_one_preview(started: Started) -> None:
    """What it draws when it is killed is lost, what waits is drawn by the next."""
    process = DrawingProcess(WEIGHTS)
    ready(process)
    started[0].send_signal(signal.SIGSTOP)
    lost, later = promise(process, draft()), promise(process, draft())
    wait_until(lost.running)
    started[0].kill()
    assert isinstance(lost.exception(START_S), OSError | EOFError)
    assert later.result(START_S).size and len(started) == 2


def test_process_that_gets_no_time(started: Started) -> None:
    """Drafts wait up to a bound, past which they are not drawn; nor are those given up."""
    process = DrawingProcess(WEIGHTS)
    ready(process)
    started[0].send_signal(signal.SIGSTOP)
    first = promise(process, draft())
    wait_until(first.running)
    waiting = [promise(process, draft()) for _ in range(MAX_WAITING + 2)]
    assert [one.cancelled() for one in waiting] == [False] * MAX_WAITING + [True] * 2
    assert waiting[0].cancel() and not first.cancel()
    started[0].send_signal(signal.SIGCONT)
    assert all(one.result(START_S).size for one in (first, *waiting[1:MAX_WAITING]))
    assert waiting[0].cancelled()


def test_process_that_does_not_start(
    started: Started, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """After a few times it is left; whoever wants a preview draws it."""
    monkeypatch.setattr(previews, "_PROGRAM", "raise SystemExit(1)")
    process = DrawingProcess(WEIGHTS)
    assert process.draw(draft()) is None
    wait_until(lambda: "it is not started again" in caplog.text, START_S)
    assert process.draw(draft()) is None
    assert len(started) == previews.MAX_DEATHS


def test_end_of_its_owner_is_its_end(tmp_path: Path) -> None:
    """However that ends: also killed, it leaves no process behind."""
    code = f"""
import os, signal
from pathlib import Path
from daguerre.models.embedded import previews
from test_embedded_previews import ready
start = previews._started
def recorded(folder):
    found = start(folder)
    Path({str(tmp_path / "pid")!r}).write_text(str(found.pid))
    return found
previews._started = recorded
process = previews.DrawingProcess(previews.Path({str(WEIGHTS)!r}))
ready(process)
os.kill(os.getpid(), signal.SIGKILL)
"""
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join((str(Path(__file__).parent), *sys.path))}
    done = subprocess.run([sys.executable, "-c", code], env=environ, timeout=START_S)
    assert done.returncode == -signal.SIGKILL
    pid = int((tmp_path / "pid").read_text())
    wait_until(lambda: not is_alive(pid), START_S)


def is_alive(pid: int) -> bool:
    """And not only unread by whoever took it over."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not hasattr(os, "SCHED_IDLE"), reason="no such priority")
def test_takes_only_idle_time(started: Started) -> None:
    """The process has the lowest priority, with all its threads, where that counts: the system may
    compare only within a session."""
    process = DrawingProcess(WEIGHTS)
    ready(process)
    assert os.getsid(started[0].pid) == os.getsid(0)
    threads = [int(task.name) for task in Path(f"/proc/{started[0].pid}/task").iterdir()]
    assert {os.sched_getscheduler(thread) for thread in threads} == {os.SCHED_IDLE}


@pytest.mark.parametrize(("num_cores", "has_process"), [(1, False), (2, True)])
def test_one_core(monkeypatch: pytest.MonkeyPatch, num_cores: int, has_process: bool) -> None:
    """Where there is no other core the engine's thread draws, or there would be no previews."""
    monkeypatch.setattr("daguerre.models.embedded.model.num_cores", lambda: num_cores)
    assert (EmbeddedModel("m")._drawing_process is not None) == has_process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_are_for_others(started: Started, number: signal.Signals) -> None:
    """Ctrl-C on a terminal, or a supervisor that signals all processes, ends no drawing."""
    process = DrawingProcess(WEIGHTS)
    ready(process)
    started[0].send_signal(number)
    assert promise(process, draft()).result(START_S).size and len(started) == 1
