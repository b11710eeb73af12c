"""Latency of /healthz under load, less the time spent waiting for a CPU.

A probe process polls /healthz. From each response time it subtracts the time in which the server's
event loop and the probe were runnable but had no CPU (/proc/PID/schedstat, Linux). The rest is the
server's own latency.

    python -m bench.soak.alive URL PID     poll until stdin closes, then print the measurements
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
# With fewer samples, a single one decides the 99th percentile.
MIN_SAMPLES = 300
_PAUSE_S, _PATIENCE_S = 0.02, 300.0
_REQUEST = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
_END = b'{"status":"alive"}'


@dataclass
class Lateness:
    """Response times in milliseconds, available when the probe has ended."""

    total_ms: list[float] = field(default_factory=list)
    waited_ms: list[float] = field(default_factory=list)  # of it, waiting for a CPU

    @property
    def own_ms(self) -> list[float]:
        pairs = zip(self.total_ms, self.waited_ms, strict=True)
        return [max(0.0, total - waited) for total, waited in pairs]

    def judge(self, verdict: Verdict) -> None:
        own_ms = self.own_ms
        share = sum(own_ms) / max(sum(self.total_ms), 1e-9)
        verdict.facts += [
            spread("/healthz", self.total_ms),
            spread("/healthz without CPU wait", own_ms) + f"; {share:.0%} of the total",
        ]
        if len(own_ms) >= MIN_SAMPLES:
            late_ms = percentile(own_ms, 99)
            verdict.expect_figure(
                late_ms <= LIMIT_MS, f"/healthz p99 is {late_ms:.0f} ms (limit: {LIMIT_MS:g})"
            )


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
    # The event loop runs in the main thread, whose id is the process id.
    threads = (Path(f"/proc/{pid}/task/{pid}/schedstat"), Path("/proc/thread-self/schedstat"))
    while not select.select([sys.stdin], [], [], _PAUSE_S)[0]:
        before_ms, started_s = sum(map(_waited_ms, threads)), time.perf_counter()
        connection = _asked(connection, url)
        total_ms.append((time.perf_counter() - started_s) * 1000)
        waited_ms.append(sum(map(_waited_ms, threads)) - before_ms)
    return total_ms, waited_ms


def _waited_ms(thread: Path) -> float:
    """Milliseconds in which a thread was runnable and not running."""
    return int(thread.read_text().split()[1]) / 1e6


def _connect(url: str) -> socket.socket:
    address = urlsplit(url)
    return socket.create_connection((address.hostname, address.port), timeout=_PATIENCE_S)


def _asked(connection: socket.socket, url: str) -> socket.socket:
    """Poll once and return the connection; the time of a reconnect counts."""
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
