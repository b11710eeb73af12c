"""Overload: fifty times as many requests as the server can serve.

Requests are sent at a fixed rate (an open loop). Only 200, 429, 503 and 504 are allowed. Accepted
requests must meet their deadline, memory must not grow, and Retry-After must be within a factor of
two of the time in which the accepted jobs finished.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from bench import process
from bench.load import Asked, Target, percentile, run_phase
from bench.soak.alive import probing
from bench.soak.client import STEPS_VARIABLE, Connection, requests, serving
from bench.soak.verdict import Verdict, spread

TIMES_THE_CAPACITY = 50
# Slow images: at fifty times a higher rate the client would be the bottleneck.
MANY_STEPS = "46"
DEADLINE_S = 60
MAX_RETRY_AFTER_S = 59
_TICK_S = 0.01
# A few seconds fill only a short queue.
_LONG_S = 60
_SHORT_QUEUE = {"DAGUERRE_MAX_QUEUED_JOBS": "4", "DAGUERRE_MAX_RUNNING_JOBS": "2"}
_SAMPLE_S = 0.25
# The server may be about to close a connection that was idle for longer.
_IDLE_S = 30.0
# Early estimates may be wrong while the mean service time is still being measured.
_HONEST_SHARE = 0.99


@dataclass(frozen=True, slots=True)
class _Outcome:
    status: int
    started_s: float
    ended_s: float
    retry_after_s: int | None


def measure(seconds: int) -> Verdict:
    queue = _SHORT_QUEUE if seconds < _LONG_S else {}
    # All requests use one key from one address, and must fill the queue.
    limits = {
        "DAGUERRE_MAX_CONCURRENT_REQUESTS_PER_KEY": "0",
        "DAGUERRE_MAX_CONNECTIONS_PER_IP": "0",
        STEPS_VARIABLE: MANY_STEPS,
        **queue,
    }
    with serving(DAGUERRE_REQUEST_TIMEOUT_S=str(DEADLINE_S), **limits) as server:
        # JPEG keeps the client's work small.
        asked = [replace(one, output_format="jpeg") for one in requests(8)]
        phase = run_phase(server.target, asked, concurrency=2)
        capacity = len(asked) / phase.wall_s
        flood = Flood(server, asked, capacity * TIMES_THE_CAPACITY)
        with probing(server) as lateness:
            asyncio.run(flood.run(seconds))
    verdict = _judged(flood, capacity, seconds)
    lateness.judge(verdict)
    return verdict


class Pool:
    """A pool of keep-alive connections without a size limit; the last used is reused first."""

    def __init__(self, target: Target, clock: Callable[[], float] = time.perf_counter) -> None:
        self._target, self._clock = target, clock
        self._idle: list[tuple[Connection, float]] = []  # with the time of last use

    async def take(self) -> Connection:
        while self._idle:
            connection, used_s = self._idle.pop()
            if self._clock() - used_s < _IDLE_S:
                return connection
            connection.close()
        return await Connection.open(self._target)

    def give_back(self, connection: Connection) -> None:
        self._idle.append((connection, self._clock()))

    def close(self) -> None:
        for connection, _ in self._idle:
            connection.close()


class Flood:
    """Sends requests at a fixed rate, without waiting for answers."""

    def __init__(self, server: process.ServerProcess, asked: Sequence[Asked], rate: float) -> None:
        self._server, self._asked, self._rate = server, asked, rate
        self._pool = Pool(server.target)
        self.outcomes: list[_Outcome] = []
        self.resident_mb: list[float] = []
        self.broken: list[str] = []

    async def run(self, seconds: int) -> None:
        sampling = asyncio.create_task(self._sample())
        started_s, in_progress, num_sent = time.perf_counter(), set(), 0
        while (passed_s := time.perf_counter() - started_s) < seconds:
            while num_sent < passed_s * self._rate:
                task = asyncio.create_task(self._ask(num_sent))
                in_progress.add(task)
                task.add_done_callback(in_progress.discard)
                num_sent += 1
            await asyncio.sleep(_TICK_S)
        sampling.cancel()
        await asyncio.gather(*in_progress, sampling, return_exceptions=True)
        self._pool.close()

    async def _ask(self, index: int) -> None:
        try:
            connection = await self._pool.take()
            answer = await connection.ask(self._asked[index % len(self._asked)])
        except (OSError, asyncio.IncompleteReadError) as error:
            self.broken.append(repr(error))
            return
        if "connection: close" in answer.head.lower():
            connection.close()
        else:
            self._pool.give_back(connection)
        self.outcomes.append(
            _Outcome(answer.status, answer.started_s, answer.ended_s, answer.retry_after_s)
        )

    async def _sample(self) -> None:
        while True:
            self.resident_mb.append(self._server.resident_mb())
            await asyncio.sleep(_SAMPLE_S)


def _judged(flood: Flood, capacity: float, seconds: int) -> Verdict:
    counts = Counter(outcome.status for outcome in flood.outcomes)
    made = [outcome for outcome in flood.outcomes if outcome.status == 200]
    refused = [outcome for outcome in flood.outcomes if outcome.status in (429, 503)]
    verdict = Verdict()
    verdict.expect(set(counts) <= {200, 429, 503, 504}, f"statuses {dict(counts)}")
    broken = f"{len(flood.broken)} connections broke, the first by {flood.broken[:1]}"
    verdict.expect(not flood.broken, broken)
    verdict.expect(bool(made and refused), "no request succeeded, or none was rejected")
    longest_ms = max(((o.ended_s - o.started_s) * 1000 for o in made), default=0)
    verdict.expect_figure(
        longest_ms <= (DEADLINE_S + 1) * 1000, f"an image took {longest_ms:.0f} ms"
    )
    half = len(flood.resident_mb) // 2
    first_mb, last_mb = max(flood.resident_mb[:half]), max(flood.resident_mb[half:])
    verdict.expect_figure(
        last_mb <= first_mb * 1.1, f"memory grew from {first_mb:.0f} to {last_mb:.0f} MB"
    )
    verdict.expect(all(o.retry_after_s for o in refused), "a rejection without Retry-After")
    accepted = [outcome for outcome in flood.outcomes if outcome.status in (200, 504)]
    factors = [_factor(outcome, accepted) for outcome in refused]
    honest = sum(factor <= 2 for factor in factors) / max(1, len(factors))
    verdict.expect_figure(
        honest >= _HONEST_SHARE, f"only {honest:.1%} of Retry-After are within a factor of 2"
    )
    offered = len(flood.outcomes) / seconds
    verdict.facts += [
        f"{capacity:.2f} images/s alone; {offered:.0f} requests/s, {offered / capacity:.0f} times",
        ", ".join(f"{count} times {status}" for status, count in sorted(counts.items())),
        spread("images", [(o.ended_s - o.started_s) * 1000 for o in made]),
        spread("rejections", [(o.ended_s - o.started_s) * 1000 for o in refused]),
        f"Retry-After: {honest:.2%} within a factor of 2 of the actual wait;"
        f" 99th percentile of the factor {percentile(factors, 99) if factors else 0:.2f}",
        f"peak memory: {first_mb:.0f} MB in the first half, {last_mb:.0f} MB in the second",
    ]
    return verdict


def _factor(refused: _Outcome, accepted: Sequence[_Outcome]) -> float:
    """Ratio between Retry-After and the time until all earlier accepted jobs had ended.

    Rounding to seconds and the limits of 1 and 59 s do not count as errors."""
    ends_s = (o.ended_s for o in accepted if o.started_s < refused.started_s)
    true_s = max(0.0, max(ends_s, default=refused.started_s) - refused.started_s)
    advised_s = refused.retry_after_s or 0
    if advised_s <= 0:
        return float("inf")
    low_s = min(max(true_s, 1.0), MAX_RETRY_AFTER_S)
    # Rounded up: 4 s may be any time above 3 s.
    return max(low_s / advised_s, max(advised_s - 1, 1) / low_s)
