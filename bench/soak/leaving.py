"""Disconnects: many clients leave in the middle of their requests, half of them by a reset.

Their jobs must be cancelled, every file closed, and the next request must be served as usual.
"""

from __future__ import annotations

import asyncio
import time

from bench import process
from bench.load import Answer, Target
from bench.soak.client import ask_once, num_ended, num_jobs, requests, serving, start_all, until
from bench.soak.verdict import Verdict

# Only detects a hang: the machine may be busy.
_FREE_S = 120.0


def measure(num_clients: int) -> Verdict:
    limits = {
        "DAGUERRE_MAX_QUEUED_JOBS": str(2 * num_clients),
        "DAGUERRE_MAX_CONCURRENT_REQUESTS_PER_KEY": "0",
    }
    with serving(**limits) as server:
        return asyncio.run(_measure(server, num_clients))


async def _measure(server: process.ServerProcess, num_clients: int) -> Verdict:
    verdict, target = Verdict(), server.target
    one = requests(1)[0]
    alone = await ask_once(target, one)
    num_files = server.num_files()
    free_s = await _leave_amid(server, num_clients, verdict)
    after = await ask_once(target, one)
    is_closed = await until(lambda: server.num_files() <= num_files)
    verdict.expect(is_closed, f"{server.num_files()} open files, {num_files} before")
    are_counted = await until(lambda: sum(_num_ended(target)) == num_clients + 2)
    verdict.expect(are_counted, "some jobs were not counted")
    num_done, num_cancelled = _num_ended(target)
    verdict.expect_figure(
        num_cancelled > num_clients // 2, "most jobs finished before their clients left"
    )
    verdict.expect(
        _is_same(after, alone), f"the next request got {after.status}, or different bytes"
    )
    verdict.facts += [
        f"{num_clients} clients left; {num_cancelled} jobs cancelled, {num_done - 2} finished",
        f"no job remained {free_s * 1000:.0f} ms later",
        f"open files: {num_files} before, {server.num_files()} after",
        f"the next request: {after.total_ms:.0f} ms, alone before {alone.total_ms:.0f} ms",
    ]
    return verdict


async def _leave_amid(server: process.ServerProcess, num_clients: int, verdict: Verdict) -> float:
    """Seconds until no job remained."""
    clients, answers = await start_all(server.target, requests(num_clients))
    for answer in answers:
        answer.cancel()
    for index, client in enumerate(clients):
        if index % 2:
            client.close()
        else:
            client.reset()
    left_s = time.perf_counter()
    is_free = await until(lambda: num_jobs(server.target) == 0, _FREE_S)
    verdict.expect(is_free, f"{num_jobs(server.target)} jobs remain after {_FREE_S:g} s")
    return time.perf_counter() - left_s


def _num_ended(target: Target) -> tuple[int, int]:
    """Jobs that succeeded, and jobs that were cancelled."""
    return num_ended(target, "succeeded"), num_ended(target, "cancelled")


def _is_same(answer: Answer, alone: Answer) -> bool:
    return answer.status == 200 and answer.digest == alone.digest
