"""The engine in a worker process: what it survives, and what its callers notice."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Coroutine, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from daguerre.engine.job import WorkObserver
from daguerre.engine.thread_engine import ThreadEngine
from daguerre.engine.workers import messages, slot
from daguerre.engine.workers.load_crashes import MAX_CRASHES
from daguerre.engine.workers.messages import JobEvent, receive
from daguerre.engine.workers.process_engine import ProcessEngine
from daguerre.engine.workers.slot import MAX_FAILED_STARTS
from daguerre.errors import (
    InternalError,
    NotFoundError,
    NotReadyError,
    QueueFullError,
    UnavailableError,
)
from daguerre.params import ImageParams, JobContext, JobQueued, JobSucceeded, StepCompleted
from engine.faulty import FAULTS, NUM_STEPS, FaultyModel, asked, engine, model, pids, prompt
from engine.harness import error, events, pixels, ready, until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
STEPS = [StepCompleted(index, NUM_STEPS) for index in range(1, NUM_STEPS + 1)]


def run(main: Coroutine[Any, Any, None]) -> None:
    """Runs a coroutine and checks that it leaves no thread of an engine behind."""
    before = engine_threads()
    asyncio.run(main)
    assert engine_threads() <= before


def engine_threads() -> set[threading.Thread]:
    """Threads of engines, possibly including one of another test's model."""
    return {thread for thread in threading.enumerate() if thread.name.startswith("daguerre")}


def alone(wanted: Sequence[ImageParams]) -> list[bytes]:
    """Pixels that an engine in this process generates, one job after the other."""

    async def main() -> None:
        thread_engine = ThreadEngine([model()], max_queued_jobs=1, max_running_jobs=1)
        await thread_engine.start()
        await until(lambda: thread_engine.stats().is_ready)
        found.extend([pixels((await events(thread_engine, one))[-1]) for one in wanted])
        await thread_engine.stop()

    found: list[bytes] = []
    asyncio.run(main())
    assert len(set(found)) == len(wanted)
    return found


