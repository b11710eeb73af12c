"""Several processes under one engine: who does what, and what it means that one of them dies."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import aclosing

import pytest

from daguerre.engine.workers.process_engine import ProcessEngine
from daguerre.engine.workers.supervisor import MAX_BAD_STARTS
from daguerre.errors import InternalError, NotReadyError, QueueFullError
from daguerre.params import JobContext, JobQueued, StepCompleted
from engine.deadly import NEVER, NUM_STEPS, asked, engine, prompt
from engine.scenes import error, events, pixels, ready, until
from engine.workers.test_process_engine import STEPS, alone, is_gone, run

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL there")
TWO = ("", "")


async def all_up(process: ProcessEngine) -> None:
    await until(lambda: all(worker.is_up for worker in process.stats().workers))


def test_one_is_killed_under_load() -> None:
    """Killed now and then under eight clients, one of two is replaced while the other works on:
    every request is answered with the bytes that it has alone, and no step is told twice."""
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
            await all_up(process)
            os.kill(process.pids[turn % 2], signal.SIGKILL)

    async def scene() -> None:
        async with ready(engine(0.01, TWO)) as process:
            left = list(range(len(wanted)))
            await asyncio.gather(kill(process), *(client(process, left) for _ in range(8)))
            assert [found[place] for place in range(len(wanted))] == expected
            await until(lambda: process.stats().num_restarts == 3)
            await all_up(process)
            stats = process.stats()
            assert (stats.num_succeeded, stats.num_failed, stats.num_restarts) == (48, 0, 3)
            assert [worker.num_restarts for worker in stats.workers] == [2, 1]
            assert (stats.num_queued, stats.num_running) == (0, 0)
            assert [worker.num_jobs for worker in stats.workers] == [0, 0]

    run(scene())


def test_both_work_at_once() -> None:
    """Jobs run in both processes side by side; the pace is that of both together."""

    async def scene() -> None:
        async with ready(engine(0.05, TWO)) as process:
            await all_up(process)
            jobs = [asyncio.create_task(events(process, asked(seed))) for seed in range(1, 9)]
            await until(lambda: process.stats().num_succeeded >= 4)
            assert len(process.pids) == 2
            assert all(worker.num_jobs for worker in process.stats().workers)
            await asyncio.gather(*jobs)
            alone_s = process.stats().service_times.mean_service_time_s
            os.kill(process.pids[0], signal.SIGKILL)
            await until(lambda: sum(worker.is_up for worker in process.stats().workers) == 1)
            assert process.stats().service_times.mean_service_time_s == pytest.approx(2 * alone_s)
            await all_up(process)
            assert process.stats().service_times.mean_service_time_s == pytest.approx(alone_s)
        assert all(is_gone(pid) for pid in process.pids)

    run(scene())


def test_one_that_hangs_keeps_nobody(caplog: pytest.LogCaptureFixture) -> None:
    """While one process hangs for a job, the other does all the others; then that job is tried
    again, and given up when it hangs again."""

    async def scene() -> None:
        async with ready(engine(0.0, TWO, timeout_s=2.0)) as process:
            await all_up(process)
            hanging = asyncio.create_task(events(process, asked(99, prompt("hang"))))
            await until(lambda: process.stats().num_running == 1)
            for seed in range(1, 21):
                assert pixels((await events(process, asked(seed)))[-1])
            assert not hanging.done()
            assert isinstance(error((await hanging)[-1]), InternalError)
            assert process.stats().num_restarts == 2

    run(scene())


def test_poison_takes_no_other_job_with_it() -> None:
    """A job that kills each process it comes to is given up after two; the others, in both, get
    the bytes that they have alone."""
    wanted = [asked(seed) for seed in range(1, 13)]
    expected = alone(wanted)

    async def scene() -> None:
        async with ready(engine(0.01, TWO)) as process:
            poison = asyncio.create_task(events(process, asked(99, prompt("kill"))))
            others = await asyncio.gather(*(events(process, one) for one in wanted))
            assert [pixels(told[-1]) for told in others] == expected
            assert isinstance(error((await poison)[-1]), InternalError)
            assert (process.stats().num_failed, process.stats().num_restarts) == (1, 2)

    run(scene())


def test_one_that_cannot_start(caplog: pytest.LogCaptureFixture) -> None:
    """The other serves all; only when no process is left the engine has failed."""

    async def scene() -> None:
        async with ready(engine(0.0, ("raise", ""))) as process:
            told = "worker 0 is not tried again, others go on: the model toy could not be loaded"
            await until(lambda: told in caplog.text)
            done = await asyncio.gather(*(events(process, asked(seed)) for seed in range(1, 9)))
            assert all(pixels(told[-1]) for told in done)
            assert (process.stats().failure, process.stats().is_ready) == ("", True)
            assert [worker.is_up for worker in process.stats().workers] == [False, True]

    run(scene())

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


def test_drain_with_a_death() -> None:
    """Draining waits for the jobs of both, and for those of one that is replaced meanwhile."""

    async def scene() -> None:
        async with ready(engine(0.03, TWO)) as process:
            await all_up(process)
            jobs = [asyncio.create_task(events(process, asked(seed))) for seed in range(1, 9)]
            await until(lambda: process.stats().num_running >= 2)
            draining = asyncio.create_task(process.drain())
            await until(lambda: process.stats().is_draining)
            with pytest.raises(NotReadyError):
                await anext(process.generate(asked(99)))
            os.kill(process.pids[1], signal.SIGKILL)
            await draining
            assert all([pixels((await job)[-1]) for job in jobs])

    run(scene())


def test_one_queue_for_both() -> None:
    """What may wait is counted once, beside what each may run; who leaves either makes room."""

    async def scene() -> None:
        async with ready(engine(0.3, TWO, running=1, waiting=1)) as process:
            await all_up(process)
            async with aclosing(process.generate(asked(1))) as first:
                assert [await anext(first) for _ in range(2)] == [
                    JobQueued(0),
                    StepCompleted(1, NUM_STEPS),
                ]
                others = [asyncio.create_task(events(process, asked(seed))) for seed in (2, 3)]
                await until(lambda: process.stats().num_queued + process.stats().num_running == 3)
                with pytest.raises(QueueFullError, match="3 jobs of toy"):
                    await anext(process.generate(asked(4)))
            others.append(asyncio.create_task(events(process, asked(4))))
            assert all([pixels((await other)[-1]) for other in others])
            assert (process.stats().num_succeeded, process.stats().num_cancelled) == (3, 1)

    run(scene())


def test_owners_take_turns_at_all_of_them() -> None:
    """An owner's one job waits for those that the processes have, and for no more of the forty."""

    async def scene() -> None:
        async with ready(engine(0.01, TWO, running=2)) as process:
            await all_up(process)
            ended: list[str] = []

            async def job(owner: str, seed: int) -> None:
                async for _ in process.generate(asked(seed), JobContext(owner)):
                    pass
                ended.append(owner)

            busy = [asyncio.create_task(job("busy", seed)) for seed in range(1, 41)]
            await until(lambda: process.stats().num_running > 0)
            await job("rare", 99)
            assert len(ended) <= 10  # itself, the four that ran, and a few while it came
            await asyncio.gather(*busy)

    run(scene())


