"""The batcher: evaluates the forwards of several jobs in one batch, if that is exact and faster.

Before a batch is used, each check in `verification` compares it bit for bit with the jobs run
alone. Those runs are the jobs' results, so verification costs a few extra batches, once per machine
and batch configuration. Whether a batch is faster is measured in each process.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from daguerre.engine.batching import arrays
from daguerre.engine.batching.certificates import BatchConfig, CertificateStore
from daguerre.engine.batching.memory_budget import MemoryBudget
from daguerre.engine.batching.timings import BatchTimings
from daguerre.engine.batching.verification import NUM_CHECKS, is_same, noise, placements
from daguerre.engine.forward import (
    ForwardRequest,
    HasWarmup,
    Inputs,
    Network,
    NetworkChanged,
    Outputs,
    is_out_of_memory,
)
from daguerre.params import BatchingMode

logger = logging.getLogger(__name__)

# A job is added to a batch if that costs at most this fraction of the job's time alone. Below 1.0
# throughput rises; at 0.5 the mean latency of a burst is the same as without batching. 0.75 gives
# up some latency for throughput.
MAX_ADDED_COST = 0.75
LOG_WARMUP_S = 1.0


@dataclass(frozen=True, slots=True)
class ForwardResult:
    """A job's rows of the outputs or its error, and its share of the time."""

    outputs: Outputs | None
    error: Exception | None
    cost_s: float


def batch_inputs(forwards: Sequence[ForwardRequest]) -> Inputs:
    """Inputs of one batch with the rows of all forwards, in order. Signatures must be equal."""
    if len(forwards) == 1:  # avoids a copy
        return forwards[0].inputs
    assert len({f.signature for f in forwards}) == 1, "signatures differ. This is a bug."
    concatenated = {
        name: arrays.concatenate([f.arrays[name] for f in forwards]) for name in forwards[0].arrays
    }
    return {**forwards[0].inputs, **concatenated}


def split_outputs(outputs: Outputs, rows: Sequence[int]) -> list[Outputs]:
    """Each job's rows of the outputs of a batch."""
    if len(rows) == 1:  # avoids a copy
        return [outputs]
    ends = np.cumsum(rows)
    return [
        tuple(arrays.select_rows(output, end - count, end) for output in outputs)
        for end, count in zip(ends, rows, strict=True)
    ]


def evaluate(network: Network, inputs: Inputs, rows: int) -> Outputs:
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


