"""Several workers: how they share jobs, and what happens when one dies or differs."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import aclosing

import pytest

from daguerre.engine.workers.process_engine import ProcessEngine
from daguerre.engine.workers.slot import MAX_FAILED_STARTS
from daguerre.errors import InternalError, NotReadyError, QueueFullError
from daguerre.params import JobContext, JobQueued, StepCompleted
from engine.faulty import NEVER, NUM_STEPS, asked, engine, pids, prompt
from engine.harness import error, events, pixels, ready, until
from engine.workers.test_process_engine import STEPS, alone, is_gone, run

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
TWO = ("", "")


async def all_ready(process: ProcessEngine) -> None:
    await until(lambda: all(worker.is_ready for worker in process.stats().workers))


def test_killed_under_load() -> None:
    """While a killed worker is replaced, the other works on: every request gets the right bytes.

    Each step is reported once.
    """
    wanted = [asked(seed) for seed in range(1, 49)]
    expected = alone(wanted)
    found: dict[int, bytes] = {}

    async def client(process: ProcessEngine, left: list[int]) -> None:
        while left:
            place = left.pop()
            *before, last = await events(process, wanted[place])
            assert isinstance(before[0], JobQueued)
            assert [event for event in before if not isinstance(event, JobQueued)] == STEPS
            found[place] = pixels(last)

    async def kill(process: ProcessEngine) -> None:
        for turn, count in enumerate((5, 20, 35)):
            await until(lambda count=count: len(found) >= count)  # type: ignore[misc]
            await all_ready(process)
            os.kill(pids(process)[turn % 2], signal.SIGKILL)

    async def main() -> None:
        async with ready(engine(0.01, TWO)) as process:
            left = list(range(len(wanted)))
            await asyncio.gather(kill(process), *(client(process, left) for _ in range(8)))
            assert [found[place] for place in range(len(wanted))] == expected
            await until(lambda: process.stats().num_restarts == 3)
            await all_ready(process)
            stats = process.stats()
            assert (stats.num_succeeded, stats.num_failed, stats.num_restarts) == (
                48,
                0,
                3,
            )
            assert [worker.num_restarts for worker in stats.workers] == [2, 1]
            assert (stats.num_queued, stats.num_running) == (0, 0)
            assert [worker.num_jobs for worker in stats.workers] == [0, 0]

    run(main())


def test_both_work() -> None:
    """Both workers run jobs at once, and the time between two finished jobs is half of one's."""

    async def main() -> None:
        async with ready(engine(0.05, TWO)) as process:
            await all_ready(process)
            jobs = [asyncio.create_task(events(process, asked(seed))) for seed in range(1, 9)]
            await until(lambda: process.stats().num_succeeded >= 4)
            assert len(pids(process)) == 2
            assert all(worker.num_jobs for worker in process.stats().workers)
            await asyncio.gather(*jobs)
            alone_s = process.stats().job_interval_s
            os.kill(pids(process)[0], signal.SIGKILL)
            await until(lambda: sum(worker.is_ready for worker in process.stats().workers) == 1)
            assert process.stats().job_interval_s == pytest.approx(2 * alone_s)
            await all_ready(process)
            assert process.stats().job_interval_s == pytest.approx(alone_s)
        assert all(is_gone(pid) for pid in pids(process))

    run(main())


def test_one_hangs(caplog: pytest.LogCaptureFixture) -> None:
    """While one worker hangs, the other runs all other jobs. The job fails on its second hang."""

    async def main() -> None:
        async with ready(engine(0.0, TWO, hang_timeout_s=4.0)) as process:
            await all_ready(process)
            hanging = asyncio.create_task(events(process, asked(99, prompt("hang"))))
            await until(lambda: process.stats().num_running == 1)
            for seed in range(1, 21):
                assert pixels((await events(process, asked(seed)))[-1])
            assert not hanging.done()
            assert isinstance(error((await hanging)[-1]), InternalError)
            assert process.stats().num_restarts == 2

    run(main())


def test_poison() -> None:
    """A job that crashes two workers fails; the other jobs on both get the right bytes."""
    wanted = [asked(seed) for seed in range(1, 13)]
    expected = alone(wanted)

    async def main() -> None:
        async with ready(engine(0.01, TWO)) as process:
            poison = asyncio.create_task(events(process, asked(99, prompt("kill"))))
            others = await asyncio.gather(*(events(process, one) for one in wanted))
            assert [pixels(job[-1]) for job in others] == expected
            assert isinstance(error((await poison)[-1]), InternalError)
            assert (process.stats().num_failed, process.stats().num_restarts) == (1, 2)

    run(main())


