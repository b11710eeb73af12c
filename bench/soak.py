"""Whether requests survive the engine: it is killed again and again under eight clients.

    python -m bench soak                 20 kills, two to three minutes
    python -m bench soak --kills 100

Each request was made alone before; every answer must be that image, byte for byte. Starts a server
of its own. Knows nothing of how the engine comes back.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import re
import signal
import statistics
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from bench import process
from bench.load import (
    Answer,
    Asked,
    LoadError,
    Target,
    percentile,
    read_answer,
    run_phase,
    wire_request,
)
from bench.serving import PROMPTS
from daguerre.models.catalog import DEFAULT_MODEL
from daguerre.params import OUTPUT_FORMATS, SIZES

CONCURRENCY = 8
DEFAULT_STEPS = "2"
_PROBE_S = 0.05
_STEPS_VARIABLE = "DAGUERRE_NUM_INFERENCE_STEPS"


@dataclass
class Results:
    """What came of it; times in milliseconds."""

    num_kills: int = 0
    num_unlike: int = 0  # answers with other bytes than alone
    num_restarts: int = 0  # that the server counts
    alone_ms: list[float] = field(default_factory=list)
    answered_ms: list[float] = field(default_factory=list)
    back_ms: list[float] = field(default_factory=list)  # from a kill to the next answer
    alive_ms: list[float] = field(default_factory=list)  # /healthz

    def lines(self) -> Iterator[str]:
        yield f"{len(self.answered_ms)} requests at concurrency {CONCURRENCY}, all answered 200"
        yield f"{self.num_kills} kills, {self.num_restarts} restarts counted by the server"
        yield f"answers with other bytes than alone: {self.num_unlike}"
        yield f"alone: median {statistics.median(self.alone_ms):.0f} ms"
        yield _spread("among the kills", self.answered_ms)
        yield _spread("from a kill to the next answer", self.back_ms)
        yield _spread("/healthz meanwhile", self.alive_ms)


def _spread(name: str, values_ms: Sequence[float]) -> str:
    p50, p99 = percentile(values_ms, 50), percentile(values_ms, 99)
    return f"{name}: p50 {p50:.0f} ms, p99 {p99:.0f} ms, longest {max(values_ms):.0f} ms"


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser("python -m bench soak", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--kills", type=int, default=20)
    options = parser.parse_args(arguments)
    if options.kills < 1:
        parser.error(f"--kills is {options.kills}; it must be 1 or more")
    results = measure(options.kills, os.environ.get(_STEPS_VARIABLE, DEFAULT_STEPS))
    for line in results.lines():
        print(line)
    is_kept = results.num_unlike == 0 and results.num_restarts == results.num_kills
    print("PASS" if is_kept else "FAIL")
    return 0 if is_kept else 1


def requests() -> list[Asked]:
    """Sixteen, of all sizes and both formats."""
    sizes = [f"{width}x{height}" for width, height in SIZES.values()]
    return [
        Asked(
            DEFAULT_MODEL,
            PROMPTS[index % len(PROMPTS)],
            seed=index + 1,
            size=sizes[index % len(sizes)],
            output_format=OUTPUT_FORMATS[index % len(OUTPUT_FORMATS)],
        )
        for index in range(16)
    ]


def measure(num_kills: int, num_steps: str) -> Results:
    """Raises `LoadError` where a request is not answered with an image."""
    environment = {_STEPS_VARIABLE: num_steps}
    with tempfile.TemporaryDirectory() as home, process.serving(Path(home), environment) as server:
        alone = run_phase(server.target, requests(), concurrency=1)
        expected = {answer.asked: answer.digest for answer in alone.answers}
        soak = Soak(server, expected, num_kills)
        soak.results.alone_ms = [answer.total_ms for answer in alone.answers]
        asyncio.run(soak.run())
        soak.results.num_restarts = _num_restarts(server.target)
        return soak.results


class Soak:
    """Eight clients, one that kills, and one that asks whether the server is alive."""

    def __init__(
        self, server: process.ServerProcess, expected: Mapping[Asked, str], num_kills: int
    ) -> None:
        self._server, self._expected, self._num_kills = server, expected, num_kills
        self._left = itertools.cycle(expected)
        self._is_over = False
        self._killed_s: float | None = None  # until the next answer
        self.results = Results()

    async def run(self) -> None:
        probe = asyncio.create_task(self._probe())
        clients = [self._client() for _ in range(CONCURRENCY)]
        try:
            await asyncio.gather(self._kill(), *clients)
        finally:
            probe.cancel()
            await asyncio.gather(probe, return_exceptions=True)

    async def _kill(self) -> None:
        """Each job is killed once at most: after as many answers as jobs there are new ones."""
        for _ in range(self._num_kills):
            before = len(self.results.answered_ms)
            while len(self.results.answered_ms) < before + CONCURRENCY:
                await asyncio.sleep(0.005)
            for pid in self._server.engine_pids():
                os.kill(pid, signal.SIGKILL)
            self._killed_s = time.perf_counter()
            self.results.num_kills += 1
        while self._killed_s is not None:
            await asyncio.sleep(0.005)
        self._is_over = True

    async def _client(self) -> None:
        reader, writer = await _connected(self._server.target)
        host = urlsplit(self._server.target.url).netloc
        try:
            while not self._is_over:
                asked = next(self._left)
                started_s = time.perf_counter()
                writer.write(wire_request(self._server.target, host, asked))
                status, head, body = await read_answer(reader)
                self._note(Answer(asked, status, head, body, started_s, time.perf_counter()))
        finally:
            writer.close()

    def _note(self, answer: Answer) -> None:
        if answer.status != 200:
            self._is_over = True
            raise LoadError(f"{answer.asked} was answered {answer.status}: {answer.body[:500]!r}")
        self.results.answered_ms.append(answer.total_ms)
        self.results.num_unlike += answer.digest != self._expected[answer.asked]
        if self._killed_s is not None and answer.ended_s > self._killed_s:
            self.results.back_ms.append((answer.ended_s - self._killed_s) * 1000)
            self._killed_s = None

    async def _probe(self) -> None:
        reader, writer = await _connected(self._server.target)
        try:
            while True:
                started_s = time.perf_counter()
                writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
                await read_answer(reader)
                self.results.alive_ms.append((time.perf_counter() - started_s) * 1000)
                await asyncio.sleep(_PROBE_S)
        finally:
            writer.close()


async def _connected(target: Target) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    address = urlsplit(target.url)
    return await asyncio.open_connection(address.hostname, address.port, limit=32 * 1024 * 1024)


def _num_restarts(target: Target) -> int:
    with urllib.request.urlopen(f"{target.url}/metrics", timeout=30) as answer:
        text = answer.read().decode()
    found = re.search(r"^daguerre_engine_restarts_total (\S+)$", text, re.MULTILINE)
    if found is None:
        raise LoadError("/metrics does not count restarts of the engine")
    return int(float(found.group(1)))
