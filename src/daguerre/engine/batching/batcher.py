"""The batcher: evaluates the forwards of several jobs in one batch, if that is exact and faster.

Before a batch is used, each check in `verification` compares it bit for bit with the jobs run
alone. Those runs are the jobs' results, so verification costs a few extra batches, once per machine
and batch configuration. Whether a batch is faster is measured in each process.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from daguerre.engine.batching import arrays
from daguerre.engine.batching.certificates import BatchConfig, CertificateStore
from daguerre.engine.batching.memory_budget import MemoryBudget
from daguerre.engine.batching.timings import BatchTimings
from daguerre.engine.batching.verification import CHECKS, is_same, noise
from daguerre.engine.forward import (
    Array,
    CompilesPerShape,
    ForwardRequest,
    Network,
    NetworkChanged,
    Outputs,
    Scalar,
    is_out_of_memory,
)
from daguerre.params import BatchingMode

logger = logging.getLogger(__name__)

# A job joins a batch if that adds at most this fraction of the job's time alone. With 1.0 any gain
# in throughput would count, although all jobs of a batch then end late. With 0.5 a burst of n jobs
# has the same mean latency as without batching: each ends after 1 + 0.5 (n - 1) = (n + 1) / 2
# forwards per step, the mean of 1, 2 ... n. 0.75 trades some latency of a burst for throughput. On
# two cores a job adds 1.0, so nothing is batched.
MAX_JOIN_COST = 0.75


@dataclass(frozen=True, slots=True)
class ForwardResult:
    """A job's rows of the outputs or its error, and its share of the time."""

    outputs: Outputs | None
    error: Exception | None
    cost_s: float


def merge(forwards: Sequence[ForwardRequest]) -> dict[str, Array | Scalar]:
    """Inputs of one forward with all rows, in order. Signatures must be equal."""
    if len(forwards) == 1:  # avoids a copy
        return dict(forwards[0].inputs)
    assert len({f.signature for f in forwards}) == 1, "signatures differ. This is a bug."
    merged = {
        name: arrays.concatenate([f.arrays[name] for f in forwards]) for name in forwards[0].arrays
    }
    return {**forwards[0].inputs, **merged}


def split(outputs: Outputs, rows: Sequence[int]) -> list[Outputs]:
    """Each job's rows of the outputs of a batch."""
    ends = np.cumsum(rows)
    return [
        tuple(arrays.copy_rows(output, end - count, end) for output in outputs)
        for end, count in zip(ends, rows, strict=True)
    ]


def evaluate(network: Network, inputs: dict[str, Array | Scalar], rows: int) -> Outputs:
    """Outputs of the network, in memory that its next call does not overwrite.

    Raises ValueError if an output does not have `rows` rows.
    """
    outputs = network(inputs)
    for index, output in enumerate(outputs):
        if len(output) != rows:
            raise ValueError(
                f"output {index} of network {network.name!r} has {len(output)} rows for {rows}"
            )
    return tuple(map(arrays.ensure_owned, outputs))


def _run_all(network: str, parts: Iterator[None]) -> None:
    for _ in parts:
        pass


def _before_each(parts: Iterator[None], action: Callable[[], None]) -> Iterator[None]:
    for part in parts:
        action()
        yield part