class Batcher:
    """Evaluates forwards in one batch if it is verified, else alone."""

    def __init__(
        self,
        certificates: CertificateStore,
        clock: Callable[[], float],
        on_warmup_part: Callable[[], None] = lambda: None,
        on_warmup_end: Callable[[float], None] = lambda elapsed_s: None,
    ) -> None:
        """Calls `on_warmup_part` before each part of a warm-up."""
        self._certificates = certificates
        self._clock = clock
        self._on_warmup_part, self._on_warmup_end = on_warmup_part, on_warmup_end
        self._timings, self._memory = BatchTimings(), MemoryBudget(clock)
        self._num_passed: dict[BatchConfig, int] = {}  # checks, while verification is incomplete
        self._num_batch_jobs: dict[Hashable, int] = {}  # cleared when a certificate or cost changes
        self.num_forwards = 0  # without those whose outputs only served verification
        self.num_rows = 0

    def num_batch_jobs(
        self, config: BatchConfig, max_batch_size: int, batching: BatchingMode = "exact"
    ) -> int:
        """How many jobs of the configuration, from the first one, run in the next batch.

        The batch has at most `max_batch_size` rows and fits into memory. A batch that is not
        verified or measured yet is used once all smaller ones are exact and fast enough. The mode
        "throughput" needs no verification.
        """
        key = (config, max_batch_size, batching)
        if key not in self._num_batch_jobs:
            self._num_batch_jobs[key] = self._search_num_jobs(*key)
        count = self._num_batch_jobs[key]
        while count > 1 and not self._memory.fits(config.first(count)):
            count -= 1
        return count

    def _search_num_jobs(
        self, config: BatchConfig, max_batch_size: int, batching: BatchingMode
    ) -> int:
        best, best_cost = 1, 1.0
        for count in range(2, len(config.rows) + 1):
            batch = config.first(count)
            if sum(batch.rows) > max_batch_size:
                break
            is_exact, cost = self._certificates.get(batch, batching), self._timings.cost(batch)
            if is_exact is None:  # verification also measures the jobs alone
                return count
            if is_exact and cost is None:
                return best if self._timings.alone_s(batch) is None else count
            if not is_exact or cost is None or cost - best_cost > MAX_ADDED_COST:
                break
            best, best_cost = count, cost
        return best

    def run(
        self, network: Network, forwards: Sequence[ForwardRequest], batching: BatchingMode = "exact"
    ) -> list[ForwardResult]:
        """One result per forward.

        The forwards have one signature and ascending rows. Raises `NetworkChanged`; all other
        errors are in the results.
        """
        config = _config(network, forwards)
        assert config.rows == tuple(sorted(config.rows)), "rows do not ascend. This is a bug."
        if len(forwards) == 1 or self._certificates.get(config, batching):
            return self._run_batch(network, forwards, batching)
        assert self._certificates.get(config) is None, f"{config.label} is inexact. This is a bug."
        results = [self._run_batch(network, [forward], batching)[0] for forward in forwards]
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

    def _run_batch(
        self, network: Network, forwards: Sequence[ForwardRequest], batching: BatchingMode
    ) -> list[ForwardResult]:
        """Runs one batch. If it fails, runs smaller ones, so that only the job at fault fails."""
        config, started_s = _config(network, forwards), self._clock()
        try:
            outputs, elapsed_s = self._timed(network, config, batch_inputs(forwards))
        except NetworkChanged:
            raise
        except Exception as error:  # a runtime may raise anything
            if len(forwards) == 1:
                return [ForwardResult(None, error, self._clock() - started_s)]
            logger.warning("%s failed; running smaller batches", config.label, exc_info=True)
            self._mark_failed(config)
            size = -(-len(forwards) // 2) if is_out_of_memory(error) else 1
            parts = [forwards[start : start + size] for start in range(0, len(forwards), size)]
            return [result for part in parts for result in self._run_part(network, part, batching)]
        self.num_forwards += 1
        self.num_rows += sum(config.rows)
        row_s = elapsed_s / sum(config.rows)
        return [
            ForwardResult(mine, None, row_s * count)
            for mine, count in zip(split_outputs(outputs, config.rows), config.rows, strict=True)
        ]

    def _run_part(
        self, network: Network, part: Sequence[ForwardRequest], batching: BatchingMode
    ) -> list[ForwardResult]:
        """Runs a part of a failed batch; job by job if it is not verified."""
        if self._certificates.get(_config(network, part), batching):
            return self._run_batch(network, part, batching)
        return [self._run_batch(network, [forward], batching)[0] for forward in part]

    def _mark_failed(self, config: BatchConfig) -> None:
        self._num_batch_jobs.clear()
        self._certificates.mark_failed(config)

    def _timed(
        self, network: Network, config: BatchConfig, inputs: Inputs
    ) -> tuple[Outputs, float]:
        """The outputs and the elapsed seconds, without the warm-up."""
        with self._memory.track_peak(network, config) as reset_peak:
            if isinstance(network, HasWarmup):
                self._warm_up(network, inputs, reset_peak)
            started_s = self._clock()
            outputs = evaluate(network, inputs, sum(config.rows))
            elapsed_s = self._clock() - started_s
        if self._timings.add(config, elapsed_s):
            self._num_batch_jobs.clear()
        return outputs, elapsed_s

    def _warm_up(self, network: HasWarmup, inputs: Inputs, reset_peak: Callable[[], None]) -> None:
        """Compiles or converts the network for these inputs, which may take minutes."""
        started_s, has_parts = self._clock(), False
        try:
            for _ in network.warm_up(inputs):
                has_parts = True
                reset_peak()
                self._on_warmup_part()
        finally:
            elapsed_s = self._clock() - started_s
            if has_parts:
                self._on_warmup_end(elapsed_s)
            if elapsed_s >= LOG_WARMUP_S:
                logger.info("warm-up of %s took %.1f s", network.name, elapsed_s)

    def _verify(
        self,
        network: Network,
        config: BatchConfig,
        forwards: Sequence[ForwardRequest],
        expected: Sequence[Outputs],
    ) -> None:
        num_passed = self._num_passed.get(config, 0)
        placement = placements(config.rows)[num_passed]
        generator = np.random.default_rng(num_passed)
        batch = [
            noise(forwards[position], generator) if job is None else forwards[job]
            for position, job in enumerate(placement)
        ]
        outputs = split_outputs(self._timed(network, config, batch_inputs(batch))[0], config.rows)
        is_exact = all(
            is_same(outputs[position], expected[job])
            for position, job in enumerate(placement)
            if job is not None
        )
        self._num_passed[config] = num_passed + 1
        if not is_exact or num_passed + 1 == NUM_CHECKS:
            del self._num_passed[config]
            logger.info("%s: exact %s, cost %s", config.label, is_exact, self._timings.cost(config))
            self._certificates.put(config, is_exact)
            self._num_batch_jobs.clear()


def _config(network: Network, forwards: Sequence[ForwardRequest]) -> BatchConfig:
    rows = tuple(forward.rows for forward in forwards)
    return BatchConfig(network.fingerprint, forwards[0].signature, rows)