def is_gone(pid: int) -> bool:
    """Whether the process has ended; a zombie counts as ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        pass
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_one_job_event_by_event() -> None:
    """A job yields the same events and pixels as in a thread, and is counted."""
    (expected,) = alone([asked(1)])

    async def main() -> None:
        async with ready(engine()) as process:
            *before, last = await events(process, asked(1))
            assert before == [JobQueued(0), *STEPS]
            assert pixels(last) == expected
            assert isinstance(last, JobSucceeded)
            assert (last.image.params, last.image.model_info) == (asked(1), model().info)
            last.image.pixels[0] = 0  # writable
            stats = process.stats()
            assert (stats.num_succeeded, stats.num_queued, stats.num_running) == (1, 0, 0)
            assert (stats.num_forwards, stats.num_rows) == (NUM_STEPS + 2, 2 * NUM_STEPS + 2)
            assert (stats.num_restarts, stats.job_interval_s > 0) == (0, True)
            assert (stats.loads["toy"].num_succeeded, stats.workers[0].loaded_models) == (
                1,
                ("toy",),
            )
            assert sys.platform != "linux" or stats.workers[0].resident_bytes > 0
            with pytest.raises(NotFoundError, match="served models: toy"):
                await anext(process.generate(ImageParams("nope", "x")))

    run(main())


def test_previews(tmp_path: Path) -> None:
    """Previews arrive with their steps, and once, even if the worker dies in between."""
    words = prompt("kill", tmp_path / "once")
    (tmp_path / "once").touch()
    (expected,) = alone([asked(1, words)])
    (tmp_path / "once").unlink()

    async def main() -> None:
        async with ready(engine()) as process:
            *before, last = await events(process, replace(asked(1, words), num_previews=3))
            assert before == [JobQueued(0), *STEPS] and pixels(last) == expected
            assert process.stats().num_restarts == 1
            previews = [event.preview for event in before if isinstance(event, StepCompleted)]
            assert [None if p is None else p.shape for p in previews] == [*[(2, 1, 3)] * 3, None]

    run(main())


def test_killed_under_load() -> None:
    """Killed repeatedly under eight clients, the engine answers every request with the right bytes.

    Each step is reported once.
    """
    wanted = [asked(seed) for seed in range(1, 49)]
    expected = alone(wanted)

    async def client(process: ProcessEngine, left: list[int], found: dict[int, bytes]) -> None:
        while left:
            place = left.pop()
            *before, last = await events(process, wanted[place])
            assert isinstance(before[0], JobQueued)
            assert [event for event in before if not isinstance(event, JobQueued)] == STEPS
            found[place] = pixels(last)

    async def kill(process: ProcessEngine, found: dict[int, bytes]) -> None:
        for count in range(5, 45, 10):
            await until(lambda count=count: len(found) >= count)  # type: ignore[misc]
            os.kill(pids(process)[0], signal.SIGKILL)

    async def main() -> None:
        async with ready(engine(forward_s=0.01)) as process:
            left, found = list(range(len(wanted))), dict[int, bytes]()
            clients = [client(process, left, found) for _ in range(8)]
            await asyncio.gather(kill(process, found), *clients)
            assert [found[place] for place in range(len(wanted))] == expected
            stats = process.stats()
            assert (stats.num_succeeded, stats.num_failed, stats.num_restarts) == (
                48,
                0,
                4,
            )
            assert (stats.is_ready, stats.num_queued, stats.num_running) == (True, 0, 0)

    run(main())


@pytest.mark.parametrize("fault", ["kill", "hang", "native", "freeze", "memory"])
def test_survived_once(fault: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A worker that dies, hangs, freezes or has no memory left is replaced; its job is retried."""
    words = prompt(fault, tmp_path / "once")
    (tmp_path / "once").touch()
    (expected,) = alone([asked(1, words)])
    (tmp_path / "once").unlink()

    async def main() -> None:
        async with ready(engine(hang_timeout_s=2.0)) as process:
            *before, last = await events(process, asked(1, words))
            assert before == [JobQueued(0), *STEPS]
            assert pixels(last) == expected
            assert (process.stats().num_restarts, process.stats().num_failed) == (1, 0)
            reason = {"kill": "crash", "memory": "out_of_memory"}.get(fault, "hang")
            assert process.stats().workers[0].restarts[reason] == 1
            assert process.stats().loads["toy"].num_succeeded == 2  # by both workers

    run(main())
    logged = {
        "kill": "was killed by SIGKILL",
        "hang": "made no progress for 2 s",
        "native": "for 2 s",
        "freeze": "sent no heartbeat for 2 s",
        "memory": "ran out of memory",
    }
    assert logged[fault] in caplog.text


