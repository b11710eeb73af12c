"""Merging, splitting, and which networks get a certificate."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daguerre.engine.batching.batcher import Batcher, evaluate, merge, split
from daguerre.engine.batching.certificates import BatchConfig, CertificateStore
from daguerre.engine.batching.timings import NUM_TIMED
from daguerre.engine.batching.verification import CHECKS, is_same, noise
from daguerre.engine.forward import ForwardRequest, Inputs, Network
from engine.networks import (
    Clock,
    LoudNetwork,
    PlaceNetwork,
    PreparingNetwork,
    ProbedNetwork,
    RowCountNetwork,
    SharedMemoryNetwork,
    ToyMemoryProbe,
    ToyNetwork,
    forward,
)


def batcher(network: ToyNetwork, path: Path | None = None) -> Batcher:
    return Batcher(CertificateStore(path), network.clock)


def certify(network: ToyNetwork, path: Path | None = None, jobs: int = 2) -> Batcher:
    """Runs groups of `jobs` jobs of two rows until the claim is decided."""
    mine = batcher(network, path)
    for turn in range(len(CHECKS)):
        mine.run(network, [forward(seed=10 * turn + job) for job in range(jobs)])
    return mine


def num_sharing(mine: Batcher, network: Network, jobs: int, max_batch_size: int = 16) -> int:
    rows = [2] * jobs
    return mine.num_sharing(network.fingerprint, forward().signature, rows, max_batch_size)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=6))
def test_split_undoes_merge(rows: list[int]) -> None:
    """Whatever the split, every job gets back its own rows and the plain values are kept."""
    x = [np.random.default_rng(i).random((n, 2, 3), np.float32) for i, n in enumerate(rows)]
    forwards = [ForwardRequest("n", {"x": array, "mode": "fast"}, "denoise") for array in x]
    inputs = merge(forwards)
    assert inputs["mode"] == "fast"
    merged = inputs["x"]
    assert isinstance(merged, np.ndarray) and len(merged) == sum(rows)
    for mine, array in zip(split((merged,), rows), x, strict=True):
        assert is_same(mine, (array,))


def test_unlike_forwards_do_not_merge() -> None:
    """Merging two signatures is a bug, found where it happens."""
    with pytest.raises(AssertionError, match="bug"):
        merge([forward(width=3), forward(width=4)])


def test_sameness_is_of_bits() -> None:
    """0.0 is not -0.0, a NaN is itself, and dtype and shape count."""
    zero = np.zeros(2, np.float32)
    nan = np.full(2, np.nan, np.float32)
    assert is_same((nan,), (nan.copy(),))
    assert not is_same((zero,), (-zero,))
    assert not is_same((zero,), (zero.view(np.int32),))
    assert not is_same((zero,), (zero.reshape(2, 1),))
    assert not is_same((zero,), (zero, zero))


def test_noise_keeps_the_signature_and_what_indices_may_be() -> None:
    """Noise fits where the rows fit; whole numbers stay among those that were there."""
    ids = np.arange(12).reshape(2, 6)
    half = np.full((2, 3), 6e4, np.float16)  # loud noise does not fit into it: that is no error
    masked = np.array([[0, -np.inf], [0, 0]], np.float32)
    real = ForwardRequest("n", {"ids": ids, "half": half, "masked": masked, "mode": 1}, "encode")
    other = noise(real, np.random.default_rng(0))
    assert other.signature == real.signature
    assert sorted(other.arrays["ids"].ravel()) == list(range(12))
    assert not is_same((other.arrays["ids"],), (ids,))
    assert np.isfinite(other.arrays["masked"]).all()


@pytest.mark.parametrize("rows", [(2, 2), (1, 1, 1), (1, 2), (1, 1, 2, 2, 2)])
def test_trials_seat_every_job_and_keep_the_layout(rows: tuple[int, ...]) -> None:
    """A job sits only at a place with as many rows, and each is compared beside noise once."""
    beside_noise = []
    for trial in CHECKS:
        seats = trial(rows)
        assert len(seats) == len(rows)
        assert all(rows[job] == rows[place] for place, job in enumerate(seats) if job is not None)
        if None in seats:
            beside_noise += [job for job in seats if job is not None]
    assert sorted(beside_noise) == list(range(len(rows)))


def test_exact_network_is_certified_then_shared() -> None:
    """Each trial is one shared call beside the lone runs; afterwards all calls are shared."""
    network = ToyNetwork("denoiser")
    mine = certify(network)
    assert network.calls == [2, 2, 4] * len(CHECKS)
    assert num_sharing(mine, network, jobs=2) == 2
    outcomes = mine.run(network, [forward(seed=1), forward(seed=2)])
    assert network.calls[-1] == 4 and network.calls[-2] == 4
    for outcome, seed in zip(outcomes, (1, 2), strict=True):
        alone = evaluate(network, merge([forward(seed=seed)]), 2)
        assert outcome.outputs is not None and is_same(outcome.outputs, alone)


def test_preparing_comes_before_each_evaluation_and_is_not_timed() -> None:
    """Alone, on trial and shared; else what is done once would speak against sharing."""
    network = PreparingNetwork("denoiser")
    clock = network.clock

    def prepare() -> None:
        clock.now_s += 1000

    network.on_prepare = prepare
    mine = certify(network)
    assert network.prepared == [2, 4] and num_sharing(mine, network, jobs=2) == 2
    mine.run(network, [forward(seed=1), forward(seed=2)])
    assert mine._costs.cost(BatchConfig(network.fingerprint, forward().signature, (2, 2))) == 1.0


@pytest.mark.parametrize("kind", [RowCountNetwork, PlaceNetwork, LoudNetwork, SharedMemoryNetwork])
def test_network_that_is_not_exact_is_refused(kind: type[ToyNetwork]) -> None:
    """A network whose rows depend on their number, place or neighbours is never shared, and all
    the answers given meanwhile are those of the job alone."""
    network = kind("denoiser")
    mine = batcher(network)
    for turn in range(len(CHECKS) + 1):
        forwards = [forward(seed=10 * turn + job) for job in (0, 1)]
        count = num_sharing(mine, network, jobs=2)
        outcomes = mine.run(network, forwards[:count])
        for outcome, asked in zip(outcomes, forwards, strict=False):
            alone = evaluate(kind("denoiser"), merge([asked]), 2)
            assert outcome.outputs is not None and is_same(outcome.outputs, alone)
    assert count == 1


def test_sharing_that_does_not_pay_is_not_used() -> None:
    """Where a second job costs a shared forward as much as its own, the proof holds unused."""
    network = ToyNetwork("denoiser", join_cost=1.0)
    certificates = CertificateStore()
    mine = Batcher(certificates, network.clock)
    for _ in CHECKS:
        mine.run(network, [forward(seed=1), forward(seed=2)])
    assert list(certificates.held({network.fingerprint}).values()) == [True]
    assert num_sharing(mine, network, jobs=2) == 1


@pytest.mark.parametrize(("before", "now", "count"), [(1.0, 0.0, 2), (0.0, 1.0, 1)])
def test_cost_is_timed_by_each_process(
    tmp_path: Path, before: float, now: float, count: int
) -> None:
    """What sharing cost while it was proved, perhaps on a busy machine, decides nothing after a
    restart (a bug was): lone and shared runs are timed again, with no trial, and decide."""
    path = tmp_path / "certificates.json"
    certify(ToyNetwork("denoiser", join_cost=before), path)
    network = ToyNetwork("denoiser", join_cost=now)
    mine = batcher(network, path)
    chosen = []
    for turn in range(2 * NUM_TIMED + 1):
        chosen.append(num_sharing(mine, network, jobs=2))
        mine.run(network, [forward(seed=10 * turn + job) for job in range(chosen[-1])])
    assert chosen == [1] * NUM_TIMED + [2] * NUM_TIMED + [count]
    assert network.calls == [2 * number for number in chosen]


def test_warming_up_is_not_a_cost() -> None:
    """The first run of a shape, slow as it may be, does not keep jobs from sharing."""
    network = ToyNetwork("denoiser")

    def warm_up(inputs: Inputs) -> None:
        network.clock.now_s += 100.0 * (network.calls == [2, 2, 4])

    network.on_call = warm_up
    assert num_sharing(certify(network), network, jobs=2) == 2


def test_climbs_one_job_at_a_time() -> None:
    """With two jobs certified, three are tried next, whatever the number that asks."""
    network = ToyNetwork("denoiser")
    assert num_sharing(batcher(network), network, jobs=8) == 2
    assert num_sharing(certify(network), network, jobs=8) == 3


def test_cap_of_rows_is_kept() -> None:
    """No more rows share a forward than the model allows."""
    network = ToyNetwork("denoiser")
    assert num_sharing(certify(network), network, jobs=8, max_batch_size=5) == 2
    assert num_sharing(certify(network), network, jobs=8, max_batch_size=3) == 1


def test_failed_merge_runs_each_alone() -> None:
    """When a shared forward raises, its jobs get lone runs, only the culprit fails, and the claim
    is refused until the next start."""
    network = ToyNetwork("denoiser")
    mine = certify(network)

    def poison(inputs: Inputs) -> None:
        x = inputs["x"]
        assert isinstance(x, np.ndarray)
        if np.isnan(x).any():
            raise ZeroDivisionError("poison")

    network.on_call = poison
    bad = ForwardRequest("denoiser", {"x": np.full((2, 3), np.nan, np.float32)}, "denoise")
    good, failed = mine.run(network, [forward(), bad])
    assert good.outputs is not None and good.error is None
    assert failed.outputs is None and isinstance(failed.error, ZeroDivisionError)
    assert num_sharing(mine, network, jobs=2) == 1


def test_failed_trial_costs_no_job_its_answer() -> None:
    """A network that cannot take the rows of a trial is refused sharing, and no job fails."""
    network = ToyNetwork("denoiser")

    def too_small(inputs: Inputs) -> None:
        x = inputs["x"]
        assert isinstance(x, np.ndarray)
        if len(x) > 2:
            raise MemoryError

    network.on_call = too_small
    mine = batcher(network)
    outcomes = mine.run(network, [forward(seed=1), forward(seed=2)])
    assert all(outcome.outputs is not None for outcome in outcomes)
    assert num_sharing(mine, network, jobs=2) == 1


def test_wrong_number_of_rows_is_an_error() -> None:
    """Outputs that do not have the rows of the inputs are refused, not cut to size."""

    class Short(ToyNetwork):
        def compute(self, x: np.typing.NDArray[np.float32]) -> np.typing.NDArray[np.float32]:
            return x[:1]

    network = Short("denoiser")
    (outcome,) = batcher(network).run(network, [forward()])
    assert isinstance(outcome.error, ValueError) and "1 rows for 2" in str(outcome.error)


def test_cost_is_shared_by_rows() -> None:
    """The time of a shared forward is divided among its jobs by their rows."""
    network = ToyNetwork("denoiser", clock=Clock(), forward_s=6.0)
    mine = batcher(network)
    for _ in range(len(CHECKS) + 1):
        outcomes = mine.run(network, [forward(rows=1), forward(rows=2)])
    assert [outcome.cost_s for outcome in outcomes] == [2.0, 4.0]


def test_label_names_signature_and_split() -> None:
    """What /metrics shows of a claim says which rows of what are shared."""
    claim = BatchConfig("print", forward().signature, (1, 2))
    assert claim.label == "denoiser(x float32[3]) rows 1+2"


def climb(mine: Batcher, network: ToyNetwork, jobs: int) -> int:
    """Runs groups as large as they may be until they grow no more; how many share at last."""
    for turn in range(jobs * (len(CHECKS) + 1)):
        count = num_sharing(mine, network, jobs)
        outcomes = mine.run(network, [forward(seed=10 * turn + job) for job in range(count)])
        assert all(outcome.outputs is not None for outcome in outcomes)
    return num_sharing(mine, network, jobs)


@pytest.mark.parametrize(
    ("memory_probe", "count"),
    [
        (ToyMemoryProbe(900), 4),
        (ToyMemoryProbe(800), 4),
        (ToyMemoryProbe(799), 3),
        (ToyMemoryProbe(399), 1),
        (ToyMemoryProbe(100 + 600, fixed=100, has_fixed_overhead=True), 3),
        (ToyMemoryProbe(100 + 400, fixed=100, has_fixed_overhead=True), 2),
    ],
)
def test_no_more_rows_than_memory_for_them(
    memory_probe: ToyMemoryProbe, count: int, caplog: pytest.LogCaptureFixture
) -> None:
    """By what fewer rows took, to the byte: no group fails for memory, and none is smaller than it
    need be. (Two rows a job, 100 bytes a row.)"""
    network = ProbedNetwork("denoiser", memory_probe=memory_probe)
    with caplog.at_level(logging.INFO, "daguerre"):
        assert climb(batcher(network), network, jobs=5) == count
    told = [record.getMessage() for record in caplog.records if "are free" in record.getMessage()]
    assert len(told) == 1 and f"{2 * count + 2} rows would take" in told[0]
    assert "failed" not in caplog.text


def test_one_measurement_is_no_line_through_a_fixed_part(caplog: pytest.LogCaptureFixture) -> None:
    """Where a part does not grow with the rows, what a job alone takes does not double for two:
    they are tried, and only what is sure not to fit is not."""
    memory_probe = ToyMemoryProbe(1000 + 400, fixed=1000, has_fixed_overhead=True)
    network = ProbedNetwork("denoiser", memory_probe=memory_probe)
    assert climb(batcher(network), network, jobs=4) == 2
    tight = ProbedNetwork(
        "denoiser", memory_probe=ToyMemoryProbe(1300, fixed=1000, has_fixed_overhead=True)
    )
    assert climb(batcher(tight), tight, jobs=4) == 1
    assert "failed on trial" in caplog.text  # the one try that measuring cannot spare


def test_memory_that_others_take_and_give_back() -> None:
    """What is free now counts, also for rows that were shared before."""
    network = ProbedNetwork("denoiser", memory_probe=ToyMemoryProbe(10_000))
    mine = batcher(network)
    assert climb(mine, network, jobs=4) == 4
    for free, count in ((799, 3), (500, 2), (100, 1), (10_000, 4)):
        network.memory_probe.num_free = free
        network.clock.now_s += 1
        assert num_sharing(mine, network, jobs=4) == count


def test_what_is_done_for_all_rows_is_not_counted_for_each() -> None:
    """A conversion may take much more than a forward, and says nothing of more rows."""
    memory_probe = ToyMemoryProbe(1000)
    network = ProbedNetwork(
        "denoiser", memory_probe=memory_probe, on_prepare=lambda: memory_probe.take(1000)
    )
    assert climb(batcher(network), network, jobs=5) == 5


def test_what_nobody_can_measure_is_not_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A system that does not say what was taken keeps no job from sharing."""
    memory_probe = ToyMemoryProbe(1 << 40)
    monkeypatch.setattr(memory_probe, "num_bytes", lambda: None)
    monkeypatch.setattr(memory_probe, "free", lambda: 0)
    network = ProbedNetwork("denoiser", memory_probe=memory_probe)
    assert climb(batcher(network), network, jobs=3) == 3


