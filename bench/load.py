"""Closed-loop clients: each sends its next request after the answer to its last one.

The client uses bare HTTP/1.1 on asyncio streams, to need little CPU time. It times an answer to its
last byte and parses it after all answers have arrived.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import math
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from urllib.parse import urlsplit

STAGES = ("queue", "encode", "denoise", "decode", "file")
_STAGE = re.compile(r"(\w+);dur=([0-9.]+)")
# Above the size of any answer: a full buffer would block the server.
_BUFFER_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Target:
    """Address and API key of the server under load."""

    url: str
    key: str


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, with the field names of the API."""

    model: str
    prompt: str
    seed: int
    size: str = "1024x1024"
    output_format: str = "png"
    negative_prompt: str = ""

    def body(self) -> bytes:
        return json.dumps(asdict(self)).encode()


@dataclass(frozen=True)
class Answer:
    """One answer: bytes, and times from the first byte sent to the last received."""

    asked: Asked
    status: int
    head: str
    body: bytes
    started_s: float
    ended_s: float

    @property
    def total_ms(self) -> float:
        return (self.ended_s - self.started_s) * 1000

    @property
    def retry_after_s(self) -> int | None:
        """Seconds of Retry-After, if the answer has it."""
        found = re.search(r"(?im)^retry-after: *(\d+)", self.head)
        return int(found[1]) if found else None

    @cached_property
    def stages_ms(self) -> dict[str, float]:
        """Times from `Server-Timing`, and `other`: the rest of the client's time."""
        line = next(
            (line for line in self.head.lower().split("\r\n") if "server-timing" in line), ""
        )
        found = {name: float(ms) for name, ms in _STAGE.findall(line)}
        stages = {stage: found[stage] for stage in STAGES}
        return {**stages, "other": self.total_ms - sum(stages.values())}

    @cached_property
    def file(self) -> bytes:
        return base64.b64decode(json.loads(self.body)["data"][0]["b64_json"])

    @cached_property
    def digest(self) -> str:
        return hashlib.sha256(self.file).hexdigest()


class LoadError(Exception):
    """A request was not answered with an image."""


@dataclass(frozen=True)
class Phase:
    """Answered requests at one concurrency."""

    concurrency: int
    answers: Sequence[Answer]

    @property
    def wall_s(self) -> float:
        return max(a.ended_s for a in self.answers) - min(a.started_s for a in self.answers)


def run_phase(target: Target, requests: Sequence[Asked], concurrency: int) -> Phase:
    """Run requests in a closed loop. Raises `LoadError` if one fails."""
    return Phase(concurrency, asyncio.run(_closed_loop(target, requests, concurrency)))


async def _closed_loop(
    target: Target, requests: Sequence[Asked], concurrency: int
) -> Sequence[Answer]:
    left = iter(requests)  # shared by all clients
    clients = (_client(target, left) for _ in range(concurrency))
    answers = [answer for part in await asyncio.gather(*clients) for answer in part]
    for answer in answers:
        if answer.status != 200:
            raise LoadError(f"{answer.asked} was answered {answer.status}: {answer.body[:500]!r}")
    return answers


async def _client(target: Target, left: Iterator[Asked]) -> list[Answer]:
    address = urlsplit(target.url)
    reader, writer = await asyncio.open_connection(
        address.hostname, address.port or 80, limit=_BUFFER_BYTES
    )
    answers = []
    try:
        for asked in left:
            content = wire_request(target, address.netloc, asked)
            started_s = time.perf_counter()
            writer.write(content)
            status, head, body = await read_answer(reader)
            answers.append(Answer(asked, status, head, body, started_s, time.perf_counter()))
    finally:
        writer.close()
        await writer.wait_closed()
    return answers


def wire_request(target: Target, host: str, asked: Asked) -> bytes:
    body = asked.body()
    lines = (
        "POST /v1/images/generations HTTP/1.1",
        f"Host: {host}",
        f"Authorization: Bearer {target.key}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    )
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, str, bytes]:
    """Status, head and body of one answer with a Content-Length."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    length = re.search(r"(?i)^content-length: *(\d+)", head, re.MULTILINE)
    if length is None:
        raise LoadError(f"an answer without Content-Length: {head!r}")
    return int(head.split()[1]), head, await reader.readexactly(int(length.group(1)))


def percentile(values: Sequence[float], percent: float) -> float:
    """The least value that is not below `percent` percent of the values."""
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]
