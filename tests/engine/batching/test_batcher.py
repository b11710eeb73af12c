"""The batcher: merging, splitting, verification and memory limits."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daguerre.engine.batching.batcher import Batcher, batch_inputs, evaluate, split_outputs
from daguerre.engine.batching.certificates import BatchConfig, CertificateStore
from daguerre.engine.batching.timings import NUM_TIMED
from daguerre.engine.batching.verification import NUM_CHECKS, is_same, noise, placements
from daguerre.engine.forward import ForwardRequest, Inputs, Network
from engine.networks import (
    Clock,
    CompilingNetwork,
    LoudNetwork,
    PositionNetwork,
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
    """A batcher that has verified batches of `jobs` jobs with two rows each."""
    mine = batcher(network, path)
    for check in range(NUM_CHECKS):
        mine.run(network, [forward(seed=10 * check + job) for job in range(jobs)])
    return mine


def num_batch_jobs(mine: Batcher, network: Network, jobs: int, max_batch_size: int = 16) -> int:
    config = BatchConfig(network.fingerprint, forward().signature, (2,) * jobs)
    return mine.num_batch_jobs(config, max_batch_size)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=6))
def test_split_outputs_undoes_batch_inputs(rows: list[int]) -> None:
    """Every job gets its own rows back, and scalars are unchanged."""
    x = [np.random.default_rng(i).random((n, 2, 3), np.float32) for i, n in enumerate(rows)]
    forwards = [ForwardRequest("n", {"x": array, "mode": "fast"}, "denoise") for array in x]
    inputs = batch_inputs(forwards)
    assert inputs["mode"] == "fast"
    batched = inputs["x"]
    assert isinstance(batched, np.ndarray) and len(batched) == sum(rows)
    for mine, array in zip(split_outputs((batched,), rows), x, strict=True):
        assert is_same(mine, (array,))


def test_batch_of_two_signatures_is_a_bug() -> None:
    """Merging two signatures raises an assertion."""
    with pytest.raises(AssertionError, match="bug"):
        batch_inputs([forward(width=3), forward(width=4)])


def test_is_same_compares_bits() -> None:
    """0.0 differs from -0.0, a NaN equals itself, and dtype and shape count."""
    zero = np.zeros(2, np.float32)
    nan = np.full(2, np.nan, np.float32)
    assert is_same((nan,), (nan.copy(),))
    assert not is_same((zero,), (-zero,))
    assert not is_same((zero,), (zero.view(np.int32),))
    assert not is_same((zero,), (zero.reshape(2, 1),))
    assert not is_same((zero,), (zero, zero))


def test_noise_keeps_the_signature_and_valid_indices() -> None:
    """Noise has the signature of the rows that it replaces, and integers keep their values."""
    ids = np.arange(12).reshape(2, 6)
    half = np.full((2, 3), 6e4, np.float16)  # loud noise overflows, which is no error
    masked = np.array([[0, -np.inf], [0, 0]], np.float32)
    real = ForwardRequest("n", {"ids": ids, "half": half, "masked": masked, "mode": 1}, "encode")
    other = noise(real, np.random.default_rng(0))
    assert other.signature == real.signature
    assert sorted(other.arrays["ids"].ravel()) == list(range(12))
    assert not is_same((other.arrays["ids"],), (ids,))
    assert np.isfinite(other.arrays["masked"]).all()


@pytest.mark.parametrize("rows", [(2, 2), (1, 1, 1), (1, 2), (1, 1, 2, 2, 2)])
def test_checks_place_every_job_and_keep_the_rows(rows: tuple[int, ...]) -> None:
    """Positions keep their number of rows, and each job is compared beside noise once."""
    beside_noise = []
    assert len(placements(rows)) == NUM_CHECKS
    for placement in placements(rows):
        jobs = [(position, job) for position, job in enumerate(placement) if job is not None]
        assert len(placement) == len(rows)
        assert all(rows[job] == rows[position] for position, job in jobs)
        if None in placement:
            beside_noise += [job for _, job in jobs]
    assert sorted(beside_noise) == list(range(len(rows)))


def test_exact_network_is_verified_then_batched() -> None:
    """Each check is one batch besides the runs alone; after verification all runs are batches."""
    network = ToyNetwork("denoiser")
    mine = certify(network)
    assert network.calls == [2, 2, 4] * NUM_CHECKS
    assert num_batch_jobs(mine, network, jobs=2) == 2
    results = mine.run(network, [forward(seed=1), forward(seed=2)])
    assert network.calls[-1] == 4 and network.calls[-2] == 4
    for result, seed in zip(results, (1, 2), strict=True):
        alone = evaluate(network, batch_inputs([forward(seed=seed)]), 2)
        assert result.outputs is not None and is_same(result.outputs, alone)


def test_warmup_precedes_each_evaluation_and_is_not_timed() -> None:
    """Warm-up alone, in a check and in a batch does not make batching look slow."""
    network = CompilingNetwork("denoiser")
    clock = network.clock

    def compile() -> None:
        clock.now_s += 1000

    network.on_compile = compile
    mine = certify(network)
    assert network.compiled == [2, 4] and num_batch_jobs(mine, network, jobs=2) == 2
    mine.run(network, [forward(seed=1), forward(seed=2)])
    assert mine._timings.cost(BatchConfig(network.fingerprint, forward().signature, (2, 2))) == 1.0


@pytest.mark.parametrize(
    "kind", [RowCountNetwork, PositionNetwork, LoudNetwork, SharedMemoryNetwork]
)
def test_inexact_network_is_never_batched(kind: type[ToyNetwork]) -> None:
    """If rows depend on their number, position or neighbours, no batch is used, and every job gets
    the outputs that it gets alone."""
    network = kind("denoiser")
    mine = batcher(network)
    for check in range(NUM_CHECKS + 1):
        forwards = [forward(seed=10 * check + job) for job in (0, 1)]
        count = num_batch_jobs(mine, network, jobs=2)
        results = mine.run(network, forwards[:count])
        for result, one in zip(results, forwards, strict=False):
            alone = evaluate(kind("denoiser"), batch_inputs([one]), 2)
            assert result.outputs is not None and is_same(result.outputs, alone)
    assert count == 1


def test_slow_batch_is_not_used() -> None:
    """If a second job adds its full time to a batch, the certificate holds but is not used."""
    network = ToyNetwork("denoiser", added_cost=1.0)
    certificates = CertificateStore()
    mine = Batcher(certificates, network.clock)
    for _ in range(NUM_CHECKS):
        mine.run(network, [forward(seed=1), forward(seed=2)])
    assert list(certificates.results({network.fingerprint}).values()) == [True]
    assert num_batch_jobs(mine, network, jobs=2) == 1


@pytest.mark.parametrize(("before", "now", "count"), [(1.0, 0.0, 2), (0.0, 1.0, 1)])
def test_each_process_measures_the_cost(
    tmp_path: Path, before: float, now: float, count: int
) -> None:
    """The cost during verification, perhaps on a busy machine, is not used after a restart (a
    former bug). Runs alone and in a batch are timed again, without verification."""
    path = tmp_path / "certificates.json"
    certify(ToyNetwork("denoiser", added_cost=before), path)
    network = ToyNetwork("denoiser", added_cost=now)
    mine = batcher(network, path)
    chosen = []
    for run in range(2 * NUM_TIMED + 1):
        chosen.append(num_batch_jobs(mine, network, jobs=2))
        mine.run(network, [forward(seed=10 * run + job) for job in range(chosen[-1])])
    assert chosen == [1] * NUM_TIMED + [2] * NUM_TIMED + [count]
    assert network.calls == [2 * number for number in chosen]


def test_slow_first_run_is_not_a_cost() -> None:
    """A slow first run of a shape does not prevent batching."""
    network = ToyNetwork("denoiser")

    def warm_up(inputs: Inputs) -> None:
        network.clock.now_s += 100.0 * (network.calls == [2, 2, 4])

    network.on_call = warm_up
    assert num_batch_jobs(certify(network), network, jobs=2) == 2


def test_batches_grow_one_job_at_a_time() -> None:
    """After batches of two, batches of three are verified, however many jobs wait."""
    network = ToyNetwork("denoiser")
    assert num_batch_jobs(batcher(network), network, jobs=8) == 2
    assert num_batch_jobs(certify(network), network, jobs=8) == 3


def test_max_batch_size_is_kept() -> None:
    """A batch has at most `max_batch_size` rows."""
    network = ToyNetwork("denoiser")
    assert num_batch_jobs(certify(network), network, jobs=8, max_batch_size=5) == 2
    assert num_batch_jobs(certify(network), network, jobs=8, max_batch_size=3) == 1


def test_failed_batch_runs_each_job_alone() -> None:
    """If a batch raises, its jobs run alone, only the job that causes the error fails, and the
    batch is disabled until a restart."""
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
    assert num_batch_jobs(mine, network, jobs=2) == 1


def test_failed_verification_fails_no_job() -> None:
    """If a network fails on the rows of a check, it is not batched, and no job fails."""
    network = ToyNetwork("denoiser")

    def too_small(inputs: Inputs) -> None:
        x = inputs["x"]
        assert isinstance(x, np.ndarray)
        if len(x) > 2:
            raise MemoryError

    network.on_call = too_small
    mine = batcher(network)
    results = mine.run(network, [forward(seed=1), forward(seed=2)])
    assert all(result.outputs is not None for result in results)
    assert num_batch_jobs(mine, network, jobs=2) == 1


def test_wrong_number_of_rows_is_an_error() -> None:
    """Outputs with another number of rows than the inputs are an error."""

    class Short(ToyNetwork):
        def compute(self, x: np.typing.NDArray[np.float32]) -> np.typing.NDArray[np.float32]:
            return x[:1]

    network = Short("denoiser")
    (result,) = batcher(network).run(network, [forward()])
    assert isinstance(result.error, ValueError) and "1 rows for 2" in str(result.error)


def test_cost_is_divided_by_rows() -> None:
    """The time of a batch is divided among its jobs by their rows."""
    network = ToyNetwork("denoiser", clock=Clock(), forward_s=6.0)
    mine = batcher(network)
    for _ in range(NUM_CHECKS + 1):
        results = mine.run(network, [forward(rows=1), forward(rows=2)])
    assert [result.cost_s for result in results] == [2.0, 4.0]


def test_label_has_signature_and_rows() -> None:
    """The label in /metrics has the signature and the rows of each job."""
    config = BatchConfig("fingerprint", forward().signature, (1, 2))
    assert config.label == "denoiser(x float32[3]) rows 1+2"


def largest_batch(mine: Batcher, network: ToyNetwork, jobs: int) -> int:
    """Runs the largest allowed batches until they stop growing; returns their number of jobs."""
    for run in range(jobs * (NUM_CHECKS + 1)):
        count = num_batch_jobs(mine, network, jobs)
        results = mine.run(network, [forward(seed=10 * run + job) for job in range(count)])
        assert all(result.outputs is not None for result in results)
    return num_batch_jobs(mine, network, jobs)


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
def test_batch_fits_into_memory(
    memory_probe: ToyMemoryProbe, count: int, caplog: pytest.LogCaptureFixture
) -> None:
    """The prediction is exact to the byte: no batch runs out of memory, and none is too small. (A
    job has two rows, a row needs 100 bytes.)"""
    network = ProbedNetwork("denoiser", memory_probe=memory_probe)
    with caplog.at_level(logging.INFO, "daguerre"):
        assert largest_batch(batcher(network), network, jobs=5) == count
    (message,) = [r.getMessage() for r in caplog.records if "are free" in r.getMessage()]
    assert f"a batch of {2 * count + 2} rows needs" in message
    assert "failed" not in caplog.text


def test_one_measurement_with_a_fixed_overhead(caplog: pytest.LogCaptureFixture) -> None:
    """With a fixed overhead, the peak of one job predicts nothing for two, so two are tried."""
    memory_probe = ToyMemoryProbe(1000 + 400, fixed=1000, has_fixed_overhead=True)
    network = ProbedNetwork("denoiser", memory_probe=memory_probe)
    assert largest_batch(batcher(network), network, jobs=4) == 2
    tight = ProbedNetwork(
        "denoiser", memory_probe=ToyMemoryProbe(1300, fixed=1000, has_fixed_overhead=True)
    )
    assert largest_batch(batcher(tight), tight, jobs=4) == 1
    assert "verification of" in caplog.text  # the one failure that no measurement prevents


def test_free_memory_that_changes() -> None:
    """The current free memory counts, also for batches that fitted before."""
    network = ProbedNetwork("denoiser", memory_probe=ToyMemoryProbe(10_000))
    mine = batcher(network)
    assert largest_batch(mine, network, jobs=4) == 4
    for free, count in ((799, 3), (500, 2), (100, 1), (10_000, 4)):
        network.memory_probe.num_free = free
        network.clock.now_s += 1
        assert num_batch_jobs(mine, network, jobs=4) == count


def test_warmup_is_not_part_of_the_peak() -> None:
    """A conversion may need much more memory than a forward."""
    memory_probe = ToyMemoryProbe(1000)
    network = ProbedNetwork(
        "denoiser", memory_probe=memory_probe, on_compile=lambda: memory_probe.allocate(1000)
    )
    assert largest_batch(batcher(network), network, jobs=5) == 5


def test_unknown_peak_does_not_limit_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a measured peak, batches are not limited."""
    memory_probe = ToyMemoryProbe(1 << 40)
    monkeypatch.setattr(memory_probe, "num_bytes", lambda: None)
    monkeypatch.setattr(memory_probe, "free", lambda: 0)
    network = ProbedNetwork("denoiser", memory_probe=memory_probe)
    assert largest_batch(batcher(network), network, jobs=3) == 3


