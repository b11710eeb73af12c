"""A cluster in one process: real replicas around engines without a model, and a simple router.

Every message is pickled, as Ray does. Replicas can be killed, hang, and draw other images.
"""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from conftest import MODEL, FakeEngine, ManualClock

from daguerre.engine.interface import EngineStats
from daguerre.engine.ray.handle import ReplicaLostError
from daguerre.engine.ray.messages import JobRequest, PackedReport, ServerState, StreamItem
from daguerre.engine.ray.ray_engine import RayEngine
from daguerre.engine.ray.replica import Replica
from daguerre.params import DEFAULT_CONTEXT, Event, ImageParams, JobContext
from engine.harness import until

CAPACITY = 2


class ReplicaFakeEngine(FakeEngine):
    """An engine in one replica. `fingerprint` is known when the model is loaded.

    Jobs with one of `held_seeds` never end.
    """

    def __init__(self, fingerprint: str, held_seeds: Collection[int] = ()) -> None:
        super().__init__()
        self.fingerprint, self.is_loaded, self.held_seeds = fingerprint, True, held_seeds
        self.num_held = 0

    async def generate(
        self, params: ImageParams, context: JobContext = DEFAULT_CONTEXT
    ) -> AsyncGenerator[Event, None]:
        if params.seed in self.held_seeds:
            self.num_held += 1
            await asyncio.Event().wait()
        async for event in super().generate(params, context):
            yield event

    def stats(self) -> EngineStats:
        stats = super().stats()
        loaded = {MODEL: self.fingerprint} if self.is_loaded else {}
        workers = tuple(replace(one, loaded_models=tuple(loaded)) for one in stats.workers)
        return replace(stats, loaded=loaded, workers=workers)


@dataclass(eq=False)
class FakeReplica:
    name: str
    engine: ReplicaFakeEngine
    replica: Replica
    dead: asyncio.Event = field(default_factory=asyncio.Event)
    is_hung: bool = False
    num_streams: int = 0

    def report(self) -> PackedReport | None:
        """What the controller gets; None if the replica hangs."""
        if self.is_hung:
            return None
        report: PackedReport = _travelled(self.replica.exchange("controller", ServerState()))
        return report


@dataclass(eq=False)
class FakeCluster:
    """Implements `ReplicaHandle`."""

    clock: ManualClock = field(default_factory=lambda: ManualClock(1000.0))
    replicas: dict[str, FakeReplica] = field(default_factory=dict)
    requests: list[JobRequest] = field(default_factory=list)
    num_items: int = 0  # of all streams
    has_router: bool = True

    async def add(
        self, name: str, fingerprint: str = "one", held_seeds: Collection[int] = ()
    ) -> ReplicaFakeEngine:
        engine = ReplicaFakeEngine(fingerprint, held_seeds)
        replica = Replica(engine, CAPACITY, name, "node", self.clock)
        await replica.start()
        self.replicas[name] = FakeReplica(name, engine, replica)
        return engine

    def kill(self, name: str) -> None:
        self.replicas.pop(name).dead.set()

    def reports(self) -> Mapping[str, PackedReport | None] | None:
        if not self.has_router:
            return None
        return {name: one.report() for name, one in self.replicas.items()}

    async def exchange(self, server: str, state: ServerState) -> PackedReport:
        replica = self._least_busy(frozenset())
        report: PackedReport = _travelled(replica.replica.exchange(server, _travelled(state)))
        return report

    async def generate(self, request: JobRequest) -> AsyncGenerator[StreamItem, None]:
        self.requests.append(request)
        replica = self._least_busy(request.excluded)
        replica.num_streams += 1
        try:
            async with aclosing(replica.replica.generate(_travelled(request))) as items:
                async for item in _until_dead(items, replica):
                    self.num_items += 1
                    yield _travelled(item)
        finally:
            replica.num_streams -= 1

    def _least_busy(self, excluded: frozenset[str]) -> FakeReplica:
        found = [one for name, one in self.replicas.items() if name not in excluded]
        if not found:
            raise ReplicaLostError("no replica is left")
        return min(found, key=lambda one: one.num_streams)


async def _until_dead(
    items: AsyncIterator[StreamItem], replica: FakeReplica
) -> AsyncGenerator[StreamItem, None]:
    death = asyncio.create_task(replica.dead.wait())
    try:
        while True:
            item = asyncio.ensure_future(anext(items))
            try:
                await asyncio.wait((item, death), return_when=asyncio.FIRST_COMPLETED)
                if death.done():
                    raise ReplicaLostError("killed")
                if replica.is_hung:
                    await asyncio.Event().wait()
            finally:
                item.cancel()
                await asyncio.gather(item, return_exceptions=True)
            try:
                yield item.result()
            except StopAsyncIteration:
                return
    finally:
        death.cancel()


def _travelled(message: Any) -> Any:
    return pickle.loads(pickle.dumps(message))


@asynccontextmanager
async def serving(cluster: FakeCluster, **settings: Any) -> AsyncIterator[RayEngine]:
    """A server's engine that knows all replicas."""
    engine = RayEngine(cluster, **{"max_queued_jobs": 4, "clock": cluster.clock, **settings})
    await engine.start()
    try:
        num_workers = len(cluster.replicas)
        await until(lambda: len(engine.stats().workers) == num_workers)
        yield engine
    finally:
        await engine.stop()


def asked(seed: int = 1, **fields: Any) -> ImageParams:
    return ImageParams(MODEL, "a red fox", seed=seed, width=64, height=64, **fields)


async def last_event(
    engine: RayEngine, params: ImageParams, context: JobContext = DEFAULT_CONTEXT
) -> Event:
    return [event async for event in engine.generate(params, context)][-1]
