"""Start, stop and drain of an engine, and the errors that it survives."""

from __future__ import annotations

import asyncio
import logging
import threading

import pytest

from daguerre.engine.forward import Inputs
from daguerre.engine.model_manager import log_failure
from daguerre.errors import (
    InternalError,
    NotFoundError,
    NotReadyError,
    QueueFullError,
    SettingsError,
    UnavailableError,
)
from daguerre.params import JobContext, JobQueued, JobSucceeded, StepCompleted
from engine.harness import error, events, make, pixels, ready, run, until
from engine.networks import Clock, ToyModel, ToyNetwork, params


def test_not_ready_while_loading() -> None:
    """Requests fail with `NotReadyError` until the models are loaded, and after `stop`."""

    async def main() -> None:
        gate = threading.Event()
        engine = make(ToyModel(on_load=lambda: gate.wait(20)))
        assert [info.id for info in engine.models()] == ["toy"]
        with pytest.raises(NotReadyError):
            await anext(engine.generate(params()))
        await engine.start()
        assert not engine.stats().is_ready
        with pytest.raises(NotReadyError, match="loading") as refusal:
            await anext(engine.generate(params()))
        assert refusal.value.retry_after_s is None  # derived from the queue by the server
        gate.set()
        await until(lambda: engine.stats().is_ready)
        assert pixels((await events(engine, params()))[-1])
        await engine.stop()
        with pytest.raises(NotReadyError, match="shutting down"):
            await anext(engine.generate(params()))

    run(main())


@pytest.mark.parametrize(
    ("error", "level"),
    [(RuntimeError("a bug"), logging.ERROR), (OSError("no file"), logging.DEBUG)],
)
def test_traceback_of_a_failed_load(
    caplog: pytest.LogCaptureFixture, error: Exception, level: int
) -> None:
    """The log has the traceback of an unexpected error, once; of others only the debug log."""
    caplog.set_level(logging.DEBUG)
    log_failure("cannot load model toy", error)
    assert [record.levelno for record in caplog.records if record.exc_info] == [level]
    assert "cannot load model toy" in [
        record.message for record in caplog.records if record.levelno == logging.ERROR
    ]