def test_uneven_jobs() -> None:
    """Short jobs are not held up behind a long one: the process without it does them."""

    async def scene() -> None:
        async with ready(engine(0.0, TWO, timeout_s=60.0)) as process:
            await all_up(process)
            long = process.generate(asked(99, prompt("doze")))
            assert [await anext(long) for _ in range(3)] == [JobQueued(0), *STEPS[:2]]
            short = [events(process, asked(seed)) for seed in range(1, 31)]
            assert all(pixels(told[-1]) for told in await asyncio.gather(*short))
            assert process.stats().num_running == 1
            assert pixels([event async for event in long][-1])

    run(scene())


def told(process: ProcessEngine) -> list[int]:
    """How many models each worker has and does not serve."""
    return [len(worker.mismatched_models) for worker in process.stats().workers]


def test_one_is_of_another_kind(caplog: pytest.LogCaptureFixture) -> None:
    """It is given nothing, also while the first is replaced: all bytes are those of one kind."""
    wanted = [asked(seed) for seed in range(1, 25)]
    expected = alone(wanted)

    async def scene() -> None:
        async with ready(engine(0.005, TWO, changes_at=(NEVER, 0))) as process:
            await all_up(process)
            jobs = [asyncio.create_task(events(process, one)) for one in wanted]
            await until(lambda: process.stats().num_succeeded >= 8)
            os.kill(process.pids[0], signal.SIGKILL)
            assert [pixels((await job)[-1]) for job in jobs] == expected
            assert (process.stats().num_restarts, told(process)) == (1, [0, 1])
            # One worker's pace, though two are up.
            service_times = process.stats().service_times
            assert (
                service_times.by_model["toy"].expected_s
                > 0.9 * service_times.mean_service_time_s * 2
            )
            assert "worker 1 gets no requests for toy" in caplog.text
            assert "(changed instead of first)" in caplog.text

    run(scene())


