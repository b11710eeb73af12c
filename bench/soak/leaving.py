"""Whether clients that leave in the middle leave anything behind.

Many requests are sent, and all their clients go at once, half of them by a reset. Their jobs must
be gone soon, every file closed, and the next request must be made as if nothing had been.
"""

from __future__ import annotations

import asyncio
import time

from bench import process
from bench.load import Answer
from bench.soak.client import Connection, ask_once, num_ended, num_jobs, requests, serving, until
from bench.soak.verdict import Verdict

# Time for the forward under way, on a machine that may be busy.
_FREE_S = 10.0


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
    verdict.expect(is_closed, f"{server.num_files()} files are open, {num_files} before")
    num_done, num_cancelled = num_ended(target, "done"), num_ended(target, "cancelled")
    verdict.expect(num_done + num_cancelled == num_clients + 2, "not every job was counted")
    verdict.expect(num_cancelled > num_clients // 2, "most jobs were done before clients left")
    verdict.expect(_is_same(after, alone), f"the next request got {after.status}, or other bytes")
    verdict.facts += [
        f"{num_clients} clients left; {num_cancelled} jobs cancelled, {num_done - 2} were done",
        f"no job left {free_s * 1000:.0f} ms later",
        f"open files: {num_files} before, {server.num_files()} after",
        f"the next request: {after.total_ms:.0f} ms, alone before {alone.total_ms:.0f} ms",
    ]
    return verdict


async def _leave_amid(server: process.ServerProcess, num_clients: int, verdict: Verdict) -> float:
    """Seconds until no job was left."""
    clients = [await Connection.open(server.target) for _ in range(num_clients)]
    for client, asked in zip(clients, requests(num_clients), strict=True):
        client.send(asked)
    await until(lambda: num_jobs(server.target) >= num_clients * 3 // 4)
    for index, client in enumerate(clients):
        if index % 2:
            client.close()
        else:
            client.reset()
    left_s = time.perf_counter()
    is_free = await until(lambda: num_jobs(server.target) == 0, _FREE_S)
    verdict.expect(is_free, f"{num_jobs(server.target)} jobs are left after {_FREE_S:g} s")
    return time.perf_counter() - left_s


def _is_same(answer: Answer, alone: Answer) -> bool:
    return answer.status == 200 and answer.digest == alone.digest
