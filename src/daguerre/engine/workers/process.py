"""The engine's process, seen from the server's: started, written to, read, and ended.

Writing never blocks the caller, since a process that hangs reads nothing. However it ends, and
whoever ends it, the reading ends; so there is one way in which its death is learned. Knows nothing
of jobs. What runs in the process is `daguerre.engine.workers.worker`.
"""

from __future__ import annotations

import pickle
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader, FileIO
from typing import cast

from daguerre.engine.workers.messages import (
    InitWorker,
    MessageWriter,
    WorkerCommand,
    WorkerMessage,
    receive,
)
from daguerre.engine.workers.worker import ENDS

# The path of the parent comes first, so that all modules are found where they were found here. A
# fresh interpreter, not a fork: the server has threads, and a fork would copy their locks as they
# are. And not a fork server: it would be a third process, with all libraries in memory for good.
_PROGRAM = (
    "import sys; sys.path[:] = sys.argv[1:]; "
    "from daguerre.engine.workers.worker import main; main()"
)


class WorkerProcess:
    """One life. Raises OSError where the system gives no process."""

    def __init__(self, begin: InitWorker) -> None:
        with _signals_held():
            self._process = subprocess.Popen(
                [sys.executable, "-c", _PROGRAM, *sys.path],
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
        self._reason = ""
        self._outgoing: queue.SimpleQueue[WorkerCommand | None] = queue.SimpleQueue()
        self.send(begin)
        self._incoming = BufferedReader(cast(FileIO, self._process.stdout))
        self._sender = threading.Thread(target=self._send_all, name="daguerre-send", daemon=True)
        self._sender.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, message: WorkerCommand) -> None:
        self._outgoing.put(message)

    def messages(self) -> Iterator[WorkerMessage]:
        """All that it says, until it is dead."""
        while (message := self._next()) is not None:
            yield message

    def _next(self) -> WorkerMessage | None:
        try:
            message: WorkerMessage = receive(self._incoming)
        except EOFError:
            return None
        except (MemoryError, pickle.UnpicklingError) as error:
            # Whatever else it says cannot be told apart any more.
            self.kill(f"said what could not be read: {type(error).__name__}")
            return None
        return message

    def kill(self, reason: str) -> None:
        """From any thread; the first reason is the one that is told."""
        self._reason = self._reason or reason
        self._process.kill()

    def end(self) -> str:
        """Leaves nothing behind; returns why it ended."""
        self._process.kill()
        status = self._process.wait()
        self._outgoing.put(None)
        self._sender.join()
        self._incoming.close()
        cast(FileIO, self._process.stdin).close()
        return self._reason or _words(status)

    def _send_all(self) -> None:
        writer = MessageWriter(cast(FileIO, self._process.stdin))
        try:
            while (message := self._outgoing.get()) is not None:
                writer.send(message)
        except OSError:  # it is dead, as whoever reads from it learns
            pass


@contextmanager
def _signals_held() -> Iterator[None]:
    """The new process begins with them blocked, until it can say that it ignores them."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _words(status: int) -> str:
    if status in ENDS:
        return ENDS[status]
    if status >= 0:
        return f"ended with status {status}"
    try:
        return f"was ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"was ended by signal {-status}"
