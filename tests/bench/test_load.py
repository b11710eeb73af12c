"""The load generator against a minimal server: requests, times and counts."""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import PATIENCE_S

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.load import Answer, Asked, LoadError, Target, percentile, run_phase

TIMING = "queue;dur=1.0, encode;dur=2.5, denoise;dur=3.0, decode;dur=4.0, file;dur=0.5"


class Echo:
    """Answers with the seed as the file, once `concurrency` requests were in progress together."""

    def __init__(self, status: int = 200, size: int = 0, concurrency: int = 1) -> None:
        self.status, self.padding, self.concurrency = status, b"x" * size, concurrency
        self.num_now = self.num_most = self.num_connections = 0
        self.heads: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.num_connections += 1
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode():
                length = int(head.lower().split("content-length: ")[1].split("\r\n")[0])
                asked = json.loads(await reader.readexactly(length))
                self.heads.append(head)
                self.num_now += 1
                self.num_most = max(self.num_most, self.num_now)
                while self.num_most < self.concurrency:
                    await asyncio.sleep(0.002)
                await asyncio.sleep(0.02)  # for requests over the limit
                self.num_now -= 1
                writer.write(self.answer(asked["seed"]))
                await writer.drain()
        except asyncio.IncompleteReadError:
            writer.close()

    def answer(self, seed: int) -> bytes:
        file = base64.b64encode(str(seed).encode() + self.padding).decode()
        body = json.dumps({"created": 1, "data": [{"b64_json": file}]}).encode()
        head = f"HTTP/1.1 {self.status} X\r\nServer-Timing: {TIMING}\r\n"
        return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


@contextmanager
def answering(echo: Echo) -> Iterator[Target]:
    loop, port = asyncio.new_event_loop(), [0]
    is_up = threading.Event()

    async def serve() -> None:
        server = await asyncio.start_server(echo.serve, "127.0.0.1", 0)
        port[0] = server.sockets[0].getsockname()[1]
        is_up.set()
        async with server:
            await ended.wait()

    async def make_event() -> asyncio.Event:
        return asyncio.Event()

    ended = loop.run_until_complete(make_event())
    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    try:
        assert is_up.wait(PATIENCE_S)
        yield Target(f"http://127.0.0.1:{port[0]}", "inf-key")
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(PATIENCE_S)
        loop.close()


def asked(count: int) -> list[Asked]:
    return [Asked("m", "a cat", seed) for seed in range(1, count + 1)]


@pytest.mark.parametrize("concurrency", [1, 3])
def test_closed_loop(concurrency: int) -> None:
    """As many requests are in progress as there are clients; each is sent once and gets its own
    answer, and a client keeps its connection."""
    echo = Echo(size=2_000_000, concurrency=concurrency)
    with answering(echo) as target:
        phase = run_phase(target, asked(7), concurrency)
    assert (echo.num_most, echo.num_connections) == (concurrency, concurrency)
    assert sorted(answer.asked.seed for answer in phase.answers) == [1, 2, 3, 4, 5, 6, 7]
    for answer in phase.answers:
        assert answer.file == str(answer.asked.seed).encode() + echo.padding
    assert all("Authorization: Bearer inf-key\r\n" in head for head in echo.heads)


def test_stages_and_the_rest_are_the_whole() -> None:
    """The stages have the server's figures and add up to the time that the client measured."""
    with answering(Echo()) as target:
        phase = run_phase(target, asked(1), 1)
    (answer,) = phase.answers
    stages = dict(answer.stages_ms)
    assert phase.wall_s * 1000 == pytest.approx(answer.total_ms)
    assert sum(stages.values()) == pytest.approx(answer.total_ms)
    stages.pop("other")
    assert stages == {"queue": 1.0, "encode": 2.5, "denoise": 3.0, "decode": 4.0, "file": 0.5}


@pytest.mark.parametrize(("header", "expected"), [("Retry-After: 12\r\n", 12), ("", None)])
def test_retry_after(header: str, expected: int | None) -> None:
    head = f"HTTP/1.1 503 Service Unavailable\r\ndate: today\r\n{header}\r\n"
    assert Answer(asked(1)[0], 503, head, b"", 0.0, 1.0).retry_after_s == expected


def test_rejection_ends_the_run() -> None:
    """An answer without an image ends the run with an error that names the request and status."""
    with answering(Echo(status=503)) as target, pytest.raises(LoadError, match="seed=1.*503"):
        run_phase(target, asked(1), 1)


def test_percentile() -> None:
    """The least value that the given share of the values does not exceed."""
    values = [float(i) for i in range(20, 0, -1)]
    assert [percentile(values, p) for p in (50, 95, 100)] == [10, 19, 20]
    assert percentile([7.0], 50) == percentile([7.0], 95) == 7.0
