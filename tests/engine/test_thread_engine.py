"""The thread engine: events, batching, equal bytes, and isolated failures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from daguerre.engine.forward import Inputs
from daguerre.errors import InternalError
from daguerre.params import JobQueued, JobSucceeded, StepCompleted
from engine.harness import error, events, make, pixels, ready, run, together
from engine.networks import (
    ChangingNetwork,
    LoudNetwork,
    RowCountNetwork,
    ToyModel,
    ToyNetwork,
    params,
)

STEPS = [StepCompleted(index, 4) for index in range(1, 5)]


def test_one_job_event_by_event() -> None:
    """A job yields its position, its steps in order, and its image with timings."""

    async def main() -> None:
        model = ToyModel()
        async with ready(make(model)) as engine:
            *before, last = await events(engine, params())
            assert before == [JobQueued(0), *STEPS]
            assert isinstance(last, JobSucceeded)
            image = last.image
            assert image.pixels.shape == (8, 8, 3)
            assert image.pixels.dtype == np.uint8
            assert (image.params, image.model_info) == (params(), model.info)
            times = image.timings
            assert (times.queue_ms, times.encode_ms) == (0, 1000)
            assert (times.denoise_ms, times.decode_ms) == (4000, 1000)
            stats = engine.stats()
            assert (stats.num_succeeded, stats.num_queued, stats.num_running) == (1, 0, 0)
            assert (
                stats.num_forwards,
                stats.num_rows,
                stats.job_interval_s,
            ) == (6, 10, 6.0)

    run(main())


def test_two_jobs_share_batches(tmp_path: Path) -> None:
    """After verification, two jobs need as many denoiser calls as one. After a restart, batches are
    only timed again: three forwards alone, three in a batch."""

    async def main(is_certified: bool) -> None:
        model = ToyModel()
        path = tmp_path / "certificates.json"
        async with ready(make(model, path=path)) as engine:
            await together(engine, model, [params(1), params(2)])
            first = [2, 2, 2, 4, 2, 2, 2] if is_certified else [2, 2, 4] * 4
            assert model.denoiser.calls == first
            model.denoiser.calls.clear()
            await together(engine, model, [params(3), params(4)])
            assert model.denoiser.calls == [4] * 4
            label = "denoiser(size 8, t float32[1], x float32[3]) rows 2+2"
            assert engine.stats().certificates == {label: True}

    run(main(is_certified=False))
    run(main(is_certified=True))


@pytest.mark.parametrize("kind", [ToyNetwork, RowCountNetwork, LoudNetwork])
@pytest.mark.parametrize("order", [1, -1])
def test_bytes_are_those_of_the_job_alone(kind: type[ToyNetwork], order: int) -> None:
    """Beside 7 others, in any order, verified or not, an image has the bytes that it has alone."""
    requests = [params(seed, prompt="x" * seed) for seed in range(1, 9)]

    async def main() -> None:
        alone = {}
        for one in requests:
            async with ready(make(ToyModel(kind("denoiser"), num_steps=40))) as engine:
                alone[one.seed] = pixels((await events(engine, one))[-1])
        assert len(set(alone.values())) == len(requests)
        model = ToyModel(kind("denoiser"), num_steps=40)
        async with ready(make(model)) as engine:
            for _ in range(2):  # during verification and after it
                ends = await together(engine, model, requests[::order])
                assert [pixels(end) for end in ends] == [alone[p.seed] for p in requests[::order]]
        assert max(model.denoiser.calls) == (16 if kind is ToyNetwork else 4)

    run(main())


def test_low_bits_show_in_the_pixels() -> None:
    """The test above can fail: in one batch, the inexact network gives different bytes."""
    x = np.random.default_rng(1).random((2, 3), np.float32)
    network = RowCountNetwork("denoiser")
    (alone,), (batched,) = network({"x": x}), network({"x": np.concatenate([x, x])})
    assert alone.tobytes() != batched[:2].tobytes()


def test_jobs_run_in_order_of_arrival_without_batching() -> None:
    """If a batch is no faster, jobs run to their end in order of arrival."""

    async def main() -> None:
        model = ToyModel(ToyNetwork("denoiser", added_cost=1.0))
        async with ready(make(model)) as engine:
            await together(engine, model, [params(1), params(2)])
            model.denoiser.calls.clear()
            model.closed.clear()
            ends = await together(engine, model, [params(3), params(4), params(5)])
            assert model.closed == [3, 4, 5]
            assert model.denoiser.calls == [2] * 12
            # A job alone takes 1 + 4 * 2 + 1 seconds; the encodes of later jobs also wait.
            assert [end.image.timings.queue_ms for end in ends] == [0, 10_000, 20_000]

    run(main())


def test_sizes_do_not_mix() -> None:
    """Jobs with different signatures run concurrently, but never in one batch."""

    async def main() -> None:
        model = ToyModel()
        async with ready(make(model)) as engine:
            ends = await together(engine, model, [params(1, width=8), params(2, width=16)])
            assert [end.image.pixels.shape[1] for end in ends] == [8, 16]
            assert set(model.denoiser.calls) == {2}
            assert engine.stats().certificates == {}

    run(main())


def test_failure_in_a_pipeline_is_isolated(caplog: pytest.LogCaptureFixture) -> None:
    """A pipeline or a `batch_class` that raises, or pixels of another size, fail one job alone. The
    traceback is in the log and not in the message."""

    async def main() -> None:
        model = ToyModel()
        async with ready(make(model)) as engine:
            prompts = ["a cat", "poison", "a cat", "wide", "classless"]
            requests = [params(seed, prompt) for seed, prompt in enumerate(prompts, 1)]
            good, poison, also_good, wide, classless = await together(engine, model, requests)
            assert pixels(good) and pixels(also_good)
            for end in (poison, wide, classless):
                assert isinstance(error(end), InternalError)
                assert str(error(end)) == "the image could not be generated; see the log"
            stats = engine.stats()
            assert (stats.num_succeeded, stats.num_failed) == (2, 3)
            assert pixels((await events(engine, params(1)))[-1]) == pixels(good)

    run(main())
    assert "poison in the pipeline" in caplog.text and "no batch class" in caplog.text
    assert "(8, 9, 3) instead of uint8 (8, 8, 3)" in caplog.text


def test_failure_in_a_batch_is_isolated() -> None:
    """If one job's rows make a batch raise, the others get the bytes that they get alone."""

    def refuse_nan(inputs: Inputs) -> None:
        arrays = [value for value in inputs.values() if isinstance(value, np.ndarray)]
        if any(np.isnan(array).any() for array in arrays):
            raise FloatingPointError("not a number")

    async def main() -> None:
        model = ToyModel()
        async with ready(make(model)) as engine:
            alone = pixels((await events(engine, params(1)))[-1])
            await together(engine, model, [params(2), params(3)])  # verifies
            model.denoiser.on_call = refuse_nan
            good, bad = await together(engine, model, [params(1), params(2, "nan")])
            assert pixels(good) == alone
            assert isinstance(error(bad), InternalError)

    run(main())


