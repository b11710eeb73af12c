"""Previews: when they come, what they are drawn from, and that the image does not know of them."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from daguerre.engine.forward import Outputs, Promise
from daguerre.engine.pipeline import Pixels
from daguerre.engine.previews import ProgressFilter, due
from daguerre.params import MAX_PREVIEWS, Event, JobSucceeded, StepCompleted
from engine.networks import ToyModel, params, shade
from engine.scenes import events, make, pixels, ready, run, together, until


def shown(told: Sequence[Event]) -> list[int]:
    """The steps that came with a preview."""
    return [e.index for e in told if isinstance(e, StepCompleted) and e.preview is not None]


@pytest.mark.parametrize(
    ("num_steps", "num_previews", "steps"),
    [
        (20, 0, set()),
        (20, 1, {10}),
        (20, 2, {6, 13}),
        (20, 3, {5, 10, 15}),
        (4, 3, {1, 2, 3}),
        (3, 3, {1, 2}),
        (2, 3, {1}),
        (1, 3, set()),
    ],
)
def test_due(num_steps: int, num_previews: int, steps: set[int]) -> None:
    """Evenly spaced, before the last step, and fewer where there are few steps."""
    assert due(num_steps, num_previews) == steps


def test_due_is_spaced_evenly() -> None:
    """Whatever the number of steps, as many as wanted where there are enough, at even distances."""
    for num_steps in range(1, 120):
        for num_previews in range(MAX_PREVIEWS + 1):
            steps = sorted(due(num_steps, num_previews))
            assert len(steps) == min(num_previews, num_steps - 1)
            assert all(0 < step < num_steps for step in steps)
            gaps = np.diff([0, *steps, num_steps])
            assert np.ptp(gaps) <= 1 or num_steps <= num_previews


def test_drawn_from_the_step() -> None:
    """A preview is what the model draws from the outputs of that very step."""
    drawn: list[Pixels] = []

    def draw(outputs: Outputs) -> Pixels:
        drawn.append(shade(outputs))
        return drawn[-1]

    async def scene() -> None:
        model = ToyModel(num_steps=9, preview=draw)
        async with ready(make(model)) as engine:
            told = await events(engine, replace(params(), num_previews=2))
            assert shown(told) == [3, 6] and len(drawn) == 2
            for step in (3, 6):
                event = told[step]
                assert isinstance(event, StepCompleted) and event.preview is not None
                assert np.array_equal(event.preview, drawn[step // 3 - 1])
            assert not np.array_equal(drawn[0], drawn[1])
            await events(engine, params())
            assert len(drawn) == 2  # nothing is drawn that nobody asked for

    run(scene())


def test_image_does_not_know(tmp_path: Path) -> None:
    """Alone and sharing forwards with jobs without previews, the bytes are the same, and so are the
    forwards and the certificates."""

    async def scene() -> None:
        model = ToyModel()
        async with ready(make(model)) as engine:
            plain = await together(engine, model, [params(1), params(2)])
            calls, certificates = list(model.denoiser.calls), engine.stats().certificates
        model = ToyModel()
        async with ready(make(model)) as engine:
            watched = [replace(params(1), num_previews=3), params(2)]
            assert [pixels(end) for end in await together(engine, model, watched)] == [
                pixels(end) for end in plain
            ]
            assert model.denoiser.calls == calls and max(calls) == 4
            assert engine.stats().certificates == certificates

    run(scene())


def test_wish_is_no_part_of_the_request() -> None:
    """Parameters that differ in the previews alone are equal, also as keys."""
    watched = replace(params(), num_previews=3)
    assert watched == params() and hash(watched) == hash(params())


@pytest.mark.parametrize(
    "wrong",
    [
        lambda outputs: 1 / 0,
        lambda outputs: np.zeros((4, 4), np.uint8),
        lambda outputs: np.zeros((4, 4, 3), np.float32),
        lambda outputs: np.zeros((0, 4, 3), np.uint8),
    ],
)
def test_preview_that_cannot_be_drawn(wrong: object, caplog: pytest.LogCaptureFixture) -> None:
    """A failure to draw one is in the log, and neither fails the job nor changes it."""

    async def scene() -> None:
        async with ready(make(ToyModel())) as engine:
            plain = pixels((await events(engine, params()))[-1])
        async with ready(make(ToyModel(preview=wrong))) as engine:  # type: ignore[arg-type]
            told = await events(engine, replace(params(), num_previews=3))
            assert shown(told) == [] and pixels(told[-1]) == plain

    run(scene())
    assert "no preview after step 1 of 4 of denoiser" in caplog.text


class Promising:
    """Has none of its previews drawn, and remembers what it promised."""

    def __init__(self) -> None:
        self.promises: list[Future[Pixels]] = []
        self.pixels: list[Pixels] = []
        self.drawn: list[int] = []  # which the engine drew itself

    def __call__(self, outputs: Outputs) -> Promise:
        index = len(self.promises)
        self.promises.append(Future())
        self.pixels.append(shade(outputs))
        return Promise(self.promises[index], lambda: self.draw(index))

    def draw(self, index: int) -> Pixels:
        self.drawn.append(index)
        return self.pixels[index]

    def keep(self, index: int) -> None:
        self.promises[index].set_result(self.pixels[index])


def test_promised_previews_come_with_later_steps() -> None:
    """Each is told by the first step that ends when it is drawn, in their order, one by each; what
    comes after the last step is told before the image, with that step again."""
    draw = Promising()
    # Which promise is kept in which forward.
    kept = {5: [1], 6: [0], 8: [2]}

    async def scene() -> None:
        model = ToyModel(num_steps=8, preview=draw)

        def on_call(inputs: object) -> None:
            for index in kept.get(len(model.denoiser.calls), []):
                draw.keep(index)

        model.denoiser.on_call = on_call
        async with ready(make(model)) as engine:
            told = await events(engine, replace(params(), num_previews=3))  # after 2, 4 and 6
        assert shown(told) == [6, 7, 8]
        found = [e.preview for e in told if isinstance(e, StepCompleted) and e.preview is not None]
        assert all(np.array_equal(a, b) for a, b in zip(found, draw.pixels, strict=True))

    run(scene())


def test_preview_after_the_last_step() -> None:
    """One that is drawn while the image is decoded is told; the steps are told once beside it."""
    draw = Promising()

    async def scene() -> None:
        model = ToyModel(num_steps=2, preview=draw)
        async with ready(make(model)) as engine:
            decoder = engine._loop.residence.networks(model.name)["decoder"]
            decoder.on_call = lambda inputs: draw.keep(0)
            told = await events(engine, replace(params(), num_previews=1))
        assert [e.index for e in told if isinstance(e, StepCompleted)] == [1, 2, 2] and shown(
            told
        ) == [2]
        assert isinstance(told[-1], JobSucceeded)

    run(scene())


def test_promise_that_is_not_kept(caplog: pytest.LogCaptureFixture) -> None:
    """What fails elsewhere, or is not there when the image is, the engine draws: all that were due
    are told, and the image is the same."""
    draw = Promising()

    async def scene() -> None:
        async with ready(make(ToyModel())) as engine:
            plain = pixels((await events(engine, params()))[-1])
        model = ToyModel(preview=draw)

        def on_call(inputs: object) -> None:
            if len(draw.promises) == 1 and not draw.promises[0].done():
                draw.promises[0].set_exception(BrokenPipeError("it is gone"))

        model.denoiser.on_call = on_call
        async with ready(make(model)) as engine:
            told = await events(engine, replace(params(), num_previews=3))
        assert shown(told) == [2, 4, 4] and pixels(told[-1]) == plain
        assert draw.drawn == [0, 1, 2]
        found = [e.preview for e in told if isinstance(e, StepCompleted) and e.preview is not None]
        assert all(np.array_equal(a, b) for a, b in zip(found, draw.pixels, strict=True))
        assert [promise.cancelled() for promise in draw.promises] == [False, True, True]

    run(scene())
    assert "it is gone" in caplog.text


def test_promise_that_cannot_be_drawn(caplog: pytest.LogCaptureFixture) -> None:
    """Neither elsewhere nor here: the log says so, and the image is made."""

    def draw() -> Pixels:
        raise ValueError("no colours")

    async def scene() -> None:
        async with ready(make(ToyModel(preview=lambda outputs: Promise(Future(), draw)))) as engine:
            told = await events(engine, replace(params(), num_previews=1))
        assert shown(told) == [] and isinstance(told[-1], JobSucceeded)

    run(scene())
    assert "no preview after step 2 of 4 of denoiser" in caplog.text


def test_cancelled_job_waits_for_no_preview() -> None:
    """Whoever leaves takes what was promised along."""
    draw = Promising()

    async def scene() -> None:
        model = ToyModel(num_steps=1000, preview=draw)
        async with ready(make(model)) as engine:
            job = engine.generate(replace(params(), num_previews=3))
            async for _ in job:
                if draw.promises:
                    break
            await job.aclose()
            await until(lambda: draw.promises[0].cancelled())

    run(scene())


def test_what_is_heard_again() -> None:
    """Of a job that is run again no step is told twice but the last, with a preview that is late,
    and there are no more previews than were asked for."""
    drawn = np.zeros((2, 2, 3), np.uint8)
    heard = ProgressFilter()
    first = [StepCompleted(1, 4), StepCompleted(2, 4, drawn)]
    again = [
        StepCompleted(1, 4, drawn),
        StepCompleted(2, 4, drawn),
        StepCompleted(3, 4),
        *[StepCompleted(4, 4, drawn)] * 3,
        StepCompleted(4, 4),
    ]
    news = [heard.news(step, max_previews=3) for step in (*first, *again)]
    assert [step and step.index for step in news] == [1, 2, None, None, 3, 4, 4, None, None]
    shown = [step for step in news if step and step.preview is not None]
    assert [step.index for step in shown] == [2, 4, 4]