def test_out_of_memory_halves_the_batch() -> None:
    """If four of eight jobs fit, two batches of four run, and larger ones are not tried again. All
    jobs get the bits that they get alone."""
    network = ToyNetwork("denoiser")
    mine = batcher(network)
    forwards = [forward(seed=seed) for seed in range(8)]
    for count in range(2, 9):
        for _ in range(NUM_CHECKS):
            mine.run(network, forwards[:count])
    assert num_batch_jobs(mine, network, 8) == 8

    def fill_memory(inputs: Inputs) -> None:
        x = inputs["x"]
        assert isinstance(x, np.ndarray)
        if len(x) > 8:
            raise RuntimeError("CUDA out of memory")

    alone = [mine.run(network, [one])[0].outputs for one in forwards]
    network.on_call = fill_memory
    network.calls.clear()
    results = mine.run(network, forwards)
    assert network.calls == [16, 8, 8]
    assert all(is_same(o.outputs or (), a or ()) for o, a in zip(results, alone, strict=True))
    network.on_call = lambda inputs: None
    assert num_batch_jobs(mine, network, 8) == 7


def test_out_of_memory_down_to_one() -> None:
    """If two jobs do not fit, each runs alone, and only a job that does not fit alone fails."""
    network = ToyNetwork("denoiser")
    mine = batcher(network)
    forwards = [forward(seed=seed) for seed in range(4)]
    for count in (2, 3, 4):
        for _ in range(NUM_CHECKS):
            mine.run(network, forwards[:count])

    def fill_memory(inputs: Inputs) -> None:
        x = inputs["x"]
        assert isinstance(x, np.ndarray)
        if len(x) > 2 or np.array_equal(x, np.asarray(forwards[3].inputs["x"])):
            raise MemoryError

    network.on_call = fill_memory
    results = mine.run(network, forwards)
    assert [result.outputs is not None for result in results] == [True, True, True, False]
    assert isinstance(results[3].error, MemoryError)
