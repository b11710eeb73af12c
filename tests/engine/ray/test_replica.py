"""A replica: what it sends, and what it knows of the servers."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

import pytest
from conftest import MODEL, ManualClock

from daguerre.engine.ray.messages import JobRequest, ServerState, pack, unpack
from daguerre.engine.ray.replica import SERVER_TTL_S, Replica
from daguerre.errors import InternalError, NotReadyError
from daguerre.params import JobContext, JobFailed, JobSucceeded, StepCompleted
from engine.harness import until
from engine.ray.fake_cluster import ReplicaFakeEngine, asked

STATE = ServerState(3, {MODEL: 5}, {MODEL: "one"})


def request(context: JobContext | None = None, **fields: Any) -> JobRequest:
    return JobRequest(asked(**fields), context or JobContext(timeout_s=1.0), "server", STATE)


def test_stream_has_reports_and_few_items() -> None:
    """Without a watcher: a report, then the last step, a report and the image in one item."""

    async def main() -> None:
        engine = ReplicaFakeEngine("one")
        replica = Replica(engine, 8, "r1")
        await replica.start()
        items = [item async for item in replica.generate(request())]
        first, last = items
        report = unpack(first[0])  # type: ignore[arg-type]
        assert report and report.capacity == 8 and report.servers == {"server": STATE}
        assert isinstance(last[0], StepCompleted) and isinstance(last[2], JobSucceeded)
        assert engine.contexts[0].timeout_s is None

    asyncio.run(main())


def test_stream_is_never_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """While a job has nothing to send, empty items come."""
    monkeypatch.setattr("daguerre.engine.ray.replica.HEARTBEAT_S", 0.001)

    async def main() -> None:
        engine = ReplicaFakeEngine("one")
        engine.is_held = True
        async with aclosing(Replica(engine, 8, "r1").generate(request())) as items:
            await anext(items)
            assert [await anext(items) for _ in range(3)] == [()] * 3
            engine.is_held = False
            last = [item async for item in items if item]
            assert len(last) == 1 and isinstance(last[0][-1], JobSucceeded)

    asyncio.run(main())


def test_refusal_is_the_last_event() -> None:
    async def main() -> None:
        engine = ReplicaFakeEngine("one")
        engine.refusal = NotReadyError("loading")
        items = [item async for item in Replica(engine, 8, "r1").generate(request())]
        assert isinstance(items[-1][-1], JobFailed)

    asyncio.run(main())


def test_closing_the_stream_cancels_the_job() -> None:
    async def main() -> None:
        engine = ReplicaFakeEngine("one")
        engine.is_held = True
        async with aclosing(Replica(engine, 8, "r1").generate(request())) as items:
            await anext(items)
            waiting = asyncio.ensure_future(anext(items))
            await until(lambda: engine.num_running == 1)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        assert engine.num_running == 0 and engine.num_cancelled == 1

    asyncio.run(main())


def test_servers_are_forgotten() -> None:
    """The newest message of a server counts, for a few seconds."""
    clock = ManualClock(100.0)
    replica = Replica(ReplicaFakeEngine("one"), 8, "r1", clock=clock)
    replica.exchange("a", STATE)
    replica.exchange("a", ServerState(2, {MODEL: 9}))
    replica.exchange("b", ServerState(1, {MODEL: 1}))
    assert replica.num_queued() == 6 and replica.server_names() == ["a", "b"]
    clock.now += SERVER_TTL_S + 1
    assert replica.num_queued() == 0 and replica.server_names() == []


def test_failed_engine() -> None:
    """The replica does not start, and is not healthy."""
    engine = ReplicaFakeEngine("one")
    engine.load_failure = "no memory"
    replica = Replica(engine, 8, "r1")
    with pytest.raises(InternalError, match="no memory"):
        asyncio.run(replica.start())
    with pytest.raises(InternalError, match="no memory"):
        replica.check_health()


def test_report_of_another_version_is_not_read() -> None:
    packed = pack(Replica(ReplicaFakeEngine("one"), 8, "r1").report())
    assert unpack(packed) is not None
    assert unpack({**packed, "version": "9.9.9", "report": b"not a pickle"}) is None
