"""How late /healthz is, beside how late anything is on this machine at that time.

A probe in a process of its own asks the server and a control in turns. The control is the least
that an event loop can be, in one more process, with the same niceness: what it is late by is the
machine's doing, and what the server is late by beyond that is the server's.

    python -m bench.soak.alive URL      asks until its input ends, then prints what it measured
    python -m bench.soak.alive          the control; prints its address
"""

from __future__ import annotations

import asyncio
import json
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from bench.load import percentile
from bench.soak.verdict import Verdict, spread

LIMIT_MS = 50.0
# Times the control's. The server does more for its answer than the control, and whoever works
# longer is interrupted more often.
MAX_RATIO = 3.0
# Of fewer the 99th percentile is a single one.
MIN_SAMPLES = 300
_PAUSE_S, _PATIENCE_S = 0.02, 60.0
_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 18\r\n\r\n" + b'{"status":"alive"}'
_REQUEST = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


@dataclass
class Lateness:
    """Milliseconds from a request to its answer, filled in when the probe ends."""

    server_ms: list[float] = field(default_factory=list)
    control_ms: list[float] = field(default_factory=list)

    def judge(self, verdict: Verdict) -> None:
        verdict.facts += [
            spread("/healthz meanwhile", self.server_ms),
            spread("a bare event loop meanwhile", self.control_ms),
        ]
        if len(self.server_ms) < MIN_SAMPLES:
            return
        server_ms, control_ms = percentile(self.server_ms, 99), percentile(self.control_ms, 99)
        verdict.expect(
            server_ms <= max(LIMIT_MS, MAX_RATIO * control_ms),
            f"/healthz took {server_ms:.0f} ms at the 99th percentile, a bare event loop"
            f" {control_ms:.0f} ms",
        )


@contextmanager
def probing(url: str) -> Iterator[Lateness]:
    lateness = Lateness()
    command = [sys.executable, "-m", "bench.soak.alive", url]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as one:
        try:
            yield lateness
            measured, _ = one.communicate()
        finally:
            one.kill()
    lateness.server_ms, lateness.control_ms = json.loads(measured)


def _probe(url: str) -> None:
    with subprocess.Popen([sys.executable, "-m", __spec__.name], stdout=subprocess.PIPE) as control:
        assert control.stdout is not None
        try:
            addresses = (url, control.stdout.readline().decode().strip())
            connections = [_connect(address) for address in addresses]
            measured: tuple[list[float], list[float]] = ([], [])
            while not select.select([sys.stdin], [], [], _PAUSE_S)[0]:
                for index, connection in enumerate(connections):
                    started_s = time.perf_counter()
                    connections[index] = _asked(connection, addresses[index])
                    measured[index].append((time.perf_counter() - started_s) * 1000)
        finally:
            control.kill()
    print(json.dumps(measured))


def _connect(url: str) -> socket.socket:
    address = urlsplit(url)
    return socket.create_connection((address.hostname, address.port), timeout=_PATIENCE_S)


def _asked(connection: socket.socket, url: str) -> socket.socket:
    """The connection after an answer; a new one, whose opening counts, where it was closed."""
    answer = b""
    while not answer.endswith(b"}"):
        try:
            if not answer:
                connection.sendall(_REQUEST)
            received = connection.recv(4096)
        except ConnectionError:
            received = b""
        if not received:
            connection.close()
            connection, answer = _connect(url), b""
        answer += received
    return connection


class _Control(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._transport.write(_ANSWER)


async def _control() -> None:
    server = await asyncio.get_running_loop().create_server(_Control, "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    _probe(sys.argv[1]) if sys.argv[1:] else asyncio.run(_control())
