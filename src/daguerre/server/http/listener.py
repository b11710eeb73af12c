"""Binds the listening socket and accepts its connections.

A connection counts from its acceptance, and one over a limit is closed at once. The kernel's queue
thus stays short: connections that one address opens in vain do not delay those of others. asyncio's
own server counts a connection two turns of the event loop later, so it must accept few per turn.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from daguerre.errors import SettingsError
from daguerre.server.http.h11_protocol import HttpProtocol

_BACKLOG = 2048  # connections that wait in the kernel
# Connections accepted per turn of the event loop. Each may evict another one, whose file is closed
# in the next turn.
ACCEPTED_PER_TURN = 32
_RETRY_S = 1.0  # after an error, such as a lack of files


class Listener:
    """Accepts connections from `listening` until it is closed, each with a protocol of its own."""

    def __init__(self, listening: socket.socket, new_protocol: Callable[[], HttpProtocol]) -> None:
        self._socket, self._new_protocol = listening, new_protocol
        self._loop = asyncio.get_running_loop()
        self._connecting: set[asyncio.Task[None]] = set()
        self._retry: asyncio.TimerHandle | None = None
        listening.setblocking(False)
        listening.listen(_BACKLOG)
        self._start()

    def close(self) -> None:
        """Stops accepting; does not close the socket."""
        self._loop.remove_reader(self._socket)
        if self._retry:
            self._retry.cancel()

    def _start(self) -> None:
        self._loop.add_reader(self._socket, self._accept)

    def _accept(self) -> None:
        try:
            for _ in range(ACCEPTED_PER_TURN):
                self._accept_one()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            pass  # the event loop calls again if another connection waits
        except OSError as error:
            self._loop.remove_reader(self._socket)
            self._retry = self._loop.call_later(_RETRY_S, self._start)
            context = {"message": "cannot accept connections", "exception": error}
            self._loop.call_exception_handler(context)

    def _accept_one(self) -> None:
        accepted, address = self._socket.accept()
        accepted.setblocking(False)
        protocol = self._new_protocol()
        if protocol.admit(address[0]):
            task = self._loop.create_task(self._connect(protocol, accepted))
            self._connecting.add(task)
            task.add_done_callback(self._connecting.discard)
        else:
            accepted.close()

    async def _connect(self, protocol: HttpProtocol, accepted: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(lambda: protocol, accepted)
        except OSError:  # the client has disconnected
            accepted.close()
            protocol.limiter.release(protocol)


def bind_socket(host: str, port: int) -> socket.socket:
    """A listening socket. Raises `SettingsError` if the address is not available."""
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        is_dual = host == "::" and socket.has_dualstack_ipv6()
        return socket.create_server(address[:2], family=family, dualstack_ipv6=is_dual)
    except (OSError, UnicodeError) as error:  # UnicodeError: the name is not valid
        reason = str(getattr(error, "strerror", None) or error).partition(" (")[0]  # asyncio's
        raise SettingsError(
            f"cannot listen on {host}, port {port}: {reason};"
            " choose another address with --host and --port (0: a free port)"
        ) from None
