"""Graceful shutdown: SIGTERM while many requests are queued and running.

Each must return the same bytes as when it ran alone. A new request must get 503 with Retry-After,
and the server must exit with status 0.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time

from bench import process
from bench.load import Answer, Asked, run_phase
from bench.soak.client import ask_once, requests, serving, start_all
from bench.soak.verdict import Verdict, spread

_END_S = 300.0


def measure(num_requests: int) -> Verdict:
    verdict = Verdict()
    with serving() as server:
        alone = run_phase(server.target, requests(num_requests), concurrency=1)
        expected = {answer.asked: answer.digest for answer in alone.answers}
        answers, newcomer = asyncio.run(_ended_amid(server, [*expected]))
        ended_s = time.perf_counter()
        status = server.wait(_END_S)
    for answer in answers:
        verdict.expect(answer.status == 200, f"answered {answer.status}: {answer.body[:200]!r}")
    same = sum(a.status == 200 and a.digest == expected[a.asked] for a in answers)
    verdict.expect(same == num_requests, f"{num_requests - same} answers with different bytes")
    verdict.expect(status == 0, f"the server exited with status {status}")
    if newcomer is not None:  # None if all requests had finished before it
        is_refused = newcomer.status == 503 and bool(newcomer.retry_after_s)
        verdict.expect(is_refused, f"a new request got {newcomer.status}")
    verdict.facts += [
        f"{num_requests} requests in progress at SIGTERM, {same} with the same bytes as alone",
        spread("answered", [answer.total_ms for answer in answers]),
        f"a new request got {newcomer.status if newcomer else 'no connection'}",
        f"status {status}, {(time.perf_counter() - ended_s) * 1000:.0f} ms after the last answer",
    ]
    return verdict


async def _ended_amid(
    server: process.ServerProcess, asked: list[Asked]
) -> tuple[list[Answer], Answer | None]:
    connections, in_progress = await start_all(server.target, asked)
    os.kill(server.pid, signal.SIGTERM)
    await asyncio.sleep(0.3)
    try:
        newcomer = await ask_once(server.target, asked[0])
    except (OSError, asyncio.IncompleteReadError):
        newcomer = None
    answers = await asyncio.gather(*in_progress)
    for connection in connections:
        connection.close()
    return answers, newcomer
