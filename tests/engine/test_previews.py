"""Previews: when they come, what they are drawn from, and that the image does not know of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from daguerre.engine.forward import Outputs
from daguerre.engine.pipeline import Pixels
from daguerre.engine.previews import preview_steps
from daguerre.params import MAX_PREVIEWS, Event, StepCompleted
from engine.networks import ToyModel, params, shade
from engine.scenes import events, make, pixels, ready, run, together


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
    assert preview_steps(num_steps, num_previews) == steps


def test_due_is_spaced_evenly() -> None:
    """Whatever the number of steps, as many as wanted where there are enough, at even distances."""
    for num_steps in range(1, 120):
        for num_previews in range(MAX_PREVIEWS + 1):
            steps = sorted(preview_steps(num_steps, num_previews))
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