def test_one_cannot_start(caplog: pytest.LogCaptureFixture) -> None:
    """The other worker serves all jobs. The engine has failed only when no worker is left."""

    async def main() -> None:
        async with ready(engine(0.0, ("raise", ""))) as process:
            logged = "worker 0 is not restarted, others continue: the model toy could not be loaded"
            await until(lambda: logged in caplog.text)
            done = await asyncio.gather(*(events(process, asked(seed)) for seed in range(1, 9)))
            assert all(pixels(job[-1]) for job in done)
            assert (process.stats().failure, process.stats().is_ready) == ("", True)
            assert [worker.is_ready for worker in process.stats().workers] == [False, True]

    run(main())

    async def none_can() -> None:
        process = engine(0.0, ("raise", "raise"))
        await process.start()
        await until(lambda: bool(process.stats().failure))
        assert (
            process.stats().failure == "the model toy could not be loaded: the weights are damaged"
        )
        assert not process.stats().is_ready
        await process.stop()

    run(none_can())


def test_drain_with_crash() -> None:
    """Draining waits for the jobs of all workers, also of one that is being replaced."""

    async def main() -> None:
        async with ready(engine(0.03, TWO)) as process:
            await all_ready(process)
            jobs = [asyncio.create_task(events(process, asked(seed))) for seed in range(1, 9)]
            await until(lambda: process.stats().num_running >= 2)
            draining = asyncio.create_task(process.drain())
            await until(lambda: process.stats().is_draining)
            with pytest.raises(NotReadyError):
                await anext(process.generate(asked(99)))
            os.kill(pids(process)[1], signal.SIGKILL)
            await draining
            assert all([pixels((await job)[-1]) for job in jobs])

    run(main())


def test_one_queue() -> None:
    """The queue limit counts once; cancelling a job frees its place whichever worker has it."""

    async def main() -> None:
        async with ready(engine(0.3, TWO, running=1, waiting=1)) as process:
            await all_ready(process)
            async with aclosing(process.generate(asked(1))) as first:
                assert [await anext(first) for _ in range(2)] == [
                    JobQueued(0),
                    StepCompleted(1, NUM_STEPS),
                ]
                others = [asyncio.create_task(events(process, asked(seed))) for seed in (2, 3)]
                await until(lambda: process.stats().num_queued + process.stats().num_running == 3)
                with pytest.raises(QueueFullError, match="already has 3 jobs"):
                    await anext(process.generate(asked(4)))
            others.append(asyncio.create_task(events(process, asked(4))))
            assert all([pixels((await other)[-1]) for other in others])
            assert (process.stats().num_succeeded, process.stats().num_cancelled) == (3, 1)

    run(main())


def test_tenants_share_fairly() -> None:
    """A tenant's one job waits for the running jobs only, not for another tenant's forty."""

    async def main() -> None:
        async with ready(engine(0.01, TWO, running=2)) as process:
            await all_ready(process)
            ended: list[str] = []

            async def job(tenant: str, seed: int) -> None:
                async for _ in process.generate(asked(seed), JobContext(tenant)):
                    pass
                ended.append(tenant)

            busy = [asyncio.create_task(job("busy", seed)) for seed in range(1, 41)]
            await until(lambda: process.stats().num_running > 0)
            await job("rare", 99)
            assert len(ended) <= 10  # itself, four that ran, a few that started while it arrived
            await asyncio.gather(*busy)

    run(main())


def test_uneven_jobs() -> None:
    """Short jobs do not wait behind a long one: the other worker runs them."""

    async def main() -> None:
        async with ready(engine(0.0, TWO, hang_timeout_s=60.0)) as process:
            await all_ready(process)
            long = process.generate(asked(99, prompt("sleep")))
            assert [await anext(long) for _ in range(3)] == [JobQueued(0), *STEPS[:2]]
            short = [events(process, asked(seed)) for seed in range(1, 31)]
            assert all(pixels(job[-1]) for job in await asyncio.gather(*short))
            assert process.stats().num_running == 1
            assert pixels([event async for event in long][-1])

    run(main())


