"""Failures in a Ray cluster, under six clients: no request is lost, and no byte differs.

    python -m bench.soak.cluster [replica worker stopped node]

Needs the extra `daguerre[ray]` and Linux. The cluster has two nodes on this machine. Each case ends
or stops one process, and the next case waits until all replicas are ready again. See
docs/guides/ray.md.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from bench import ray_cluster
from bench.soak.verdict import Verdict
from daguerre import ray_factory
from daguerre.config import Settings
from daguerre.engine.interface import Engine
from daguerre.models.catalog import DEFAULT_MODEL
from daguerre.params import ImageParams

_CLIENTS, _SEEDS = 6, 24
_BEFORE_S, _NUM_REPLICAS = 2.0, 2


def _replica(engine: Engine, address: str) -> int:
    return ray_cluster.replica_pid(engine)


def _worker(engine: Engine, address: str) -> int:
    return ray_cluster.worker_pid(engine)


def _node(engine: Engine, address: str) -> int:
    """The raylet of the node without the head."""
    marker = f"--gcs-address={address}".encode()
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            command = entry.read_bytes()
            if marker in command and b"--node_ip_address=127.0.0.3" in command:
                return int(entry.parent.name)
    raise AssertionError("the second node does not run")


# Name -> the signal, its process, seconds of load after it, and the slowest request allowed.
CASES: dict[str, tuple[signal.Signals, Callable[[Engine, str], int], float, float]] = {
    "replica": (signal.SIGKILL, _replica, 10.0, 5.0),
    "worker": (signal.SIGKILL, _worker, 10.0, 5.0),
    "stopped": (signal.SIGSTOP, _replica, 25.0, 20.0),
    "node": (signal.SIGKILL, _node, 20.0, 15.0),
}


class _Load:
    """Clients that check each image."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._expected: dict[int, str] = {}
        self.elapsed_s: list[float] = []
        self.errors: list[str] = []
        self.num_different = 0

    async def learn(self) -> None:
        for seed in range(1, _SEEDS + 1):
            self._expected[seed] = await self._image(seed)

    async def run(self, seconds: float) -> None:
        end_s = time.monotonic() + seconds
        self.elapsed_s, self.errors, self.num_different = [], [], 0
        await asyncio.gather(*(self._client(number, end_s) for number in range(_CLIENTS)))

    async def _client(self, number: int, end_s: float) -> None:
        while time.monotonic() < end_s:
            number = (number + _CLIENTS) % _SEEDS
            started_s = time.monotonic()
            try:
                digest = await self._image(number + 1)
            except Exception as error:
                self.errors.append(f"{type(error).__name__}: {error}")
                continue
            self.elapsed_s.append(time.monotonic() - started_s)
            self.num_different += digest != self._expected[number + 1]

    async def _image(self, seed: int) -> str:
        params = ImageParams(DEFAULT_MODEL, "a red fox in the snow", seed=seed)
        return hashlib.sha256(await ray_cluster.image_file(self._engine, params)).hexdigest()


async def _measure(engine: Engine, address: str, names: Sequence[str]) -> list[Verdict]:
    await engine.start()
    try:
        await ray_cluster.until_ready(engine, _NUM_REPLICAS)
        load = _Load(engine)
        await load.learn()
        verdicts = []
        for name in names:
            verdicts.append(await _case(engine, address, load, name))
            print(f"{name}\n{verdicts[-1]}", flush=True)
        return verdicts
    finally:
        await engine.stop()


async def _case(engine: Engine, address: str, load: _Load, name: str) -> Verdict:
    signal_number, find, seconds, slowest_s = CASES[name]
    await ray_cluster.until_ready(engine, _NUM_REPLICAS)
    work = asyncio.create_task(load.run(_BEFORE_S + seconds))
    await asyncio.sleep(_BEFORE_S)
    pid = find(engine, address)
    os.kill(pid, signal_number)
    await work
    if signal_number == signal.SIGSTOP:
        with suppress(ProcessLookupError):  # Serve has killed it
            os.kill(pid, signal.SIGKILL)
    slowest = max(load.elapsed_s, default=0.0)
    facts = [f"{len(load.elapsed_s)} images, the slowest in {slowest:.1f} s"]
    verdict = Verdict(facts)
    verdict.expect(not load.errors, f"errors: {load.errors[:3]}")
    verdict.expect(load.num_different == 0, f"{load.num_different} images with other bytes")
    miss = f"a request took {slowest:.1f} s, more than {slowest_s:g} s"
    verdict.expect_figure(slowest <= slowest_s, miss)
    return verdict


def main(arguments: Sequence[str]) -> int:
    names = arguments or list(CASES)
    if unknown := set(names) - set(CASES):
        print(f"no case {', '.join(unknown)}; use some of {', '.join(CASES)}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as home:
        settings = Settings(home=Path(home), threads_per_worker=1)
        with ray_cluster.started(2) as address:
            revision = ray_cluster.deploy(settings, _NUM_REPLICAS)
            engine = ray_factory.server_engine(settings, revision)
            verdicts = asyncio.run(_measure(engine, address, names))
    return 0 if all(verdict.has_passed for verdict in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
