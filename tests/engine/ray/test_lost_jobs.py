"""Jobs whose replica ends, hangs or is removed."""

from __future__ import annotations

import asyncio

import pytest

from daguerre.engine.ray import job_runner
from daguerre.engine.ray.replica_table import SILENCE_S
from daguerre.errors import InternalError
from daguerre.params import JobContext, JobSucceeded, StepCompleted
from engine.harness import error, events, run, until
from engine.ray.fake_cluster import FakeCluster, asked, last_event, serving

WATCHED = JobContext("a", "r1", wants_progress=True)


@pytest.fixture(autouse=True)
def _no_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_runner, "_RETRY_DELAY_S", 0.0)


def test_lost_replica_costs_no_request() -> None:
    """The jobs of a lost replica run again on others, and no step is reported twice."""

    async def main() -> None:
        cluster = FakeCluster()
        first, second = await cluster.add("r1"), await cluster.add("r2")
        first.is_held = True
        async with serving(cluster) as engine:
            tasks = [asyncio.create_task(events(engine, asked(n), WATCHED)) for n in (1, 2)]
            await until(lambda: first.num_running == 1 and second.num_running <= 1)
            cluster.kill("r1")
            for seen in await asyncio.gather(*tasks):
                assert isinstance(seen[-1], JobSucceeded)
                assert [s.index for s in seen if isinstance(s, StepCompleted)] == [1, 2, 3, 4]

    run(main())


def test_job_that_kills_replicas_fails_alone() -> None:
    """It gets an error after three losses. The other jobs succeed."""

    async def main() -> None:
        cluster = FakeCluster()
        both, killer = (1, 666), (666,)
        fake = await cluster.add("r0", held_seeds=both)
        async with serving(cluster) as engine:
            tasks = [asyncio.create_task(last_event(engine, asked(seed))) for seed in both]
            await until(lambda: fake.num_held == 2)
            for number in range(1, job_runner.MAX_LOSSES):
                following = await cluster.add(f"r{number}", held_seeds=killer)
                cluster.kill(f"r{number - 1}")
                await until(lambda following=following: following.num_held)  # type: ignore[misc]
            await cluster.add("last")
            cluster.kill(f"r{job_runner.MAX_LOSSES - 1}")
            good, bad = await asyncio.gather(*tasks)
            assert isinstance(error(bad), InternalError) and "3 replicas" in str(error(bad))
            assert isinstance(good, JobSucceeded)

    run(main())


def test_suspects_run_one_at_a_time() -> None:
    """After two losses, a job runs while no other one with two losses does."""

    async def main() -> None:
        cluster = FakeCluster()
        (await cluster.add("r0")).is_held = True
        async with serving(cluster) as engine:
            tasks = [asyncio.create_task(last_event(engine, asked(n))) for n in (1, 2)]
            for number in (1, 2):
                before = cluster.replicas[f"r{number - 1}"].engine
                await until(lambda before=before: before.num_running == 2)  # type: ignore[misc]
                (await cluster.add(f"r{number}")).is_held = True
                cluster.kill(f"r{number - 1}")
            last = cluster.replicas["r2"].engine
            await until(lambda: last.num_running == 1)
            assert engine.stats().num_queued == 1
            last.is_held = False
            assert all(isinstance(one, JobSucceeded) for one in await asyncio.gather(*tasks))

    run(main())


@pytest.mark.parametrize("has_begun", [False, True])
@pytest.mark.parametrize("is_forgotten", [False, True])
def test_silent_replica_loses_its_jobs(is_forgotten: bool, has_begun: bool) -> None:
    """A replica that hangs is silent, and its jobs run on others, if others report.

    Also if Serve has removed the replica before it was silent.
    """

    async def main() -> None:
        cluster = FakeCluster()
        fake = await cluster.add("r1")
        fake.is_held = True
        async with serving(cluster) as engine:
            cluster.replicas["r1"].is_hung = not has_begun
            task = asyncio.create_task(last_event(engine, asked()))
            await until(lambda: fake.num_running == has_begun and len(cluster.requests) == 1)
            cluster.replicas["r1"].is_hung = True
            await cluster.add("r2")
            if is_forgotten:
                del cluster.replicas["r1"]
                await until(lambda: len(engine.stats().workers) == 1)
            cluster.clock.now += SILENCE_S + 1
            assert isinstance(await task, JobSucceeded)
            assert cluster.requests[-1].excluded == (set() if is_forgotten else {"r1"})

    run(main())


def test_slow_job_of_a_removed_replica_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Serve removes a replica that ends its jobs before it stops; their streams are not silent."""
    monkeypatch.setattr("daguerre.engine.ray.replica.HEARTBEAT_S", 0.01)

    async def main() -> None:
        cluster = FakeCluster()
        fake = await cluster.add("r1")
        fake.is_held = True
        async with serving(cluster) as engine:
            task = asyncio.create_task(last_event(engine, asked()))
            await until(lambda: fake.num_running == 1)
            await cluster.add("r2")
            del cluster.replicas["r1"]
            for _ in range(4):
                cluster.clock.now += SILENCE_S / 2
                heard = cluster.num_items + 2
                await until(lambda heard=heard: cluster.num_items >= heard)  # type: ignore[misc]
            fake.is_held = False
            assert isinstance(await task, JobSucceeded)
            assert len(cluster.requests) == 1

    run(main())


def test_lost_job_is_revoked_before_it_runs_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_runner, "_RETRY_DELAY_S", 600.0)

    async def main() -> None:
        cluster = FakeCluster()
        fake = await cluster.add("r1")
        fake.is_held = True
        async with serving(cluster) as engine:
            task = asyncio.create_task(last_event(engine, asked()))
            await until(lambda: fake.num_running == 1)
            await cluster.add("r2")
            cluster.kill("r1")
            await until(lambda: fake.num_running == 0)
            cluster.clock.now += SILENCE_S + 1
            assert isinstance(await task, JobSucceeded)

    run(main())
