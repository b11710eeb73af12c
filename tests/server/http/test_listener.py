"""Accepting connections: how many per turn of the event loop, and errors."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from typing import Any, cast

import pytest

from daguerre.server.http import listener
from daguerre.server.http.h11_protocol import HttpProtocol
from daguerre.server.http.listener import ACCEPTED_PER_TURN, Listener


class Protocol(asyncio.Protocol):
    """Counts connections that it admits, or rejects all."""

    def __init__(self, *, admits: bool) -> None:
        self.admits, self.addresses = admits, []  # type: ignore[var-annotated]
        self.num_made = self.num_released = 0
        self.limiter = self

    def __call__(self) -> HttpProtocol:
        return cast(HttpProtocol, self)

    def admit(self, address: str) -> bool:
        self.addresses.append(address)
        return self.admits

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.num_made += 1
        transport.close()

    def release(self, protocol: object) -> None:
        self.num_released += 1


class ScarceSocket(socket.socket):
    """A listening socket whose first connection cannot be accepted."""

    has_failed = False

    def accept(self) -> Any:
        if not self.has_failed:
            self.has_failed = True
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return super().accept()


@asynccontextmanager
async def listening(listened: socket.socket, protocol: Protocol) -> AsyncIterator[Listener]:
    with listened:
        listened.bind(("127.0.0.1", 0))
        opened = Listener(listened, protocol)
        yield opened
        opened.close()


@contextmanager
def clients(listened: socket.socket, count: int) -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        yield [
            stack.enter_context(socket.create_connection(listened.getsockname(), timeout=20))
            for _ in range(count)
        ]


async def until(protocol: Protocol, num_made: int) -> None:
    while protocol.num_made < num_made:
        await asyncio.sleep(0.001)


def test_rejected_connections_are_closed() -> None:
    """A rejected connection is closed when it is accepted, and each turn accepts a few."""
    protocol, counts = Protocol(admits=False), [0]

    async def run() -> None:
        listened = socket.socket()
        async with listening(listened, protocol):
            with clients(listened, ACCEPTED_PER_TURN + 3) as connected:
                while counts[-1] < len(connected):
                    await asyncio.sleep(0)
                    counts.append(len(protocol.addresses))
                assert [client.recv(1) for client in connected] == [b""] * len(connected)

    asyncio.run(run())
    assert set(counts) == {0, ACCEPTED_PER_TURN, ACCEPTED_PER_TURN + 3}
    assert set(protocol.addresses) == {"127.0.0.1"} and protocol.num_made == 0


def test_out_of_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """After an error the listener reports it once, waits, and continues."""
    monkeypatch.setattr(listener, "_RETRY_S", 0.05)
    protocol = Protocol(admits=True)
    reported: list[dict[str, Any]] = []

    async def run() -> None:
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: reported.append(context)
        )
        listened = ScarceSocket()
        async with listening(listened, protocol):
            with clients(listened, 2):
                await until(protocol, num_made=2)

    asyncio.run(run())
    assert [context["exception"].errno for context in reported] == [errno.EMFILE]


def test_client_that_has_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that cannot be opened is not counted any more."""

    async def fail(*_: object) -> None:
        raise OSError(errno.EINVAL, "gone")

    monkeypatch.setattr(asyncio.BaseEventLoop, "connect_accepted_socket", fail)
    protocol = Protocol(admits=True)

    async def run() -> None:
        listened = socket.socket()
        async with listening(listened, protocol):
            with clients(listened, 1) as (client,):
                while not protocol.num_released:
                    await asyncio.sleep(0.001)
                assert client.recv(1) == b""

    asyncio.run(run())
    assert protocol.num_released == 1