def test_unreadable_message(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A server without memory for an image replaces the worker and generates the image again."""
    failed: list[JobEvent] = []

    def short_of_memory(pipe: Any) -> Any:
        message = receive(pipe)
        if isinstance(message, JobEvent) and isinstance(message.event, JobSucceeded) and not failed:
            failed.append(message)
            raise MemoryError
        return message

    monkeypatch.setattr(messages, "receive", short_of_memory)

    async def main() -> None:
        async with ready(engine()) as process:
            assert pixels((await events(process, asked(1)))[-1])
            assert process.stats().num_restarts == 1

    run(main())
    assert "sent an unreadable message (MemoryError)" in caplog.text


@pytest.mark.parametrize("fault", ["kill", "memory"])
def test_poison(fault: str, caplog: pytest.LogCaptureFixture) -> None:
    """A job that crashes its worker twice fails; concurrent jobs get the right bytes."""
    wanted = [asked(seed) for seed in range(1, 8)]
    expected = alone(wanted)

    async def main() -> None:
        async with ready(engine(forward_s=0.01)) as process:
            for name in ("first", "second"):  # the second time with certificates
                context = JobContext(request_id=name)
                job = asked(99, prompt(fault))
                poison = asyncio.create_task(events(process, job, context))
                others = await asyncio.gather(*(events(process, one) for one in wanted))
                assert [pixels(job[-1]) for job in others] == expected
                failure = error((await poison)[-1])
                assert isinstance(failure, InternalError)
                assert failure.message == (
                    "the worker crashed 2 times during this request;"
                    f" see request ID {name} in the server's log"
                )
            stats = process.stats()
            assert (stats.num_succeeded, stats.num_failed, stats.num_restarts) == (
                14,
                2,
                4,
            )

    run(main())
    for name in ("first", "second"):
        pattern = rf"request_id={name} failed: its worker crashed 2 times; the last one \(pid \d+\)"
        assert re.search(pattern, caplog.text)
    assert re.search(r"worker 0 \(pid \d+\) .*; jobs to retry: \d; restarting in 0 s", caplog.text)


def test_model_load_failure(caplog: pytest.LogCaptureFixture) -> None:
    """A model that cannot be loaded is not retried; `stats` has the engine's failure."""

    async def main() -> None:
        process = engine(on_load="raise")
        await process.start()
        await until(lambda: bool(process.stats().failure))
        stats = process.stats()
        assert stats.failure == "the model toy could not be loaded: the weights are damaged"
        assert (stats.is_ready, stats.num_restarts) == (False, 0)
        with pytest.raises(UnavailableError):
            await anext(process.generate(asked(1)))
        await process.stop()

    run(main())


def test_crash_loop_ends(caplog: pytest.LogCaptureFixture) -> None:
    """A worker that always dies before its models are loaded is given up with a reason."""

    async def main() -> None:
        process = engine(on_load="end")
        await process.start()
        with pytest.raises(NotReadyError, match="loading"):
            await anext(process.generate(asked(1)))
        await until(lambda: bool(process.stats().failure))
        what = "exited with status 3 while it loaded toy"
        end = f"{what}; giving up after {MAX_FAILED_STARTS} failed starts"
        assert process.stats().failure.endswith(end) and end in caplog.text
        assert f"{what}; restarting in 0.5 s" in caplog.text
        assert process.stats().workers[0].restarts["failed_start"] == MAX_FAILED_STARTS
        await process.stop()

    run(main())


@pytest.mark.parametrize("fault", ["native", "freeze"])
def test_silence_while_loading(fault: str, caplog: pytest.LogCaptureFixture) -> None:
    """A worker that is silent and does nothing while it loads is replaced long before the limit."""

    async def main() -> None:
        process = engine(on_load=fault, hang_timeout_s=1.0, model_load_timeout_s=600.0)
        await process.start()
        await until(lambda: process.stats().num_restarts == 1)
        await process.stop()

    run(main())
    assert "sent no heartbeat and used no CPU time for 1 s" in caplog.text


def test_not_ready_without_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine is not ready from a time after the death of its worker until the next is ready."""
    monkeypatch.setattr(slot, "HEALTHY_WITHOUT_WORKER_S", 0.0)

    async def main() -> None:
        async with ready(engine()) as process:
            os.kill(pids(process)[0], signal.SIGKILL)
            await until(lambda: not process.stats().is_ready)
            await until(lambda: process.stats().is_ready)
            assert pixels((await events(process, asked(1)))[-1])

    run(main())


def build_with_killer(observer: WorkObserver) -> ThreadEngine:
    """An engine with the usual model, and one that kills the worker when it is loaded."""
    models = [model(), FaultyModel(name="killer", on_load=FAULTS["kill"])]
    return ThreadEngine(models, max_queued_jobs=8, max_running_jobs=8, observer=observer)


def test_crashes_while_loading(caplog: pytest.LogCaptureFixture) -> None:
    """A model that kills its worker is given up after two tries; the others are served."""

    async def main() -> None:
        infos = build_with_killer(WorkObserver()).models()
        process = ProcessEngine(
            [build_with_killer], infos, max_queued_jobs=8, max_running_jobs=8, hang_timeout_s=60.0
        )
        async with ready(process):
            assert pixels((await events(process, asked(1)))[-1])
            refused = await events(process, replace(asked(1), model="killer"))
            assert isinstance(error(refused[-1]), UnavailableError)
            stats = process.stats()
            assert stats.load_failures == {"killer": "it crashes its worker"}
            assert stats.num_restarts == MAX_CRASHES

    run(main())
    assert "was killed by SIGKILL while it loaded killer; restarting in" in caplog.text
    assert "killer is not loaded any more: it crashes its worker; remove the cause" in caplog.text


def test_hang_while_loading(caplog: pytest.LogCaptureFixture) -> None:
    """A worker that hangs while it loads is replaced."""

    async def main() -> None:
        process = engine(on_load="hang", model_load_timeout_s=1.0, hang_timeout_s=1.0)
        await process.start()
        await until(lambda: process.stats().num_restarts == 1)
        await process.stop()

    run(main())
    assert "did not load its models within 1 s" in caplog.text


@pytest.mark.parametrize("fault", ["sleep", "block"])
def test_warmup_is_no_hang(fault: str) -> None:
    """Preparing a network may take longer than a forward, even if it blocks all threads."""
    (expected,) = alone([asked(1)])

    async def main() -> None:
        async with ready(engine(hang_timeout_s=2.0, on_warmup=fault)) as process:
            assert pixels((await events(process, asked(1)))[-1]) == expected
            assert process.stats().num_restarts == 0

    run(main())


def test_warmup_has_an_end(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A warm-up that does not end within the load timeout is a hang; the job is retried."""
    once = prompt("hang", tmp_path / "once")

    async def main() -> None:
        async with ready(engine(model_load_timeout_s=2.0, on_warmup=once)) as process:
            assert pixels((await events(process, asked(1)))[-1])
            assert process.stats().num_restarts >= 1  # a start may take as long, too

    run(main())
    assert "did not finish its warm-up (loading, compiling) within 2 s" in caplog.text


def test_other_models(caplog: pytest.LogCaptureFixture) -> None:
    """A worker that finds other weights, as after an update, does not serve them."""

    async def main() -> None:
        process = engine(weights_sha256="1" * 64)
        await process.start()
        await until(lambda: process.stats().num_restarts > 0)
        assert not process.stats().is_ready
        await process.stop()

    run(main())
    assert "found other models" in caplog.text


def test_log_reaches_the_server(caplog: pytest.LogCaptureFixture) -> None:
    """What a worker logs, with tracebacks, appears in the server's log."""
    caplog.set_level(logging.INFO)

    async def main() -> None:
        async with ready(engine()) as process:
            assert isinstance(error((await events(process, asked(1, "poison")))[-1]), InternalError)

    run(main())
    assert "loaded toy in" in caplog.text
    workers = {vars(r).get("worker") for r in caplog.records if "loaded" in r.message}
    assert workers == {0}
    assert "poison in the pipeline" in caplog.text and "Traceback" in caplog.text
    assert {r.levelno for r in caplog.records if "failed" in r.message} == {logging.ERROR}


def test_queue_position(monkeypatch: pytest.MonkeyPatch) -> None:
    """Queue positions of watched jobs fall until the job runs, as with the engine in a thread."""
    monkeypatch.setattr("daguerre.engine.stream.POSITION_POLL_S", 0.005)
    watched = JobContext(wants_progress=True)

    async def main(made: ProcessEngine | ThreadEngine) -> None:
        async with ready(made) as ours:
            async with aclosing(ours.generate(asked(1))) as first:
                assert [await anext(first), await anext(first)] == [
                    JobQueued(0),
                    StepCompleted(1, NUM_STEPS),
                ]
                async with aclosing(ours.generate(asked(2))) as leaves:
                    assert await anext(leaves) == JobQueued(1)
                    waits = ours.generate(asked(3), watched)
                    assert await anext(waits) == JobQueued(2)
                assert await anext(waits) == JobQueued(1)
            rest = [event async for event in waits]
            assert rest[0] in (JobQueued(0), *STEPS[:1])
            assert [event for event in rest[:-1] if event != JobQueued(0)] == STEPS
            assert isinstance(rest[-1], JobSucceeded)

    run(main(engine(forward_s=0.2, running=1, waiting=3)))
    run(main(ThreadEngine([model(forward_s=0.2)], max_queued_jobs=3, max_running_jobs=1)))


def test_service_time_after_second_step() -> None:
    """The service time is estimated from the second step of the first job on."""

    async def main() -> None:
        async with ready(engine(forward_s=0.05)) as process:
            async with aclosing(process.generate(asked(1))) as job:
                assert [await anext(job) for _ in range(2)] == [JobQueued(0), STEPS[0]]
                assert await anext(job) == STEPS[1]
                stats = process.stats()
                assert (stats.num_succeeded, stats.backlog_s) == (0, stats.job_interval_s)
                assert stats.backlog_s >= 0.05 * NUM_STEPS

    run(main())


def test_cancel_frees_the_row() -> None:
    """A cancelled job frees its queue place at once, and its row after the present forward."""

    async def main() -> None:
        async with ready(engine(forward_s=0.3, running=1, waiting=1)) as process:
            async with aclosing(process.generate(asked(1))) as job:
                assert await anext(job) == JobQueued(0)
                assert await anext(job) == StepCompleted(1, NUM_STEPS)
                assert process.stats().num_running == 1
                waiting = asyncio.create_task(events(process, asked(2)))
                await until(lambda: process.stats().num_queued == 1)
                with pytest.raises(QueueFullError):
                    await anext(process.generate(asked(3)))
            assert process.stats().num_cancelled == 1
            third = asyncio.create_task(events(process, asked(3)))
            assert isinstance((await waiting)[-1], JobSucceeded) and isinstance(
                (await third)[-1], JobSucceeded
            )
            stats = process.stats()
            assert (stats.num_succeeded, stats.num_cancelled) == (2, 1)
            # The first job has done its encoding, its first step and at most one more step.
            assert stats.num_forwards <= 3 + 2 * (NUM_STEPS + 2)

    run(main())


def test_stop_and_start_again(tmp_path: Path) -> None:
    """Stopping fails running jobs, even in a worker that hangs; the engine can start again."""
    process = engine()

    async def main() -> None:
        async with ready(process):
            (pid,) = pids(process)
            hanging = asyncio.create_task(events(process, asked(1, prompt("hang"))))
            waiting = asyncio.create_task(events(process, asked(2)))
            await until(lambda: process.stats().num_running > 0)
            await process.stop()
            for task in (hanging, waiting):
                assert isinstance(error((await task)[-1]), UnavailableError)
            assert is_gone(pid)
            assert (process.stats().is_ready, process.stats().num_restarts) == (False, 0)

    async def again() -> None:
        async with ready(process):
            assert pixels((await events(process, asked(2)))[-1])

    run(main())
    run(again())


def test_drain() -> None:
    """Draining refuses new jobs, and waits for a job whose worker has to be replaced."""

    async def main() -> None:
        async with ready(engine(forward_s=0.05)) as process:
            task = asyncio.create_task(events(process, asked(1)))
            await until(lambda: process.stats().num_running == 1)
            draining = asyncio.create_task(process.drain())
            await until(lambda: process.stats().is_draining)
            with pytest.raises(NotReadyError):
                await anext(process.generate(asked(2)))
            os.kill(pids(process)[0], signal.SIGKILL)
            await draining
            assert pixels((await task)[-1])

    run(main())


def test_worker_ignores_signals() -> None:
    """SIGINT, SIGTERM and SIGHUP do not end a worker."""

    async def main() -> None:
        async with ready(engine(forward_s=0.02)) as process:
            task = asyncio.create_task(events(process, asked(1)))
            await until(lambda: process.stats().num_running == 1)
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                os.kill(pids(process)[0], number)
            assert pixels((await task)[-1])
            assert process.stats().num_restarts == 0

    run(main())


PARENT = """
import asyncio, signal, sys
from engine.faulty import asked, engine, pids, prompt
# As on a terminal: a shell may start background programs with SIGINT ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
from engine.harness import until
async def main():
    process = engine(hang_timeout_s=600)
    await process.start()
    await until(lambda: process.stats().is_ready)
    print(pids(process)[0], flush=True)
    if sys.argv[1] == "idle":
        sys.stdin.read()
        sys.exit()
    async for event in process.generate(asked(1, prompt(sys.argv[1]))):
        print(event, flush=True)
asyncio.run(main())
"""


@pytest.mark.parametrize("fault", ["idle", "hang", "native"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, None])
def test_server_ends(fault: str, number: signal.Signals | None) -> None:
    """However the server ends, it leaves no worker behind, even one that hangs."""
    if number is None and fault != "idle":
        pytest.skip("the program does not end while it waits for a job")
    if fault == "native" and sys.platform != "linux":
        pytest.skip("only Linux kills a worker that hangs in native code")
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, fault],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as parent:
        try:
            assert parent.stdout and parent.stdin
            pid = int(parent.stdout.readline())
            if fault != "idle":
                assert "Step" in parent.stdout.readline() + parent.stdout.readline()
            assert not is_gone(pid)
            if number is not None:
                parent.send_signal(number)
            parent.stdin.close()
            parent.wait(20)
        finally:
            parent.kill()
    asyncio.run(until(lambda: is_gone(pid)))