@pytest.mark.parametrize("changes_at", [1, 3, 4])
def test_each_step_is_reported_once(changes_at: int) -> None:
    """A job whose network changes restarts, but reports no step again."""

    async def main() -> None:
        model = ToyModel(ChangingNetwork("denoiser", changes_at=changes_at))
        async with ready(make(model)) as engine:
            assert [one for one in await events(engine, params()) if one in STEPS] == STEPS

    run(main())


@pytest.mark.parametrize("changes_at", [1, 2, 3, 9, 14])
def test_network_that_changes_keeps_the_seed_promise(changes_at: int) -> None:
    """If a network changes, unfinished jobs get the bytes of the new one: no image mixes both, and
    no job fails."""
    requests = [params(seed) for seed in (1, 2, 3)]

    async def main() -> None:
        other = ToyModel(ChangingNetwork("denoiser", changes_at=0))
        async with ready(make(other)) as engine:
            alone = [pixels((await events(engine, one))[-1]) for one in requests]
        model = ToyModel(ChangingNetwork("denoiser", changes_at=changes_at))
        async with ready(make(model)) as engine:
            first = await together(engine, model, requests)
            assert [pixels(end) for end in await together(engine, model, requests)] == alone
            assert engine.stats().num_failed == 0
            if changes_at <= 3:  # before the first of them has ended
                assert [pixels(end) for end in first] == alone

    run(main())


def test_throughput_mode_batches_without_verification() -> None:
    """An inexact network is batched once it is timed. There are no certificates, and the low bits
    differ from those of a job alone."""
    requests = [params(seed) for seed in (1, 2, 3, 4)]

    async def main() -> None:
        model = ToyModel(RowCountNetwork("denoiser"), num_steps=40, batching="throughput")
        async with ready(make(model)) as engine:
            alone = [pixels((await events(engine, one))[-1]) for one in requests]
            await together(engine, model, requests)
            model.denoiser.calls.clear()
            ends = await together(engine, model, requests)
            assert model.denoiser.calls == [8] * 40
            assert [pixels(end) for end in ends] != alone
            assert engine.stats().certificates == {}

    run(main())