class Batcher:
    """Evaluates groups of forwards: in one batch if it is verified, else alone."""

    def __init__(
        self,
        certificates: CertificateStore,
        clock: Callable[[], float],
        warm_up: Callable[[str, Iterator[None]], None] = _run_all,
    ) -> None:
        """`warm_up` runs the one-time work of the named network, which is not timed."""
        self._certificates = certificates
        self._clock, self._warm_up = clock, warm_up
        self._timings, self._memory = BatchTimings(), MemoryBudget(clock)
        self._num_passed: dict[BatchConfig, int] = {}  # checks, while verification is incomplete
        self._failed: set[BatchConfig] = set()  # raised an error in this process
        self._batch_sizes: dict[Hashable, int] = {}  # cleared when a certificate or cost changes
        self.num_forwards = 0  # without those whose outputs only served verification
        self.num_rows = 0

    def max_batch(
        self, jobs: BatchConfig, max_batch_size: int, batching: BatchingMode = "exact"
    ) -> int:
        """How many of the jobs, from the first one, run in the next batch.

        The batch has at most `max_batch_size` rows and fits into memory. A batch that is not
        verified or measured yet is used once all smaller ones are exact and fast enough. The mode
        "throughput" needs no verification.
        """
        key = (jobs, max_batch_size, batching)
        if key not in self._batch_sizes:
            self._batch_sizes[key] = self._search_batch_size(*key)
        count = self._batch_sizes[key]
        while count > 1 and not self._memory.fits(jobs.first(count)):
            count -= 1
        return count

    def _search_batch_size(
        self, jobs: BatchConfig, max_batch_size: int, batching: BatchingMode
    ) -> int:
        best, best_cost = 1, 1.0
        for count in range(2, len(jobs.rows) + 1):
            config = jobs.first(count)
            if sum(config.rows) > max_batch_size:
                break
            is_exact, cost = self._is_exact(config, batching), self._timings.cost(config)
            if is_exact is None:  # verification also measures the jobs alone
                return count
            if is_exact and cost is None:
                return count if self._timings.has_times_alone(config) else best
            if not is_exact or cost is None or cost - best_cost > MAX_JOIN_COST:
                break
            best, best_cost = count, cost
        return best

    def _is_exact(self, config: BatchConfig, batching: BatchingMode) -> bool | None:
        """Whether the batch may be used; None if it must be verified first."""
        if config in self._failed:
            return False
        return self._certificates.get(config) if batching == "exact" else True

    def run(
        self, network: Network, forwards: Sequence[ForwardRequest], batching: BatchingMode = "exact"
    ) -> list[ForwardResult]:
        """One result per forward.

        The forwards have one signature and ascending rows. Raises `NetworkChanged`; all other
        errors are in the results.
        """
        if len(forwards) == 1:
            return [self._run_alone(network, forwards[0])]
        config = _config(network, forwards)
        assert config.rows == tuple(sorted(config.rows)), "rows do not ascend. This is a bug."
        is_exact = self._is_exact(config, batching)
        if is_exact is None:
            return self._run_and_verify(network, config, forwards)
        assert is_exact, f"{config.label} is not verified. This is a bug."
        return self._run_merged(network, config, forwards, batching)

    def _run_alone(self, network: Network, forward: ForwardRequest) -> ForwardResult:
        started_s = self._clock()
        try:
            outputs, cost_s = self._timed(network, _config(network, [forward]), merge([forward]))
        except NetworkChanged:
            raise
        except Exception as error:  # a runtime may raise anything; only this job fails
            return ForwardResult(None, error, self._clock() - started_s)
        self._count(forward.rows)
        return ForwardResult(outputs, None, cost_s)

    def _run_merged(
        self,
        network: Network,
        config: BatchConfig,
        forwards: Sequence[ForwardRequest],
        batching: BatchingMode,
    ) -> list[ForwardResult]:
        try:
            outputs, elapsed_s = self._timed(network, config, merge(forwards))
        except NetworkChanged:
            raise
        except Exception as error:  # any of the jobs may be the cause
            logger.warning("%s failed; running smaller batches", config.label, exc_info=True)
            self._mark_failed(config)
            num_parts = 2 if is_out_of_memory(error) else len(forwards)
            return self._run_split(network, forwards, num_parts, batching)
        self._count(sum(config.rows))
        row_s = elapsed_s / sum(config.rows)
        return [
            ForwardResult(mine, None, row_s * count)
            for mine, count in zip(split(outputs, config.rows), config.rows, strict=True)
        ]

    def _run_split(
        self,
        network: Network,
        forwards: Sequence[ForwardRequest],
        num_parts: int,
        batching: BatchingMode,
    ) -> list[ForwardResult]:
        """Runs parts of a failed batch; a part that is not verified runs job by job."""
        size = -(-len(forwards) // num_parts)
        results: list[ForwardResult] = []
        for start in range(0, len(forwards), size):
            part = forwards[start : start + size]
            config = _config(network, part)
            if len(part) > 1 and self._is_exact(config, batching):
                results += self._run_merged(network, config, part, batching)
            else:
                results += [self._run_alone(network, forward) for forward in part]
        return results

    def _mark_failed(self, config: BatchConfig) -> None:
        self._batch_sizes.clear()
        self._failed.add(config)
        self._certificates.mark_failed(config)

    def _timed(
        self, network: Network, config: BatchConfig, inputs: dict[str, Array | Scalar]
    ) -> tuple[Outputs, float]:
        """The outputs and the elapsed seconds, without the warm-up."""
        with self._memory.track_peak(network, config) as reset:
            if isinstance(network, CompilesPerShape):
                self._warm_up(network.name, _before_each(network.prepare(inputs), reset))
            started_s = self._clock()
            outputs = evaluate(network, inputs, sum(config.rows))
            elapsed_s = self._clock() - started_s
        if self._timings.add(config, elapsed_s):
            self._batch_sizes.clear()
        return outputs, elapsed_s

    def _run_and_verify(
        self, network: Network, config: BatchConfig, forwards: Sequence[ForwardRequest]
    ) -> list[ForwardResult]:
        """Runs each job alone, and makes the next check of the batch."""
        results = [self._run_alone(network, forward) for forward in forwards]
        expected = [result.outputs for result in results if result.outputs is not None]
        # The runs alone may be the first that measured the memory.
        if self._memory.fits(config) and len(expected) == len(forwards):
            try:
                self._verify(network, config, forwards, expected)
            except NetworkChanged:
                raise
            except Exception:  # the jobs have their results already
                logger.warning("verification of %s failed", config.label, exc_info=True)
                self._mark_failed(config)
        return results

    def _verify(
        self,
        network: Network,
        config: BatchConfig,
        forwards: Sequence[ForwardRequest],
        expected: Sequence[Outputs],
    ) -> None:
        num_passed = self._num_passed.get(config, 0)
        placement = CHECKS[num_passed](config.rows)
        generator = np.random.default_rng(num_passed)
        batch = [
            noise(forwards[position], generator) if job is None else forwards[job]
            for position, job in enumerate(placement)
        ]
        outputs = split(self._timed(network, config, merge(batch))[0], config.rows)
        is_exact = all(
            is_same(outputs[position], expected[job])
            for position, job in enumerate(placement)
            if job is not None
        )
        self._num_passed[config] = num_passed + 1
        if not is_exact or num_passed + 1 == len(CHECKS):
            del self._num_passed[config]
            logger.info("%s: exact %s, cost %s", config.label, is_exact, self._timings.cost(config))
            self._certificates.put(config, is_exact)
            self._batch_sizes.clear()

    def _count(self, rows: int) -> None:
        self.num_forwards += 1
        self.num_rows += rows


def _config(network: Network, forwards: Sequence[ForwardRequest]) -> BatchConfig:
    rows = tuple(forward.rows for forward in forwards)
    return BatchConfig(network.fingerprint, forwards[0].signature, rows)
