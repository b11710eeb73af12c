"""What runs in the engine's process: a `ThreadEngine`, told what to do through a pipe.

The main thread reads the pipe and ends the process when the other end is gone; the engine's thread
writes its events. Signals of the terminal are left to the server: it alone decides when work ends.
Knows nothing of who started it and why.
"""

from __future__ import annotations

import ctypes
import faulthandler
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from io import BufferedReader, FileIO
from logging.handlers import QueueHandler
from pathlib import Path
from typing import NoReturn

from daguerre.engine.forward import is_out_of_memory
from daguerre.engine.interface import EngineStats
from daguerre.engine.job import Job
from daguerre.engine.thread_engine import ThreadEngine
from daguerre.engine.workers.messages import (
    CancelAcknowledged,
    CancelJob,
    InitWorker,
    JobEvent,
    LogRecordMessage,
    MessageWriter,
    StatsUpdate,
    SubmitJob,
    WorkerMessage,
    WorkStarted,
    receive,
)
from daguerre.errors import DaguerreError
from daguerre.params import Event, JobFailed, JobSucceeded, StepCompleted

_OUT_OF_MEMORY, _OTHER_MODELS = 71, 72
# Statuses with which it ends itself, in words that go on from "the engine's process".
ENDS = {
    _OUT_OF_MEMORY: "was out of memory",
    _OTHER_MODELS: "found other models than the server; after an update the server must be started"
    " again, too",
}
# Where memory runs short the kernel takes this process and not the server's.
_OOM_SCORE = 500
_LOADING_POLL_S = 0.02
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main() -> NoReturn:
    reader, writer = _take_pipes()
    _leave_signals_to_the_server()
    try:
        begin: InitWorker = receive(reader)
    except EOFError:
        os._exit(0)
    _die_with(begin.parent)
    _offer_to_the_kernel()
    # What a runtime dies of is told on standard error, which is the server's.
    faulthandler.enable(file=2)
    worker = Worker(begin, writer)
    try:
        while True:
            worker.take(receive(reader))
    except EOFError:
        # The server is gone, or wants no more; nothing here is worth waiting for.
        os._exit(0)


class Worker:
    def __init__(self, begin: InitWorker, writer: MessageWriter) -> None:
        self._writer = writer
        self._sign_of_life_s = begin.sign_of_life_s
        self._stating = threading.Lock()
        root = logging.getLogger()
        root.addHandler(_LogHandler(self))
        root.setLevel(begin.log_level)
        self._engine: ThreadEngine = begin.build(self._before_work)
        if self._engine.models() != begin.models:
            os._exit(_OTHER_MODELS)  # its images would not be what the server says they are
        self._engine.start_thread()
        threading.Thread(target=self._show_life, name="daguerre-life", daemon=True).start()

    def take(self, message: SubmitJob | CancelJob) -> None:
        if isinstance(message, CancelJob):
            self._engine.cancel(message.number)
            self.send(CancelAcknowledged(message.number))
            return
        number = message.number
        try:
            self._engine.submit(
                message.params, lambda event: self._tell(number, event), message.context, number
            )
        except DaguerreError as error:
            self._tell(number, JobFailed(error))

    def send(self, message: WorkerMessage) -> None:
        try:
            self._writer.send(message)
        except OSError:  # nobody reads: the server is gone
            os._exit(0)

    def _before_work(self, jobs: Sequence[Job], is_preparing: bool) -> None:
        has_begun = bool(jobs) and jobs[0].has_begun
        self.send(WorkStarted(tuple(job.number for job in jobs), has_begun, is_preparing))

    def _tell(self, number: int, event: Event) -> None:
        if isinstance(event, JobFailed) and is_out_of_memory(event.error.__cause__):
            os._exit(_OUT_OF_MEMORY)  # it is no sound place for other work
        # Whoever has the answer finds it counted, and the server knows what has drawn it; by its
        # second step a model's first job tells the pace.
        if isinstance(event, JobSucceeded | JobFailed) or (
            isinstance(event, StepCompleted) and event.index == 2
        ):
            self._send_state()
        self.send(JobEvent(number, event))

    def _send_state(self, unless: EngineStats | None = None) -> EngineStats:
        """None is sent after one that was read later."""
        with self._stating:
            stats = self._engine.stats()
            if stats != unless:
                self.send(StatsUpdate(stats))
            return stats

    def _show_life(self) -> None:
        last, last_s = None, float("-inf")
        while True:
            is_due = time.monotonic() - last_s >= self._sign_of_life_s
            stats = self._send_state(unless=None if is_due else last)
            if is_due or stats != last:
                last, last_s = stats, time.monotonic()
            is_loading = not (stats.is_ready or stats.failure)
            time.sleep(_LOADING_POLL_S if is_loading else self._sign_of_life_s)


class _LogHandler(QueueHandler):
    """Renders each record here and lets the server write it."""

    def __init__(self, worker: Worker) -> None:
        super().__init__(None)  # type: ignore[arg-type]
        self._worker = worker

    def enqueue(self, record: logging.LogRecord) -> None:
        self._worker.send(LogRecordMessage(dict(vars(record))))


def _take_pipes() -> tuple[BufferedReader, MessageWriter]:
    """Takes standard input and output away from whatever else may read or print."""
    reader, writer = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    try:
        os.dup2(2, 1)
    except OSError:  # the server has no standard error
        os.dup2(nothing, 1)
        os.dup2(nothing, 2)
    return open(reader, "rb"), MessageWriter(FileIO(writer, "wb"))


def _leave_signals_to_the_server() -> None:
    """Ctrl-C on a terminal, or a supervisor that signals all processes, reaches this one, too."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    for number in numbers:
        signal.signal(number, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)


def _die_with(parent: int) -> None:
    """The end of the pipe says that the parent is gone, but not to a process that hangs."""
    if sys.platform != "linux":
        return
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    except (OSError, AttributeError):  # a system without it
        return
    if os.getppid() != parent:  # it was gone before
        os._exit(0)


def _offer_to_the_kernel() -> None:
    score = Path("/proc/self/oom_score_adj")
    try:
        score.write_text(str(max(_OOM_SCORE, int(score.read_text()))))
    except (OSError, ValueError):  # not on every system
        pass
