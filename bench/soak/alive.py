"""How late /healthz is, and how much of that is the machine's doing.

A probe in a process of its own asks again and again. From each answer's time is taken off what the
server's event loop and the probe spent runnable and waiting for a processor, as the kernel counts
it (/proc/PID/schedstat, Linux): that is the machine's. What is left is the server's own, and is
the same on a machine that is full of other work.

    python -m bench.soak.alive URL PID     asks until its input ends, then prints what it measured
"""

from __future__ import annotations

import json
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from bench.load import percentile
from bench.process import ServerProcess
from bench.soak.verdict import Verdict, spread

LIMIT_MS = 50.0
# Of fewer the 99th percentile is a single one.
MIN_SAMPLES = 300
_PAUSE_S, _PATIENCE_S = 0.02, 60.0
_REQUEST = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
_END = b'{"status":"alive"}'


@dataclass
class Lateness:
    """Milliseconds of each answer, filled in when the probe ends."""

    total_ms: list[float] = field(default_factory=list)
    waited_ms: list[float] = field(default_factory=list)  # of it, for a processor

    @property
    def own_ms(self) -> list[float]:
        pairs = zip(self.total_ms, self.waited_ms, strict=True)
        return [max(0.0, total - waited) for total, waited in pairs]

    def judge(self, verdict: Verdict) -> None:
        own_ms = self.own_ms
        share = sum(own_ms) / max(sum(self.total_ms), 1e-9)
        verdict.facts += [
            spread("/healthz meanwhile", self.total_ms),
            spread("without waiting for a processor", own_ms) + f"; {share:.0%} of all",
        ]
        if len(own_ms) >= MIN_SAMPLES:
            late_ms = percentile(own_ms, 99)
            verdict.expect(late_ms <= LIMIT_MS, f"/healthz took {late_ms:.0f} ms by itself")


@contextmanager
def probing(server: ServerProcess) -> Iterator[Lateness]:
    lateness = Lateness()
    command = [sys.executable, "-m", "bench.soak.alive", server.target.url, str(server.pid)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as one:
        try:
            yield lateness
            measured, _ = one.communicate()
        finally:
            one.kill()
    lateness.total_ms, lateness.waited_ms = json.loads(measured)


def _probe(url: str, pid: int) -> tuple[list[float], list[float]]:
    connection, total_ms, waited_ms = _connect(url), list[float](), list[float]()
    # The event loop runs in the first thread, whose number is the process's.
    threads = (Path(f"/proc/{pid}/task/{pid}/schedstat"), Path("/proc/thread-self/schedstat"))
    while not select.select([sys.stdin], [], [], _PAUSE_S)[0]:
        before_ms, started_s = sum(map(_waited_ms, threads)), time.perf_counter()
        connection = _asked(connection, url)
        total_ms.append((time.perf_counter() - started_s) * 1000)
        waited_ms.append(sum(map(_waited_ms, threads)) - before_ms)
    return total_ms, waited_ms


def _waited_ms(thread: Path) -> float:
    """Runnable, and not running."""
    return int(thread.read_text().split()[1]) / 1e6


def _connect(url: str) -> socket.socket:
    address = urlsplit(url)
    return socket.create_connection((address.hostname, address.port), timeout=_PATIENCE_S)


def _asked(connection: socket.socket, url: str) -> socket.socket:
    """The connection after an answer; a new one, whose opening counts, where it was closed."""
    answer = b""
    while not answer.endswith(_END):
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


if __name__ == "__main__":
    print(json.dumps(_probe(sys.argv[1], int(sys.argv[2]))))
