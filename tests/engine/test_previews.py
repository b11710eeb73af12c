"""Previews: their steps and content, and that they do not affect the image."""

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
from engine.harness import events, make, pixels, ready, run, together
from engine.networks import ToyModel, params, shade


def shown(received: Sequence[Event]) -> list[int]:
    """The steps that have a preview."""
    return [e.index for e in received if isinstance(e, StepCompleted) and e.preview is not None]


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
def test_preview_steps(num_steps: int, num_previews: int, steps: set[int]) -> None:
    """Evenly spaced, before the last step, and fewer if there are few steps."""
    assert preview_steps(num_steps, num_previews) == steps


def test_preview_steps_are_evenly_spaced() -> None:
    """For any number of steps, distances are even, and no preview is missing if steps suffice."""
    for num_steps in range(1, 120):
        for num_previews in range(MAX_PREVIEWS + 1):
            steps = sorted(preview_steps(num_steps, num_previews))
            assert len(steps) == min(num_previews, num_steps - 1)
            assert all(0 < step < num_steps for step in steps)
            gaps = np.diff([0, *steps, num_steps])
            assert np.ptp(gaps) <= 1 or num_steps <= num_previews


def test_preview_is_drawn_from_its_step() -> None:
    """A preview is drawn from the outputs of its own step."""
    drawn: list[Pixels] = []

    def draw(outputs: Outputs) -> Pixels:
        drawn.append(shade(outputs))
        return drawn[-1]

    async def main() -> None:
        model = ToyModel(num_steps=9, preview=draw)
        async with ready(make(model)) as engine:
            received = await events(engine, replace(params(), num_previews=2))
            assert shown(received) == [3, 6] and len(drawn) == 2
            for step in (3, 6):
                event = received[step]
                assert isinstance(event, StepCompleted) and event.preview is not None
                assert np.array_equal(event.preview, drawn[step // 3 - 1])
            assert not np.array_equal(drawn[0], drawn[1])
            await events(engine, params())
            assert len(drawn) == 2  # no preview without a request for one

    run(main())


def test_previews_do_not_affect_the_image(tmp_path: Path) -> None:
    """With previews, alone or in a batch with jobs without them, the bytes, forwards and
    certificates are the same."""

    async def main() -> None:
        model = ToyModel()
        async with ready(make(model)) as engine:
            plain = await together(engine, model, [params(1), params(2)])
            calls, certificates = list(model.denoiser.calls), engine.stats().certificates
        model = ToyModel()
        async with ready(make(model)) as engine:
            with_previews = [replace(params(1), num_previews=3), params(2)]
            assert [pixels(end) for end in await together(engine, model, with_previews)] == [
                pixels(end) for end in plain
            ]
            assert model.denoiser.calls == calls and max(calls) == 4
            assert engine.stats().certificates == certificates

    run(main())


def test_num_previews_is_not_compared() -> None:
    """Parameters that differ only in the number of previews are equal, with equal hashes."""
    with_previews = replace(params(), num_previews=3)
    assert with_previews == params() and hash(with_previews) == hash(params())


@pytest.mark.parametrize(
    "wrong",
    [
        lambda outputs: 1 / 0,
        lambda outputs: np.zeros((4, 4), np.uint8),
        lambda outputs: np.zeros((4, 4, 3), np.float32),
        lambda outputs: np.zeros((0, 4, 3), np.uint8),
    ],
)
def test_failed_preview(wrong: object, caplog: pytest.LogCaptureFixture) -> None:
    """A preview that cannot be drawn is logged, and the image is the same."""

    async def main() -> None:
        async with ready(make(ToyModel())) as engine:
            plain = pixels((await events(engine, params()))[-1])
        async with ready(make(ToyModel(preview=wrong))) as engine:  # type: ignore[arg-type]
            received = await events(engine, replace(params(), num_previews=3))
            assert shown(received) == [] and pixels(received[-1]) == plain

    run(main())
    assert "no preview after step 1 of 4 of denoiser" in caplog.text