def num_mismatched(process: ProcessEngine) -> list[int]:
    """Number of models that each worker has loaded and does not serve."""
    return [len(worker.mismatched_models) for worker in process.stats().workers]


def test_mismatched_worker(caplog: pytest.LogCaptureFixture) -> None:
    """A mismatched worker gets no jobs, even while the other one restarts."""
    wanted = [asked(seed) for seed in range(1, 25)]
    expected = alone(wanted)

    async def main() -> None:
        async with ready(engine(0.005, TWO, changes_at=(NEVER, 0))) as process:
            await all_ready(process)
            jobs = [asyncio.create_task(events(process, one)) for one in wanted]
            await until(lambda: process.stats().num_succeeded >= 8)
            os.kill(pids(process)[0], signal.SIGKILL)
            assert [pixels((await job)[-1]) for job in jobs] == expected
            assert (process.stats().num_restarts, num_mismatched(process)) == (1, [0, 1])
            assert "denoiser first" in process.stats().loaded["toy"]
            # One worker serves the model, though two are ready.
            assert process._pool.num_serving("toy") == 1
            text = "worker 1 gets no toy jobs: its fingerprint differs from the reference"
            assert f"{text} (changed != first)" in caplog.text

    run(main())


def test_fingerprint_changes(caplog: pytest.LogCaptureFixture) -> None:
    """When a worker's fingerprint changes, the other one runs its jobs and gives the right bytes.

    Each step is reported once.
    """
    wanted = [asked(seed) for seed in range(1, 25)]
    expected = alone(wanted)

    async def main() -> None:
        async with ready(engine(0.005, TWO, changes_at=(3, NEVER))) as process:
            await all_ready(process)
            jobs = await asyncio.gather(*(events(process, one) for one in wanted))
            assert [pixels(job[-1]) for job in jobs] == expected
            assert all(
                [e for e in job[:-1] if isinstance(e, StepCompleted)] == STEPS for job in jobs
            )
            assert num_mismatched(process) == [1, 0]

    run(main())


def test_every_fingerprint_changes(caplog: pytest.LogCaptureFixture) -> None:
    """When no worker matches the reference any more, the workers serve with a new reference."""
    wanted = [asked(seed) for seed in range(1, 9)]
    expected = alone(wanted)

    async def main() -> None:
        async with ready(engine(0.0, TWO, changes_at=(20, 20))) as process:
            await all_ready(process)
            # Each worker changes at the last step of its fifth job.
            found = [pixels((await events(process, one))[-1]) for one in wanted]
            assert found == expected
            last = await asyncio.gather(*(events(process, asked(9)) for _ in range(16)))
            assert len({pixels(job[-1]) for job in last}) == 1
            assert "toy: reference fingerprint changed (first -> changed)" in caplog.text
            assert num_mismatched(process) == [0, 0] and process.stats().is_ready

    run(main())


def test_throughput_mode_ignores_fingerprints() -> None:
    """In throughput mode all workers serve, whatever they compute with."""

    async def main() -> None:
        unsafe = engine(0.05, TWO, changes_at=(NEVER, 0), batching="throughput")
        async with ready(unsafe) as process:
            await all_ready(process)
            jobs = [asyncio.create_task(events(process, asked(seed))) for seed in range(1, 9)]
            await until(lambda: all(worker.num_jobs for worker in process.stats().workers))
            assert all([pixels((await job)[-1]) for job in jobs])
            assert num_mismatched(process) == [0, 0]

    run(main())


def test_first_loads_slowly() -> None:
    """No worker serves until the first one is ready or has failed; requests are refused."""

    async def main() -> None:
        process = engine(0.0, ("hang", ""))
        await process.start()
        await until(lambda: process.stats().workers[1].is_ready)
        assert not process.stats().is_ready
        with pytest.raises(NotReadyError, match="still loading"):
            await anext(process.generate(asked(1)))
        os.kill(pids(process)[0], signal.SIGKILL)
        await until(lambda: process.stats().is_ready)
        assert pixels((await events(process, asked(1)))[-1])
        await process.stop()

    run(main())


def test_first_start_fails() -> None:
    """The other worker does not wait for a first one whose start fails."""

    async def main() -> None:
        async with ready(engine(0.0, ("end", ""))) as process:
            assert pixels((await events(process, asked(1)))[-1])
            assert process.stats().workers[0].num_restarts < MAX_FAILED_STARTS

    run(main())
