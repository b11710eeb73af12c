"""Shared parts of the scenarios: a server, sixteen requests, a client and the metrics."""

from __future__ import annotations

import asyncio
import os
import re
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from bench import process
from bench.load import Answer, Asked, LoadError, Target, read_answer, wire_request
from bench.serving import PROMPTS
from daguerre.imagefile.encoding import FORMATS
from daguerre.models.catalog import DEFAULT_MODEL
from daguerre.params import SIZES

STEPS_VARIABLE = "DAGUERRE_EMBEDDED_STEPS"
DEFAULT_STEPS = "1"
# Only detects a hang: the machine may be busy.
_SETTLE_S = 120.0


@contextmanager
def serving(**environment: str) -> Iterator[process.ServerProcess]:
    steps = {STEPS_VARIABLE: os.environ.get(STEPS_VARIABLE, DEFAULT_STEPS)}
    with tempfile.TemporaryDirectory() as home:
        with process.serving(Path(home), steps | environment) as server:
            yield server


def requests(count: int = 16) -> list[Asked]:
    """Requests of all sizes and both formats."""
    sizes = [f"{width}x{height}" for width, height in SIZES.values()]
    return [
        Asked(
            DEFAULT_MODEL,
            PROMPTS[index % len(PROMPTS)],
            seed=index + 1,
            size=sizes[index % len(sizes)],
            output_format=list(FORMATS)[index % len(FORMATS)],
        )
        for index in range(count)
    ]


class Connection:
    """A keep-alive connection for consecutive requests."""

    def __init__(
        self, target: Target, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.target, self.reader, self.writer = target, reader, writer

    @classmethod
    async def open(cls, target: Target) -> Connection:
        address = urlsplit(target.url)
        reader, writer = await asyncio.open_connection(
            address.hostname, address.port, limit=32 * 1024 * 1024
        )
        return cls(target, reader, writer)

    def send(self, asked: Asked) -> None:
        self.writer.write(wire_request(self.target, urlsplit(self.target.url).netloc, asked))

    async def ask(self, asked: Asked) -> Answer:
        self.send(asked)
        return await self.answer(asked)

    async def answer(self, asked: Asked) -> Answer:
        """The answer to a request that was sent; its time counts from this call."""
        started_s = time.perf_counter()
        status, head, body = await read_answer(self.reader)
        return Answer(asked, status, head, body, started_s, time.perf_counter())

    async def get(self, path: str) -> tuple[int, bytes]:
        self.writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        status, _, body = await read_answer(self.reader)
        return status, body

    def close(self) -> None:
        self.writer.close()

    def reset(self) -> None:
        """Close with a TCP reset, like the kernel of a killed client."""
        self.writer.transport.abort()


async def start_all(
    target: Target, requests: Sequence[Asked]
) -> tuple[list[Connection], list[asyncio.Task[Answer]]]:
    """Sends each request on a connection of its own, and waits for the first answer.

    At that time all other jobs are queued or running.
    """
    connections = [await Connection.open(target) for _ in requests]
    for connection, asked in zip(connections, requests, strict=True):
        connection.send(asked)
    # The server reads connections in the order in which data arrives.
    last = await Connection.open(target)
    await last.get("/healthz")
    last.close()
    answers = [
        asyncio.create_task(connection.answer(asked))
        for connection, asked in zip(connections, requests, strict=True)
    ]
    await asyncio.wait(answers, return_when=asyncio.FIRST_COMPLETED)
    return connections, answers


async def ask_once(target: Target, asked: Asked) -> Answer:
    connection = await Connection.open(target)
    try:
        return await connection.ask(asked)
    finally:
        connection.close()


async def ask_with_key(target: Target, asked: Asked, key: str) -> Answer:
    """Like `ask_once`, with an Idempotency-Key."""
    connection, started_s = await Connection.open(target), time.perf_counter()
    content = wire_request(target, urlsplit(target.url).netloc, asked)
    header = f"\r\nIdempotency-Key: {key}\r\n\r\n".encode()
    try:
        connection.writer.write(content.replace(b"\r\n\r\n", header, 1))
        status, head, body = await read_answer(connection.reader)
    finally:
        connection.close()
    return Answer(asked, status, head, body, started_s, time.perf_counter())


def metric(target: Target, name: str) -> float:
    """Value of a metric, by its name with labels."""
    found = re.search(rf"^{re.escape(name)} (\S+)$", _metrics(target), re.MULTILINE)
    if found is None:
        raise LoadError(f"/metrics has no {name}")
    return float(found.group(1))


def total(target: Target, name: str, label: str = "") -> float:
    """Sum of a metric over all its labels, or over those with `label`."""
    pattern = rf"^{re.escape(name)}\{{.*{re.escape(label)}.*\}} (\S+)$"
    samples = re.findall(pattern, _metrics(target), re.MULTILINE)
    return sum(map(float, samples))


def _metrics(target: Target) -> str:
    with urllib.request.urlopen(f"{target.url}/metrics", timeout=60) as answer:
        text: str = answer.read().decode()
    return text


def num_jobs(target: Target) -> int:
    """Number of jobs that are queued or running."""
    return int(total(target, "daguerre_jobs_queued") + total(target, "daguerre_jobs_running"))


def num_ended(target: Target, outcome: str) -> int:
    return int(total(target, "daguerre_jobs_total", f'outcome="{outcome}"'))


async def until(is_true: Callable[[], bool], timeout_s: float = _SETTLE_S) -> bool:
    """Whether the condition became true in time; it is checked in a thread."""
    deadline_s = time.perf_counter() + timeout_s
    while not await asyncio.to_thread(is_true):
        if time.perf_counter() > deadline_s:
            return False
        await asyncio.sleep(0.02)
    return True
