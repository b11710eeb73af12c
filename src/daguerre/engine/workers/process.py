"""`WorkerProcess`: a worker in a child process, as the server sees it.

The program that runs in the process is `daguerre.engine.workers.worker`.
"""

from __future__ import annotations

import pickle
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from io import BufferedReader, FileIO
from typing import cast

from daguerre.engine.workers import messages
from daguerre.engine.workers.worker import EXIT_REASONS

# The server's `sys.path` lets the child find all modules where the server found them. It is a new
# interpreter and not a fork, which would copy the locks of the server's threads in any state. A
# fork server would be one more process, with all libraries in memory.
_PROGRAM = (
    "import sys; sys.path[:] = sys.argv[1:]; "
    "from daguerre.engine.workers.worker import main; main()"
)


class WorkerProcess:
    """A worker in a child process; implements `WorkerHandle`.

    Raises OSError if the process cannot be started.
    """

    def __init__(self, init: messages.InitWorker) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, *sys.path],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C on a terminal signals the server only
        )
        self._reason = ""
        self._outgoing: queue.SimpleQueue[messages.AnyMessage | None] = queue.SimpleQueue()
        self._outgoing.put(init)
        self._incoming = BufferedReader(cast(FileIO, self._process.stdout))
        self._sender = threading.Thread(target=self._send_loop, name="daguerre-send", daemon=True)
        self._sender.start()

    @property
    def identity(self) -> str:
        return f"pid {self._process.pid}"

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
        self._process.kill()

    def wait(self) -> str:
        self._process.kill()
        status = self._process.wait()
        self._outgoing.put(None)
        self._sender.join()
        self._incoming.close()
        cast(FileIO, self._process.stdin).close()
        return self._reason or _describe_status(status)

    def _send_loop(self) -> None:
        writer = messages.MessageWriter(cast(FileIO, self._process.stdin))
        try:
            while (message := self._outgoing.get()) is not None:
                writer.send(message)
        except OSError:  # the process is dead; `messages` ends, too
            pass


def _describe_status(status: int) -> str:
    if status >= 0:
        return EXIT_REASONS.get(status, f"exited with status {status}")
    try:
        return f"was killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"was killed by signal {-status}"
