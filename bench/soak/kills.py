"""Crash recovery: the engine process is killed repeatedly under eight clients.

With `DAGUERRE_WORKERS=2` the workers are killed alternately. Every answer must have the same bytes
as the request alone.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from bench import process
from bench.load import Answer, Asked, LoadError, run_phase
from bench.soak.alive import probing
from bench.soak.client import Connection, requests, serving, total
from bench.soak.verdict import Verdict, spread

CONCURRENCY = 8


@dataclass
class Results:
    """Results of the scenario; times in milliseconds."""

    num_kills: int = 0
    num_different: int = 0  # answers with different bytes than alone
    num_restarts: int = 0  # counted by the server
    alone_ms: list[float] = field(default_factory=list)
    answered_ms: list[float] = field(default_factory=list)
    back_ms: list[float] = field(default_factory=list)  # from a kill to the next answer

    def verdict(self) -> Verdict:
        facts = [
            f"{len(self.answered_ms)} requests at concurrency {CONCURRENCY}, all answered 200",
            f"{self.num_kills} kills, {self.num_restarts} restarts counted by the server",
            f"answers with different bytes than alone: {self.num_different}",
            f"alone: median {statistics.median(self.alone_ms):.0f} ms",
            spread("among the kills", self.answered_ms),
            spread("from a kill to the next answer", self.back_ms),
        ]
        verdict = Verdict(facts)
        verdict.expect(self.num_different == 0, "different bytes than alone")
        verdict.expect(self.num_restarts == self.num_kills, "kills and restarts differ")
        verdict.expect(len(self.back_ms) == self.num_kills, "no answer after a kill")
        return verdict


def measure(num_kills: int) -> Verdict:
    """Raise `LoadError` if a request is not answered with an image."""
    with serving(DAGUERRE_REQUEST_TIMEOUT_S="600") as server:
        alone = run_phase(server.target, requests(), concurrency=1)
        expected = {answer.asked: answer.digest for answer in alone.answers}
        soak = Soak(server, expected, num_kills)
        soak.results.alone_ms = [answer.total_ms for answer in alone.answers]
        with probing(server) as lateness:
            asyncio.run(soak.run())
        soak.results.num_restarts = int(total(server.target, "daguerre_worker_restarts_total"))
        verdict = soak.results.verdict()
        lateness.judge(verdict)
        return verdict


class Soak:
    """Eight clients and one killer."""

    def __init__(
        self, server: process.ServerProcess, expected: Mapping[Asked, str], num_kills: int
    ) -> None:
        self._server, self._expected, self._num_kills = server, expected, num_kills
        self._left = itertools.cycle(expected)
        self._is_over = False
        self._killed_s: float | None = None  # until the next answer
        self.results = Results()

    async def run(self) -> None:
        clients = [self._client() for _ in range(CONCURRENCY)]
        await asyncio.gather(self._kill(), *clients)

    async def _kill(self) -> None:
        """Kill each job at most once: after `CONCURRENCY` answers all jobs are new."""
        for _ in range(self._num_kills):
            before = len(self.results.answered_ms)
            while len(self.results.answered_ms) < before + CONCURRENCY:
                await asyncio.sleep(0.005)
            while not (pids := self._server.engine_pids()):
                await asyncio.sleep(0.005)
            # Workers are killed alternately.
            os.kill(pids[self.results.num_kills % len(pids)], signal.SIGKILL)
            self._killed_s = time.perf_counter()
            self.results.num_kills += 1
        while self._killed_s is not None:
            await asyncio.sleep(0.005)
        self._is_over = True

    async def _client(self) -> None:
        connection = await Connection.open(self._server.target)
        try:
            while not self._is_over:
                self._note(await connection.ask(next(self._left)))
        finally:
            connection.close()

    def _note(self, answer: Answer) -> None:
        if answer.status != 200:
            self._is_over = True
            raise LoadError(f"{answer.asked} was answered {answer.status}: {answer.body[:500]!r}")
        self.results.answered_ms.append(answer.total_ms)
        self.results.num_different += answer.digest != self._expected[answer.asked]
        if self._killed_s is not None and answer.ended_s > self._killed_s:
            self.results.back_ms.append((answer.ended_s - self._killed_s) * 1000)
            self._killed_s = None
