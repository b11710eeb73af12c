"""`WorkerProcess`: a worker in a child process, as the server sees it.

The program that runs in the process is `daguerre.engine.workers.worker`.
"""

from __future__ import annotations

import os
import pickle
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from daguerre import memory
from daguerre.engine.workers import messages
from daguerre.engine.workers.messages import WorkerExit
from daguerre.engine.workers.worker import EXITS

# The server's `sys.path` lets the child find all modules where the server found them. It is a new
# interpreter and not a fork, which would copy the locks of the server's threads in any state. A
# fork server would be one more process, with all libraries in memory.
_PROGRAM = (
    "import sys; sys.path[:] = sys.argv[1:]; "
    "from daguerre.engine.workers.worker import main; main()"
)


# Fields of /proc/PID/stat, as proc_pid_stat(5) numbers them; the third follows the process's name.
_FIRST_FIELD, _MAJFLT, _UTIME, _STIME = 3, 12, 14, 15


class WorkerProcess:
    """A worker in a child process, which leads a process group; implements `WorkerHandle`.

    Raises OSError if the process cannot be started.
    """

    def __init__(self, init: messages.InitWorker) -> None:
        # A socket, because `shutdown` ends it although a child of the worker holds the other end.
        self._socket, theirs = socket.socketpair()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _PROGRAM, *sys.path],
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                start_new_session=True,  # Ctrl-C on a terminal signals the server only
            )
        except OSError:
            self._socket.close()
            raise
        finally:
            theirs.close()
        self._reason = ""
        self._num_oom_kills = memory.num_oom_kills()
        self._outgoing: queue.SimpleQueue[messages.AnyMessage | None] = queue.SimpleQueue()
        self._outgoing.put(init)
        self._incoming = self._socket.makefile("rb")
        self._threads = [
            threading.Thread(target=target, name="daguerre-worker-process", daemon=True)
            for target in (self._send_loop, self._wait_for_exit)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def identity(self) -> str:
        return f"pid {self._process.pid}"

    def activity(self) -> int | None:
        return _activity(self._process.pid)

    def send(self, message: messages.WorkerCommand) -> None:
        self._outgoing.put(message)

    def messages(self) -> Iterator[messages.WorkerMessage]:
        try:
            while True:
                yield messages.receive(self._incoming)
        except EOFError:
            pass
        except (MemoryError, pickle.UnpicklingError) as error:
            # The boundaries of the messages that follow are lost.
            self.terminate(f"sent an unreadable message ({type(error).__name__})")

    def terminate(self, reason: str) -> None:
        self._reason = self._reason or reason
        self._kill()

    def wait(self) -> WorkerExit:
        self._kill()
        self._outgoing.put(None)
        for thread in self._threads:
            thread.join()
        status = self._process.wait()
        self._incoming.close()
        self._socket.close()
        if self._reason:
            return WorkerExit(self._reason)
        if status == -signal.SIGKILL and memory.num_oom_kills() > self._num_oom_kills:
            text = "was killed by the kernel for lack of memory"
            return WorkerExit(text, is_out_of_memory=True)
        return EXITS.get(status) or WorkerExit(_describe_status(status))

    def _kill(self) -> None:
        """Kills the process and the children in its group. Called only before `wait` reaps it."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def _wait_for_exit(self) -> None:
        """Ends the connection when the process exits; what it sent before can still be read."""
        if hasattr(os, "waitid"):
            # Does not reap the process, so no other process group can get its number.
            os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT)
        else:  # macOS before Python 3.13
            self._process.wait()
        self._kill()
        with suppress(OSError):  # macOS, where the other end is closed already
            self._socket.shutdown(socket.SHUT_RDWR)

    def _send_loop(self) -> None:
        writer = messages.MessageWriter(socket.SocketIO(self._socket, "w"))
        try:
            while (message := self._outgoing.get()) is not None:
                writer.send(message)
        except OSError:  # the process is dead; `messages` ends, too
            pass


def _activity(pid: int) -> int | None:
    """CPU time and page faults with I/O of the process; None outside Linux."""
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return sum(int(after_name[number - _FIRST_FIELD]) for number in (_MAJFLT, _UTIME, _STIME))


def _describe_status(status: int) -> str:
    if status >= 0:
        return f"exited with status {status}"
    try:
        return f"was killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"was killed by signal {-status}"
