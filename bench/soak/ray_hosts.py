"""Failures of a Ray cluster of several hosts, under six clients of two servers.

    python -m bench.soak.ray_hosts [equal revision link host server head]

Each request has an Idempotency-Key. A client whose server does not answer repeats its request at
the other server. All files must be those of one machine. Needs PostgreSQL, the extra
`daguerre[ray]`, and what `bench.soak.cluster_hosts` needs.
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

from bench import process
from bench.load import Asked, Target, run_phase
from bench.serving import PROMPTS
from bench.soak import hosts
from bench.soak.client import ask_with_key
from bench.soak.cluster_hosts import RayHosts
from bench.soak.verdict import Verdict
from daguerre.models.catalog import DEFAULT_MODEL

# The tests have a PostgreSQL server.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))
import postgresql

_CLIENTS, _NUM_SEEDS = 6, 40
_BEFORE_S, _AFTER_S, _PATIENCE_S, _POLL_S = 3.0, 10.0, 300.0, 0.1
_OUTAGE_S = 20.0  # of a link or a head
_ORPHANS_S = 10.0  # for the replicas to drop the jobs of a lost server


class _Load:
    """Clients that repeat a request at the other server if theirs does not answer.

    `expected` has each request, and the digest of its file.
    """

    def __init__(self, targets: Sequence[Target], expected: Mapping[Asked, str]) -> None:
        self._targets, self.expected = targets, expected
        self._asked, self._numbers = itertools.cycle(expected), itertools.count()
        self._is_over = False
        self.verdict = Verdict()
        self._elapsed_s: list[float] = []
        self._num_repeated = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The failure in its body comes some seconds after the start, and before the end."""
        clients = asyncio.gather(*(self._client() for _ in range(_CLIENTS)))
        await asyncio.sleep(_BEFORE_S)
        yield
        await asyncio.sleep(_AFTER_S)
        self._is_over = True
        await clients

    async def _client(self) -> None:
        while not self._is_over:
            await self.request(next(self._asked))

    async def request(self, asked: Asked) -> None:
        key, started_s = secrets.token_hex(8), time.monotonic()
        for number in itertools.count(next(self._numbers)):
            target = self._targets[number % len(self._targets)]
            try:
                answer = await ask_with_key(target, asked, key)
                break
            except (OSError, asyncio.IncompleteReadError):
                self._num_repeated += 1
                await asyncio.sleep(_POLL_S)
        self._elapsed_s.append(time.monotonic() - started_s)
        same = answer.status == 200 and answer.digest == self.expected[asked]
        self.verdict.expect(same, f"{answer.status}, or other bytes: {answer.body[:200]!r}")

    def check(self, slowest_s: float) -> None:
        slowest = max(self._elapsed_s)
        self.verdict.facts += [
            f"{len(self._elapsed_s)} images, the slowest in {slowest:.1f} s",
            f"{self._num_repeated} requests repeated at the other server",
        ]
        miss = f"a request took {slowest:.1f} s, more than {slowest_s:g} s"
        self.verdict.expect_figure(slowest <= slowest_s, miss)


async def _equal(cluster: RayHosts, load: _Load) -> None:
    """Each seed once, through both servers."""
    await asyncio.gather(*(load.request(asked) for asked in load.expected))


async def _revision(cluster: RayHosts, load: _Load) -> None:
    """A new revision replaces the old one."""
    async with load.running():
        await asyncio.to_thread(cluster.deploy, "--new-revision")


async def _link(cluster: RayHosts, load: _Load) -> None:
    """The network of a host with a replica is down for a while."""
    async with load.running():
        cluster.nodes[1].set_link(False)
        await asyncio.sleep(_OUTAGE_S)
        cluster.nodes[1].set_link(True)


async def _host(cluster: RayHosts, load: _Load) -> None:
    """A host with a replica is switched off, and on again."""
    async with load.running():
        cluster.nodes[1].power_off()
        await asyncio.sleep(_OUTAGE_S)
        cluster.nodes[1].power_on()
        await asyncio.to_thread(cluster.join, cluster.nodes[1], 2)