def test_failed_job_is_not_retried(tmp_path: Path) -> None:
    """A job that fails with an error is answered once and not retried."""

    async def main() -> None:
        async with ready(engine()) as process:
            assert isinstance(error((await events(process, asked(1, "poison")))[-1]), InternalError)
            assert process.stats().num_restarts == 0
            assert pixels((await events(process, asked(2)))[-1])

    run(main())


def test_prestart() -> None:
    """A prestarted worker is the first one to serve; if unused, it is ended."""
    before = engine_threads()
    process = engine()
    process.prestart()
    process.close()
    assert engine_threads() <= before
    process.prestart()
    (prestarted,) = pids(process)

    async def main() -> None:
        async with ready(process):
            assert pids(process) == [prestarted]
            assert pixels((await events(process, asked(1)))[-1])
        assert is_gone(prestarted)

    run(main())


def test_hang_without_clients(caplog: pytest.LogCaptureFixture) -> None:
    """A worker that hangs is replaced even if the clients of its jobs have left."""

    async def main() -> None:
        async with ready(engine(hang_timeout_s=2.0)) as process:
            async with aclosing(process.generate(asked(1, prompt("hang")))) as job:
                assert [await anext(job) for _ in range(3)] == [JobQueued(0), *STEPS[:2]]
            await until(lambda: process.stats().num_restarts == 1)
            assert pixels((await events(process, asked(2)))[-1])
            await asyncio.sleep(2.5)  # idle is not hung
            assert process.stats().num_restarts == 1

    run(main())
    assert "made no progress for 2 s" in caplog.text


def test_tenants_share_fairly() -> None:
    """A tenant's one job does not wait for another tenant's twenty."""

    async def main() -> None:
        async with ready(engine(forward_s=0.01, running=2)) as process:
            ended: list[str] = []

            async def job(tenant: str, seed: int) -> None:
                async for _ in process.generate(asked(seed), JobContext(tenant)):
                    pass
                ended.append(tenant)

            busy = [asyncio.create_task(job("busy", seed)) for seed in range(1, 21)]
            await until(lambda: process.stats().num_running > 0)
            await job("rare", 99)
            assert len(ended) <= 5  # itself, two that ran, two that started while it arrived
            await asyncio.gather(*busy)

    run(main())


def test_request_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """Errors of a job are logged with its request ID, to which the client's message refers."""

    async def main() -> None:
        async with ready(engine()) as process:
            for words in ("poison", prompt("kill")):
                context = JobContext(request_id="req-7")
                failure = error((await events(process, asked(1, words), context))[-1])
                assert "see request ID req-7 in the server's log" in str(failure)

    run(main())
    failed = [r.getMessage() for r in caplog.records if "request_id=req-7" in r.getMessage()]
    assert ["failed" in failed[0], "its worker crashed" in failed[1]] == [True, True]
