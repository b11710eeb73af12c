"""The worker: runs a `ThreadEngine` on the server's commands. `main` is the worker process."""

from __future__ import annotations

import ctypes
import faulthandler
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from io import BufferedReader, FileIO
from logging.handlers import QueueHandler
from pathlib import Path
from typing import Any, NoReturn

from daguerre.engine.forward import is_out_of_memory
from daguerre.engine.job import Job, WorkObserver
from daguerre.engine.workers import messages
from daguerre.engine.workers.messages import WorkerExit
from daguerre.errors import DaguerreError
from daguerre.params import Event, JobFailed, JobSucceeded, StepCompleted

_EXIT_OUT_OF_MEMORY, _EXIT_OTHER_MODELS = 71, 72
# By exit status.
EXITS = {
    _EXIT_OUT_OF_MEMORY: WorkerExit("ran out of memory", is_out_of_memory=True),
    _EXIT_OTHER_MODELS: WorkerExit(
        "found other models than the server serves; restart the server after an update"
    ),
}
# Makes the kernel kill the worker rather than the server when memory is short.
_OOM_SCORE = 500
_PR_SET_PDEATHSIG = 1  # linux/prctl.h

Send = Callable[[messages.WorkerMessage], None]


def main() -> NoReturn:
    """Runs the worker process: reads messages from stdin until the server closes it."""
    reader, writer = _take_stdio()
    # Supervisors send these to all processes.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)

    def next_message() -> Any:
        try:
            return messages.receive(reader)
        except EOFError:  # the server is gone, or does not need the worker any more
            os._exit(0)

    def send(message: messages.WorkerMessage) -> None:
        try:
            writer.send(message)
        except OSError:  # the server is gone
            os._exit(0)

    init: messages.InitWorker = next_message()
    _set_parent_death_signal(init.parent_pid)
    _raise_oom_score()
    faulthandler.enable(file=2)
    logging.getLogger().addHandler(_LogHandler(send))
    logging.getLogger().setLevel(init.log_level)
    worker = Worker(init, send, os._exit)
    stopped = threading.Event()  # never set: the process exits
    threading.Thread(target=worker.send_heartbeats, args=[stopped], daemon=True).start()
    while True:
        worker.on_command(next_message())


class Worker(WorkObserver):
    """Runs the engine that `init` describes and reports to the server with `send`.

    `exit` ends the worker at once with a status of `EXITS`.
    """

    def __init__(
        self, init: messages.InitWorker, send: Send, exit: Callable[[int], NoReturn]
    ) -> None:
        self._send, self._exit = send, exit
        self._heartbeat_interval_s = init.heartbeat_interval_s
        self._stats_lock = threading.Lock()
        self.engine = init.build_engine(self)
        if self.engine.models() != init.models:
            exit(_EXIT_OTHER_MODELS)
        self.engine.exclude(init.excluded)
        self.engine.start_thread()

    def on_command(self, message: messages.WorkerCommand) -> None:
        number = message.number
        if isinstance(message, messages.CancelJob):
            self.engine.cancel(number)
            self._send(messages.CancelAcknowledged(number))
            return
        try:
            self.engine.submit(
                message.params, lambda event: self._emit(number, event), message.context, number
            )
        except DaguerreError as error:
            self._emit(number, JobFailed(error))

    def on_work(self, jobs: Sequence[Job], *, is_warmup: bool = False) -> None:
        numbers = tuple(job.number for job in jobs)
        self._send(messages.WorkStarted(numbers, jobs[0].has_begun, is_warmup))

    def on_load(self) -> None:
        self._send_stats()

    def on_idle(self) -> None:
        self._send(messages.WorkStarted((), is_running=False))
        self._send_stats()

    def _emit(self, number: int, event: Event) -> None:
        if isinstance(event, JobFailed) and is_out_of_memory(event.error.__cause__):
            self._exit(_EXIT_OUT_OF_MEMORY)  # the process may be unusable for other jobs
        # Before a job ends, the server must know its count and what produced the image. The second
        # step of a model's first job yields a service time.
        is_second_step = isinstance(event, StepCompleted) and event.index == 2
        if is_second_step or isinstance(event, JobSucceeded | JobFailed):
            self._send_stats()
        self._send(messages.JobEvent(number, event))

    def _send_stats(self) -> None:
        with self._stats_lock:  # never sends older statistics after newer ones
            self._send(messages.StatsUpdate(self.engine.stats()))

    def send_heartbeats(self, stopped: threading.Event) -> None:
        """Sends the statistics at every interval."""
        while not stopped.wait(self._heartbeat_interval_s):
            self._send_stats()


class _LogHandler(QueueHandler):
    """Formats log records here and sends them to the server, which writes them."""

    def __init__(self, send: Send) -> None:
        super().__init__(None)  # type: ignore[arg-type]
        self._send = send

    def enqueue(self, record: logging.LogRecord) -> None:
        self._send(messages.LogRecordMessage(dict(vars(record))))


def _take_stdio() -> tuple[BufferedReader, messages.MessageWriter]:
    """Reserves stdin and stdout for messages; whatever prints to stdout writes to stderr."""
    reader, writer = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    try:
        os.dup2(2, 1)
    except OSError:  # the server has no stderr
        os.dup2(null, 1)
        os.dup2(null, 2)
    return open(reader, "rb"), messages.MessageWriter(FileIO(writer, "wb"))


def _set_parent_death_signal(parent_pid: int) -> None:
    """Has Linux kill the process with its parent: a process that hangs reads no end of file."""
    if sys.platform != "linux":
        return
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    except (OSError, AttributeError):  # a system without prctl
        return
    if os.getppid() != parent_pid:  # the parent ended before the call
        os._exit(0)


def _raise_oom_score() -> None:
    path = Path("/proc/self/oom_score_adj")
    try:
        path.write_text(str(max(_OOM_SCORE, int(path.read_text()))))
    except (OSError, ValueError):  # not on every system
        pass