async def _head(cluster: RayHosts, load: _Load) -> None:
    """The head is switched off, and on again; Redis has its state."""
    async with load.running():
        cluster.head.power_off()
        await asyncio.sleep(_OUTAGE_S)
        cluster.head.power_on()
        await asyncio.to_thread(cluster.start_head)


async def _server(cluster: RayHosts, load: _Load) -> None:
    """A server is killed; its jobs must end in the replicas."""
    async with load.running():
        cluster.kill_server(1)
    await asyncio.to_thread(cluster.start_server, 1)
    target, asked = cluster.targets[1], next(iter(load.expected))
    lost = [ask_with_key(target, asked, secrets.token_hex(8)) for _ in range(_NUM_SEEDS)]
    requests = asyncio.gather(*lost, return_exceptions=True)
    await _until(lambda: cluster.num_jobs(0) > 0)
    cluster.kill_server(1)
    started_s = time.monotonic()
    await _until(lambda: cluster.num_jobs(0) == 0)
    elapsed_s = time.monotonic() - started_s
    load.verdict.facts.append(f"the replicas dropped the jobs after {elapsed_s:.1f} s")
    load.verdict.expect_figure(elapsed_s <= _ORPHANS_S, f"more than {_ORPHANS_S:g} s")
    await requests
    await asyncio.to_thread(cluster.start_server, 1)


# Name -> the case, and the slowest request allowed in s.
CASES: dict[str, tuple[Callable[[RayHosts, _Load], Awaitable[None]], float]] = {
    "equal": (_equal, 30.0),
    "revision": (_revision, 10.0),
    "link": (_link, 20.0),
    "host": (_host, 20.0),
    "server": (_server, 10.0),
    "head": (_head, 30.0),
}


async def _measure(cluster: RayHosts, name: str, expected: Mapping[Asked, str]) -> Verdict:
    case, slowest_s = CASES[name]
    load = _Load(cluster.targets, expected)
    async with asyncio.timeout(_PATIENCE_S):
        await case(cluster, load)
        for number in range(len(cluster.targets)):
            await _until(lambda: cluster.num_workers(number) == len(cluster.nodes))  # noqa: B023
    load.check(slowest_s)
    return load.verdict


async def _until(is_so: Callable[[], bool]) -> None:
    while not await asyncio.to_thread(is_so):
        await asyncio.sleep(_POLL_S)


def _files_of_one_machine(folder: Path) -> dict[Asked, str]:
    """Each request, and the digest of its file from one server without Ray."""
    requests = [
        Asked(DEFAULT_MODEL, PROMPTS[seed % len(PROMPTS)], seed)
        for seed in range(1, _NUM_SEEDS + 1)
    ]
    with process.serving(folder, {"DAGUERRE_THREADS_PER_WORKER": "1"}) as server:
        alone = run_phase(server.target, requests, concurrency=1)
    return {answer.asked: answer.digest for answer in alone.answers}


def main(arguments: Sequence[str]) -> int:
    names = list(arguments) or list(CASES)
    if unknown := set(names) - set(CASES):
        print(f"no case {', '.join(unknown)}; use some of {', '.join(CASES)}", file=sys.stderr)
        return 2
    if reason := hosts.why_none() or postgresql.why_none():
        print(f"skipped: {reason}")
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # which ends the hosts
    has_passed = True
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        expected = _files_of_one_machine(folder / "one")
        database = stack.enter_context(postgresql.started())
        cluster = RayHosts(stack, folder, database.new_database())
        for name in names:
            if name == "head" and not cluster.has_redis:
                print("head: skipped: redis-server is not installed")
                continue
            verdict = asyncio.run(_measure(cluster, name, expected))
            print(f"{name}\n{verdict}", flush=True)
            has_passed &= verdict.has_passed
    return 0 if has_passed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