def test_one_changes_amid_its_jobs(caplog: pytest.LogCaptureFixture) -> None:
    """What it has is made by the other, with the bytes of the kind that it was; and each step is
    told once."""
    wanted = [asked(seed) for seed in range(1, 25)]
    expected = alone(wanted)

    async def scene() -> None:
        async with ready(engine(0.005, TWO, changes_at=(3, NEVER))) as process:
            await all_up(process)
            jobs = await asyncio.gather(*(events(process, one) for one in wanted))
            assert [pixels(job[-1]) for job in jobs] == expected
            assert all(
                [e for e in job[:-1] if isinstance(e, StepCompleted)] == STEPS for job in jobs
            )
            assert told(process) == [1, 0]

    run(scene())


def test_all_change(caplog: pytest.LogCaptureFixture) -> None:
    """The second serves alone when the first has changed; once it has, too, what they have become
    is served by both, and the log says so."""
    wanted = [asked(seed) for seed in range(1, 13)]
    expected = alone(wanted)

    async def scene() -> None:
        async with ready(engine(0.0, TWO, changes_at=(20, 20))) as process:
            await all_up(process)
            found = [pixels((await events(process, one))[-1]) for one in wanted]
            assert [one == other for one, other in zip(found, expected, strict=True)] == (
                [True] * 8 + [False] * 4  # each changes at its fifth job's last step
            )
            assert told(process) == [0, 0]
            assert "toy is not what it was (changed instead of first)" in caplog.text

    run(scene())


def test_of_any_kind_where_seeds_promise_nothing() -> None:
    """In throughput mode all work, whatever they compute with."""

    async def scene() -> None:
        unsafe = engine(0.05, TWO, changes_at=(NEVER, 0), batching="throughput")
        async with ready(unsafe) as process:
            await all_up(process)
            jobs = [asyncio.create_task(events(process, asked(seed))) for seed in range(1, 9)]
            await until(lambda: all(worker.num_jobs for worker in process.stats().workers))
            assert all([pixels((await job)[-1]) for job in jobs])
            assert told(process) == [0, 0]

    run(scene())


def test_first_takes_long_to_load() -> None:
    """Nobody may serve before it is ready, or has failed to be: until then none says that it is
    ready, and no request is accepted."""

    async def scene() -> None:
        process = engine(0.0, ("hang", ""))
        await process.start()
        await until(lambda: process.stats().workers[1].is_up)
        assert not process.stats().is_ready
        with pytest.raises(NotReadyError, match="still loading"):
            await anext(process.generate(asked(1)))
        os.kill(process.pids[0], signal.SIGKILL)
        await until(lambda: process.stats().is_ready)
        assert pixels((await events(process, asked(1)))[-1])
        await process.stop()

    run(scene())


def test_first_cannot_be_started_yet() -> None:
    """The other does not wait for it."""

    async def scene() -> None:
        async with ready(engine(0.0, ("end", ""))) as process:
            assert pixels((await events(process, asked(1)))[-1])
            assert process.stats().workers[0].num_restarts < MAX_BAD_STARTS

    run(scene())
