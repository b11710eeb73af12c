"""Thousands of hostile requests: no 5xx, no hang, no leak.

Sixteen senders send the kinds of `bench.soak.attacks` in a seeded order. Afterwards the server must
have no more open files, little more memory, and the same engine process.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections import Counter

from bench import process
from bench.load import LoadError
from bench.soak.alive import probing
from bench.soak.attacks import Attack, attack
from bench.soak.client import Connection, ask_once, requests, serving, until
from bench.soak.verdict import Verdict

NUM_SENDERS = 16
BODY_TIMEOUT_S = 2
_PATIENCE_S = 300.0
_MAX_GROWTH = 1.05


def measure(num_requests: int) -> Verdict:
    with serving(DAGUERRE_REQUEST_READ_TIMEOUT_S=str(BODY_TIMEOUT_S)) as server:
        with probing(server) as lateness:
            verdict = asyncio.run(_measure(server, num_requests))
    lateness.judge(verdict)
    return verdict


async def _measure(server: process.ServerProcess, num_requests: int) -> Verdict:
    verdict, asked = Verdict(), requests(1)[0]
    alone, engine = await ask_once(server.target, asked), server.engine_pids()
    siege = Siege(server, verdict)
    await siege.run(num_requests // 4)  # warm-up
    await until(lambda: server.num_files() <= siege.num_files)
    before_mb = server.resident_mb()
    await siege.run(num_requests - num_requests // 4)
    is_closed = await until(lambda: server.num_files() <= siege.num_files)
    verdict.expect(is_closed, f"{server.num_files()} files open, {siege.num_files} before")
    after_mb = server.resident_mb()
    is_flat = after_mb <= before_mb * _MAX_GROWTH
    verdict.expect_figure(is_flat, f"memory grew from {before_mb:.0f} to {after_mb:.0f} MB")
    after = await ask_once(server.target, asked)
    is_same = after.status == 200 and after.digest == alone.digest
    verdict.expect(is_same, f"a valid request got {after.status}, or different bytes")
    verdict.expect(server.engine_pids() == engine, "the engine was restarted")
    statuses = ", ".join(f"{count} times {code}" for code, count in sorted(siege.statuses.items()))
    verdict.facts += [
        f"{num_requests} requests: {statuses}",
        f"closed without an answer: {dict(siege.cut_off)}",
        f"open files: {siege.num_files} before, {server.num_files()} after",
        f"memory: {before_mb:.0f} MB after a quarter, {after_mb:.0f} MB at the end",
    ]
    return verdict


class Siege:
    def __init__(self, server: process.ServerProcess, verdict: Verdict) -> None:
        self._server, self._verdict = server, verdict
        self._source = random.Random(0)
        self.num_files = server.num_files()
        self.statuses: Counter[int] = Counter()
        self.cut_off: Counter[str] = Counter()  # kinds whose connection was closed

    async def run(self, num_requests: int) -> None:
        key = self._server.target.key
        left = iter([attack(self._source, key) for _ in range(num_requests)])

        async def sender() -> None:
            for one in left:
                await self.send(one)

        await asyncio.gather(*(sender() for _ in range(NUM_SENDERS)))

    async def send(self, one: Attack) -> None:
        connection = await Connection.open(self._server.target)
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await self._play(connection, one)
        except TimeoutError:
            self._verdict.faults.append(f"{one.name}: no answer after {_PATIENCE_S:g} s")
        except (OSError, asyncio.IncompleteReadError, LoadError):
            self.cut_off[one.name] += 1
        finally:
            connection.reset() if one.is_reset else connection.close()

    async def _play(self, connection: Connection, one: Attack) -> None:
        for part in one.parts:
            connection.writer.write(part)
            await connection.writer.drain()
            await asyncio.sleep(one.pause_s)
        for _ in range(one.num_answers):
            head = (await connection.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            status = int(head.split()[1])
            self.statuses[status] += 1
            if status >= 500:
                self._verdict.faults.append(f"{one.name}: {status} for {one.parts[0][:300]!r}")
            length = re.search(r"(?im)^content-length: *(\d+)", head)
            await connection.reader.readexactly(int(length.group(1)) if length else 0)
