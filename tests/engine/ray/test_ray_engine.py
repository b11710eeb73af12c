"""The engine of a server whose jobs run in replicas: order, limits, equal images."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest
from conftest import MODEL

from daguerre.engine.ray.messages import PackedReport, Report, pack
from daguerre.engine.ray.replica_table import OUTAGE_S, REFERENCE_HOLD_S
from daguerre.errors import (
    NotFoundError,
    NotReadyError,
    QueueFullError,
    QueueTooLongError,
    UnavailableError,
)
from daguerre.imagefile.encoding import encode
from daguerre.params import (
    ImageParams,
    JobContext,
    JobFailed,
    JobQueued,
    JobSucceeded,
    StepCompleted,
)
from engine.harness import error, events, run, until
from engine.ray.fake_cluster import CAPACITY, FakeCluster, asked, last_event, serving

WATCHED = JobContext("a", "r1", wants_progress=True)


def test_image_is_that_of_the_replica() -> None:
    """The file is encoded in the replica, with the prompt if the server wants that."""

    async def main() -> None:
        cluster = FakeCluster()
        fake = await cluster.add("r1")
        async with serving(cluster, embed_prompt=True) as engine:
            last = await last_event(engine, asked(7))
            assert isinstance(last, JobSucceeded)
            local = (await events(fake, asked(7)))[-1]
            assert isinstance(local, JobSucceeded)
            assert last.image.file == encode(local.image, with_prompt=True)
            assert last.image.pixels.size == 0
            assert engine.stats().num_succeeded == 1

    run(main())


def test_steps_travel_only_if_watched() -> None:
    """Without a watcher only the last step and those with a preview arrive."""

    async def main() -> None:
        cluster = FakeCluster()
        await cluster.add("r1")
        async with serving(cluster) as engine:
            seen = await events(engine, asked(num_previews=1))
            steps = [one for one in seen if isinstance(one, StepCompleted)]
            assert [step.index for step in steps] == [2, 4]
            assert steps[0].preview is not None
            seen = await events(engine, asked(), WATCHED)
            assert [one.index for one in seen if isinstance(one, StepCompleted)] == [1, 2, 3, 4]
            assert isinstance(seen[0], JobQueued)

    run(main())


def test_jobs_wait_in_the_server_in_fair_order() -> None:
    """Replicas get as many jobs as they run; tenants alternate in the queue."""

    async def main() -> None:
        cluster = FakeCluster()
        fake = await cluster.add("r1")
        fake.is_held = True
        async with serving(cluster) as engine:
            tenants = "aaaab"
            tasks = [
                asyncio.create_task(last_event(engine, asked(n + 1), JobContext(tenant)))
                for n, tenant in enumerate(tenants)
            ]
            await until(lambda: engine.stats().num_queued == len(tenants) - CAPACITY)
            assert engine.stats().num_running == CAPACITY
            fake.is_held = False
            await asyncio.gather(*tasks)
            order = [request.context.tenant for request in cluster.requests]
            assert order.index("b") == CAPACITY

    run(main())


def test_queue_is_bounded_over_all_servers() -> None:
    """Servers of one application share the limit, and the expected wait counts all jobs."""

    async def main() -> None:
        cluster = FakeCluster()
        fake = await cluster.add("r1")
        fake.is_held = True
        limit = 4 + CAPACITY
        async with serving(cluster) as one, serving(cluster) as other:
            tasks = [asyncio.create_task(last_event(one, asked(n))) for n in range(1, limit)]
            await until(lambda: other.stats().backlog_s > 0)
            await until(lambda: other.stats().backlog_s == one.stats().backlog_s)
            with pytest.raises(QueueTooLongError):
                await last_event(other, asked(), JobContext(timeout_s=1.0))
            tasks.append(asyncio.create_task(last_event(one, asked(limit))))
            await until(lambda: one.stats().num_queued == limit - CAPACITY)
            await until(lambda: other.stats().backlog_s == one.stats().backlog_s)
            for full in (one, other):
                with pytest.raises(QueueFullError, match=f"already has {limit} jobs"):
                    await last_event(full, asked())
            fake.is_held = False
            ends = await asyncio.gather(*tasks)
            assert all(isinstance(end, JobSucceeded) for end in ends)

    run(main())


def test_cancelled_job_leaves_the_replica() -> None:
    async def main() -> None:
        cluster = FakeCluster()
        fake = await cluster.add("r1")
        fake.is_held = True
        async with serving(cluster) as engine:
            async with aclosing(engine.generate(asked(), WATCHED)) as stream:
                await anext(stream)
                await until(lambda: fake.num_running == 1)
            await until(lambda: fake.num_running == 0)
            assert engine.stats().num_cancelled == 1 and fake.num_cancelled == 1

    run(main())


def test_unlike_replicas_are_not_mixed() -> None:
    """A replica with another fingerprint gets no job, also if it loads the model late."""

    async def main() -> None:
        cluster = FakeCluster()
        await cluster.add("r1", "one")
        await cluster.add("r2", "one")
        other = await cluster.add("r3", "two")
        late = await cluster.add("r4", "two")
        late.is_loaded = False
        async with serving(cluster) as engine:
            assert engine.models()[0].fingerprint == "one"
            mismatched = [worker.mismatched_models for worker in engine.stats().workers]
            assert mismatched == [(), (), (MODEL,), ()]
            for name in ("r1", "r2"):  # so that the late one is the least busy
                cluster.replicas[name].num_streams += 1
            late.is_loaded = True
            ends = [await last_event(engine, asked(n)) for n in range(1, 4)]
            assert all(isinstance(end, JobSucceeded) for end in ends)
            assert other.params == []
            assert engine.stats().loaded == {}  # what servers compare in their database
            assert engine.stats().num_succeeded == 3
            assert engine.models()[0].fingerprint == "one"

    run(main())


def test_reference_changes_when_no_replica_can_match_it() -> None:
    """Jobs wait for a while for a replica like the lost ones, and then use the others."""

    async def main() -> None:
        cluster = FakeCluster()
        await cluster.add("r1", "one")
        await cluster.add("r2", "one")
        async with serving(cluster) as engine:
            await cluster.add("r3", "two")
            for name in ("r1", "r2"):
                cluster.kill(name)
            await until(lambda: len(engine.stats().workers) == 1)
            task = asyncio.create_task(last_event(engine, asked()))
            await until(lambda: engine.stats().num_queued == 1)
            cluster.clock.now += REFERENCE_HOLD_S + 1
            assert isinstance(await task, JobSucceeded)
            assert engine.models()[0].fingerprint == "two"

    run(main())


def test_servers_agree_on_the_reference() -> None:
    """A server that starts later uses the fingerprint of the others, not that of the majority."""

    async def main() -> None:
        cluster = FakeCluster()
        await cluster.add("r1", "one")
        async with serving(cluster) as first:
            await until(lambda: first.models()[0].fingerprint == "one")
            await cluster.add("r2", "two")
            await cluster.add("r3", "two")
            await until(lambda: "one" in str(cluster.replicas["r1"].replica.report().servers))
            async with serving(cluster) as second:
                assert second.models()[0].fingerprint == "one"

    run(main())


def test_refusal_of_one_replica_is_retried_on_another() -> None:
    """If every replica refuses, the client gets the refusal, not an internal error."""

    async def main() -> None:
        cluster = FakeCluster()
        first, second = await cluster.add("r1"), await cluster.add("r2")
        async with serving(cluster) as engine:
            first.refusal = UnavailableError("it cannot load the model")
            assert isinstance(await last_event(engine, asked()), JobSucceeded)
            second.refusal = first.refusal
            failure = error(await last_event(engine, asked()))
            assert isinstance(failure, UnavailableError)
            assert str(failure) == "it cannot load the model"

    run(main())


def test_not_ready_without_replicas() -> None:
    """The reason is in the statistics; requests get 503, also for unknown models."""

    async def main() -> None:
        cluster = FakeCluster()
        async with serving(cluster) as engine:
            assert not engine.stats().is_ready and engine.models() == ()
            assert "no replica answers" in engine.stats().problem
            with pytest.raises(NotReadyError, match="no replica answers"):
                await last_event(engine, asked())
            await cluster.add("r1")
            await until(lambda: engine.stats().is_ready)
            with pytest.raises(NotFoundError, match="served models: " + MODEL):
                await last_event(engine, ImageParams("other", "a fox"))
            cluster.kill("r1")
            cluster.clock.now += OUTAGE_S + 1
            await until(lambda: not engine.stats().is_ready)

    run(main())


def test_replicas_of_another_version_get_no_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        cluster = FakeCluster()
        await cluster.add("r1")
        async with serving(cluster) as engine:
            monkeypatch.setattr("daguerre.engine.ray.messages.__version__", "9.9.9")
            reports = cluster.reports()
            monkeypatch.undo()
            monkeypatch.setattr(cluster, "reports", lambda: reports)
            monkeypatch.setattr(cluster, "exchange", lambda *_: asyncio.Event().wait())
            cluster.clock.now += OUTAGE_S + 1
            await until(lambda: "daguerre 9.9.9" in engine.stats().problem)
            with pytest.raises(NotReadyError, match=r"9\.9\.9"):
                await last_event(engine, asked())

    run(main())


def test_replica_of_another_version_beside_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its first report excludes it, and the job runs on another."""

    def pack_as_other(report: Report) -> PackedReport:
        packed = pack(report)
        if report.replica == "r1":
            packed["version"] = "9.9.9"
        return packed

    async def main() -> None:
        cluster = FakeCluster()
        await cluster.add("r1")
        await cluster.add("r2")
        async with serving(cluster) as engine:
            monkeypatch.setattr("daguerre.engine.ray.replica.pack", pack_as_other)
            assert isinstance(await last_event(engine, asked()), JobSucceeded)
            first, second = cluster.requests
            assert "r1" not in first.excluded and "r1" in second.excluded

    run(main())


def test_works_without_the_router() -> None:
    """With Serve's own router, replicas are known from streams and exchanges."""

    async def main() -> None:
        cluster = FakeCluster(has_router=False)
        await cluster.add("r1")
        async with serving(cluster) as engine:
            assert isinstance(await last_event(engine, asked()), JobSucceeded)

    run(main())


def test_drain_and_stop() -> None:
    """Accepted jobs end before `drain` returns; `stop` fails those that are left."""

    async def main() -> None:
        cluster = FakeCluster()
        fake = await cluster.add("r1")
        async with serving(cluster) as engine:
            fake.is_held = True
            task = asyncio.create_task(last_event(engine, asked()))
            await until(lambda: fake.num_running == 1)
            draining = asyncio.create_task(engine.drain())
            await asyncio.sleep(0)
            with pytest.raises(NotReadyError, match="shutting down"):
                await last_event(engine, asked())
            assert not draining.done()
            await engine.stop()
            end = await task
            assert isinstance(end, JobFailed) and isinstance(end.error, UnavailableError)
            await draining
            await until(lambda: fake.num_running == 0)

    run(main())