def test_load_failure(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a model fails to load, the statistics say why, and the engine can be stopped. The
    traceback is in the debug log."""
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr("daguerre.engine.model_manager.runtime_fingerprint", list)

    def fail() -> None:
        raise OSError("weights.bin\nis not there")

    async def main() -> None:
        engine = make(ToyModel(on_load=fail))
        await engine.start()
        await until(lambda: bool(engine.stats().failure))
        expected = "the model toy could not be loaded: OSError: weights.bin is not there"
        assert (engine.stats().failure, engine.stats().is_ready) == (expected, False)
        assert {record.levelno for record in caplog.records if record.exc_info} == {logging.DEBUG}
        with pytest.raises(UnavailableError, match="could not be loaded") as refusal:
            await anext(engine.generate(params()))
        assert not isinstance(refusal.value, NotReadyError)
        await engine.stop()
        assert engine.stats().failure == expected

    run(main())


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (SettingsError("/secret/unet is damaged"), "its checkpoint or its configuration"),
        (RuntimeError("std::bad_alloc"), "not enough memory"),
        (OSError("/secret/unet"), "an error occurred"),
    ],
)
def test_one_model_cannot_be_loaded(
    failure: Exception, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The other models are served. The log has the error, and clients get a reason without it."""

    def fail() -> None:
        raise failure

    async def main() -> None:
        async with ready(make(ToyModel(name="bad", on_load=fail), ToyModel())) as engine:
            assert pixels((await events(engine, params()))[-1])
            refusal = error((await events(engine, params(model="bad")))[-1])
            assert isinstance(refusal, UnavailableError) and "secret" not in str(refusal)
            (told,) = engine.stats().load_failures.items()
            assert told[0] == "bad" and told[1].startswith(reason)

    run(main())
    assert "the model bad could not be loaded: " in caplog.text and str(failure) in caplog.text
    assert (" GB are free" in caplog.text) == ("memory" in reason)


def test_no_model_can_be_loaded() -> None:
    """The engine has failed, and the reason names every model."""

    def fail() -> None:
        raise SettingsError("no weights")

    async def main() -> None:
        engine = make(ToyModel(name="one", on_load=fail), ToyModel(name="two", on_load=fail))
        await engine.start()
        await until(lambda: bool(engine.stats().failure))
        texts = [f"the model {name} could not be loaded: no weights" for name in ("one", "two")]
        assert engine.stats().failure == "; ".join(texts) and not engine.stats().is_ready
        await engine.stop()

    run(main())


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_thread_that_dies() -> None:
    """An engine whose thread has died reports a failure, not that it is loading (a former bug)."""

    def end() -> None:
        raise SystemExit

    async def main() -> None:
        engine = make(ToyModel(on_load=end))
        await engine.start()
        await until(lambda: bool(engine.stats().failure))
        await engine.stop()

    run(main())


def test_unknown_model() -> None:
    """The error for a model that is not served names the served ones."""

    async def main() -> None:
        async with ready(make(ToyModel(), ToyModel(name="other"))) as engine:
            with pytest.raises(NotFoundError, match='"nope" is not served; .*: toy, other'):
                await anext(engine.generate(params(model="nope")))
            (*_, last) = await events(engine, params(model="other"))
            assert isinstance(last, JobSucceeded) and last.image.model_info.id == "other"

    run(main())


def test_stop_with_running_jobs() -> None:
    """`stop` ends running and queued jobs with a clear error, and ends the thread."""

    async def main() -> None:
        model, entered, release = ToyModel(), threading.Event(), threading.Event()

        def pause(inputs: Inputs) -> None:
            entered.set()
            release.wait(20)

        model.denoiser.on_call = pause
        engine = make(model, running=1)
        async with ready(engine):
            tasks = [asyncio.create_task(events(engine, params(seed))) for seed in (1, 2)]
            await asyncio.to_thread(entered.wait, 20)
            stopping = asyncio.create_task(engine.stop())
            await asyncio.sleep(0.01)
            release.set()
            await stopping
            for task in tasks:
                assert isinstance(error((await task)[-1]), UnavailableError)
        assert model.closed == [1]
        stats = engine.stats()
        assert (stats.num_cancelled, stats.num_queued, stats.num_running) == (2, 0, 0)
        assert not stats.is_ready

    run(main())


def test_drain_finishes_accepted_jobs() -> None:
    """`drain` rejects new jobs, and returns when the accepted ones have ended."""

    async def main() -> None:
        model, gate = ToyModel(), threading.Event()
        model.on_pipeline = lambda: gate.wait(20)
        async with ready(make(model)) as engine:
            task = asyncio.create_task(events(engine, params(1)))
            await until(lambda: engine.stats().num_queued == 1)
            draining = asyncio.create_task(engine.drain())
            await until(lambda: not engine.stats().is_ready)
            assert engine.stats().is_draining
            with pytest.raises(NotReadyError):
                await anext(engine.generate(params(2)))
            assert not draining.done()
            gate.set()
            await draining
            assert pixels((await task)[-1])

    run(main())


def test_each_model_has_its_service_time() -> None:
    """A job behind one of a fast model is accepted, however slow another model is. Behind a job of
    the slow model it is rejected at once."""

    async def main() -> None:
        clock, gate = Clock(), threading.Event()
        fast = ToyModel(ToyNetwork("denoiser", clock, forward_s=0.01), num_steps=1, name="fast")
        slow = ToyModel(ToyNetwork("denoiser", clock, forward_s=100.0), num_steps=1, name="slow")
        async with ready(make(fast, slow)) as engine:
            for name in ("fast", "slow", "slow"):
                assert pixels((await events(engine, params(model=name)))[-1])
            assert engine.stats().service_times.by_model["slow"].expected_s > 100
            fast.on_pipeline = slow.on_pipeline = lambda: gate.wait(20)
            context = JobContext(timeout_s=20.0)  # each job also encodes and decodes for a second
            first = engine.generate(params(1, model="fast"), context)
            second = engine.generate(params(2, model="fast"), context)
            assert [await anext(first), await anext(second)] == [JobQueued(0), JobQueued(1)]
            third = engine.generate(params(3, model="slow"))
            assert await anext(third) == JobQueued(2)
            assert engine.stats().backlog_s > 100
            with pytest.raises(QueueFullError, match="3 jobs are queued ahead"):
                await anext(engine.generate(params(4, model="fast"), context))
            gate.set()
            for job in (first, second, third):
                assert pixels([event async for event in job][-1])

    run(main())


def test_service_time_of_the_first_job() -> None:
    """Before the first job ends, its steps give a provisional service time. The first step, which
    may include a compilation, does not count."""

    async def main() -> None:
        model, gate = ToyModel(), threading.Event()
        clock, calls = model.denoiser.clock, model.denoiser.calls

        def on_call(inputs: Inputs) -> None:
            clock.now_s += 100.0 * (len(calls) == 1)
            assert len(calls) != 3 or gate.wait(20)

        model.denoiser.on_call = on_call
        async with ready(make(model)) as engine:
            first = engine.generate(params(1))
            assert [await anext(first), await anext(first)] == [JobQueued(0), StepCompleted(1, 4)]
            assert await anext(first) == StepCompleted(2, 4)
            await until(lambda: len(calls) == 3)
            assert engine.stats().backlog_s == pytest.approx(4.0)  # of six at the end
            with pytest.raises(QueueFullError, match="1 job is queued ahead"):
                await anext(engine.generate(params(2), JobContext(timeout_s=9.0)))
            second = asyncio.create_task(events(engine, params(2)))
            await until(lambda: engine.stats().num_queued == 1)
            assert engine.stats().backlog_s == pytest.approx(8.0)
            gate.set()
            assert pixels([event async for event in first][-1]) and pixels((await second)[-1])

    run(main())


def test_stopped_engine_starts_again() -> None:
    """An engine that restarts, also in another event loop, gives the same bytes."""
    engine = make(ToyModel())
    images = []

    async def main() -> None:
        async with ready(engine):
            images.append(pixels((await events(engine, params()))[-1]))

    run(main())
    run(main())
    assert images[0] == images[1]


def test_closed_event_loop() -> None:
    """If an event loop closes while a job of it runs, only that job is cancelled."""
    model = ToyModel()
    gate = threading.Event()
    engine = make(model)
    loop = asyncio.new_event_loop()
    loop.run_until_complete(engine.start())
    loop.run_until_complete(until(lambda: bool(engine.stats().is_ready)))
    model.on_pipeline = lambda: gate.wait(20)
    orphan = engine.generate(params(1))
    assert loop.run_until_complete(anext(orphan)) == JobQueued(0)
    loop.close()
    gate.set()

    async def main() -> None:
        await until(lambda: bool(engine.stats().num_cancelled == 1))
        assert pixels((await events(engine, params(2)))[-1])
        await engine.stop()

    run(main())
    assert engine.stats().num_succeeded == 1


def test_bug_in_a_step(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """A bug in the engine fails the current jobs and is logged; the engine continues."""

    async def main() -> None:
        model = ToyModel()
        async with ready(make(model)) as engine:
            with monkeypatch.context() as patch:
                patch.setattr(engine._loop._scheduler, "schedule", lambda: [99])
                assert isinstance(error((await events(engine, params(1)))[-1]), InternalError)
            assert model.closed == [1]
            assert pixels((await events(engine, params(1)))[-1])

    run(main())
    assert "KeyError: 99" in caplog.text