def test_out_of_memory_halves_the_group() -> None:
    """Eight jobs of which four fit are run four and four, and from then on no more are tried; all
    get the bits that they get alone."""
    network = ToyNetwork("denoiser")
    mine = batcher(network)
    asked = [forward(seed=seed) for seed in range(8)]
    for count in range(2, 9):
        for _ in range(len(CHECKS)):
            mine.run(network, asked[:count])
    assert num_sharing(mine, network, 8) == 8

    def fill_memory(inputs: Inputs) -> None:
        x = inputs["x"]
        assert isinstance(x, np.ndarray)
        if len(x) > 8:
            raise RuntimeError("CUDA out of memory")

    alone = [mine.run(network, [one])[0].outputs for one in asked]
    network.on_call = fill_memory
    network.calls.clear()
    outcomes = mine.run(network, asked)
    assert network.calls == [16, 8, 8]
    assert all(is_same(o.outputs or (), a or ()) for o, a in zip(outcomes, alone, strict=True))
    network.on_call = lambda inputs: None
    assert num_sharing(mine, network, 8) == 7


def test_out_of_memory_down_to_one() -> None:
    """Where not even two fit, each is run alone, and only what does not fit alone fails."""
    network = ToyNetwork("denoiser")
    mine = batcher(network)
    asked = [forward(seed=seed) for seed in range(4)]
    for count in (2, 3, 4):
        for _ in range(len(CHECKS)):
            mine.run(network, asked[:count])

    def fill_memory(inputs: Inputs) -> None:
        x = inputs["x"]
        assert isinstance(x, np.ndarray)
        if len(x) > 2 or np.array_equal(x, np.asarray(asked[3].inputs["x"])):
            raise MemoryError

    network.on_call = fill_memory
    outcomes = mine.run(network, asked)
    assert [outcome.outputs is not None for outcome in outcomes] == [True, True, True, False]
    assert isinstance(outcomes[3].error, MemoryError)
