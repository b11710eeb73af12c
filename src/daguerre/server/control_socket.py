"""The control socket: what an operator on the same machine asks a running server.

It is a Unix socket in the data directory, which only its owner can open. A client sends one command
as a line, and receives a JSON object: the answer, or `error` with a message.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import socketserver
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeAlias

from daguerre.errors import DaguerreError, SettingsError, one_line

FILE_NAME = "control.sock"
_READ_TIMEOUT_S = 10.0
_POLL_S = 0.1  # a shutdown waits for it
_MAX_COMMAND_BYTES = 100
_MAX_ANSWER_BYTES = 64 * 1024**2

logger = logging.getLogger(__name__)
# Name -> function that returns a JSON object; called in a thread of its own.
Commands: TypeAlias = Mapping[str, Callable[[], Mapping[str, object]]]


@contextmanager
def serve(directory: Path, commands: Commands) -> Iterator[None]:
    """Answers commands in the `with` block; the caller holds the lock of the server's address.

    Logs a warning if there can be no socket, for example on some network file systems.
    """
    path = directory / FILE_NAME
    try:
        server = _Server(path, commands)
    except OSError as error:
        logger.warning("no control socket %s: %s", path, error.strerror or error)
        yield
        return
    threading.Thread(
        target=server.serve_forever, args=[_POLL_S], name="daguerre-control", daemon=True
    ).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        with suppress(OSError):
            path.unlink()


def request(directory: Path, command: str, timeout_s: float | None = None) -> dict[str, Any] | None:
    """The answer of the server that runs with this data directory; None if there is none.

    Raises `SettingsError` with the server's message, or if it does not answer.
    """
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(timeout_s)
        try:
            with _address(directory / FILE_NAME) as address:
                client.connect(address)
        except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
            return None
        except OSError as error:
            text = error.strerror or str(error)
            raise SettingsError(f"cannot use {directory / FILE_NAME}: {text}") from None
        try:
            client.sendall(f"{command}\n".encode())
            with client.makefile("rb") as answer:
                content = json.loads(answer.read(_MAX_ANSWER_BYTES))
        except TimeoutError:
            raise SettingsError(f"the server did not answer within {timeout_s:g} s") from None
        except (OSError, ValueError):
            raise SettingsError("the server ended before it answered; see its log") from None
    if "error" in content:
        raise SettingsError(str(content["error"]))
    return dict(content)


class _Handler(socketserver.StreamRequestHandler):
    timeout = _READ_TIMEOUT_S
    server: _Server

    def handle(self) -> None:
        with suppress(OSError):  # the client is gone or slow
            command = self.rfile.readline(_MAX_COMMAND_BYTES).decode("ascii", "replace").strip()
            self.wfile.write(json.dumps(self.server.answer(command)).encode())


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    block_on_close = False  # a reload may take minutes

    def __init__(self, path: Path, commands: Commands) -> None:
        self._commands = commands
        with suppress(FileNotFoundError):
            path.unlink()  # of a server that was killed
        with _address(path) as address:
            super().__init__(address, _Handler)
        path.chmod(0o600)

    def answer(self, command: str) -> Mapping[str, object]:
        if command not in self._commands:
            return {"error": f"unknown command {command!r}; restart the server after an update"}
        try:
            return self._commands[command]()
        except DaguerreError as error:
            return {"error": error.message}
        except Exception as error:  # a bug must not leave the client without an answer
            logger.exception("the command %s failed. This is a bug.", command)
            return {"error": one_line(error)}

    def handle_error(self, request: Any, client_address: Any) -> None:
        logger.debug("a client of the control socket failed", exc_info=True)


def in_loop(
    loop: asyncio.AbstractEventLoop, function: Callable[[], Coroutine[Any, Any, object]]
) -> object:
    """Runs a coroutine function in the event loop of another thread; returns its result."""
    coroutine = function()
    try:
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result()
    except (RuntimeError, CancelledError):  # the loop is closed, or closes
        coroutine.close()
        raise SettingsError("the server is shutting down") from None


@contextmanager
def _address(path: Path) -> Iterator[str]:
    """The socket's address, which is limited to some 100 bytes; on Linux the path is not."""
    if sys.platform != "linux":
        yield str(path)
        return
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)
