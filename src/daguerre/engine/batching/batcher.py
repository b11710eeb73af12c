"""Evaluating the forwards of several jobs together, where that is proved to change no bit.

Before jobs share, each of the trials in `verification` is compared bit for bit with the jobs run
alone. The lone runs are the jobs' answers, one trial is made per turn, and each claim is
tried once per machine: what a proof costs is a few shared forwards, once. Merging must also pay,
which each process times anew: see `MAX_JOIN_COST`. Knows nothing of images, events or threads.
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

# A job may join a forward if that makes it longer by at most this share of the job's forward alone.
# At 1.0 sharing would be used wherever it raises the rate by anything, though all that share then
# end late. At 0.5 a burst of n jobs has the same mean latency shared as one after the other: shared
# all end after 1 + 0.5 (n - 1) = (n + 1) / 2 forwards per step, and that is the mean of 1, 2 ... n.
# 0.75 gives up some latency of a burst for a rate that lasts. On two cores the cost is 1: no merge.
MAX_JOIN_COST = 0.75


@dataclass(frozen=True, slots=True)
class ForwardResult:
    """A job's own rows of the outputs, or why there are none; `cost_s` is its share of the time."""

    outputs: Outputs | None
    error: Exception | None
    cost_s: float


def merge(forwards: Sequence[ForwardRequest]) -> dict[str, Array | Scalar]:
    """One forward's inputs with the rows of all, in order; signatures must be equal."""
    if len(forwards) == 1:  # nothing to copy
        return dict(forwards[0].inputs)
    assert len({f.signature for f in forwards}) == 1, "merging unlike forwards. This is a bug."
    merged = {
        name: arrays.concatenate([f.arrays[name] for f in forwards]) for name in forwards[0].arrays
    }
    return {**forwards[0].inputs, **merged}


def split(outputs: Outputs, rows: Sequence[int]) -> list[Outputs]:
    """Each job's rows of the outputs of a merged forward."""
    ends = np.cumsum(rows)
    return [
        tuple(arrays.copy_rows(output, end - count, end) for output in outputs)
        for end, count in zip(ends, rows, strict=True)
    ]


def evaluate(network: Network, inputs: dict[str, Array | Scalar], rows: int) -> Outputs:
    """Calls the network; the outputs are the caller's to keep."""
    outputs = network(inputs)
    for index, output in enumerate(outputs):
        if len(output) != rows:
            raise ValueError(
                f"output {index} of network {network.name!r} has {len(output)} rows for {rows}"
            )
    return tuple(map(arrays.ensure_owned, outputs))


def _prepare(name: str, parts: Iterator[None]) -> None:
    for _ in parts:
        pass


def _telling(parts: Iterator[None], tell: Callable[[], None]) -> Iterator[None]:
    for part in parts:
        tell()
        yield part


class Batcher:
    """Runs groups of forwards; merges what is certified, certifies what is new."""

    def __init__(
        self,
        certificates: CertificateStore,
        clock: Callable[[], float],
        prepare: Callable[[str, Iterator[None]], None] = _prepare,
    ) -> None:
        """`prepare` is given what a network of that name has to do once before it is evaluated, and
        runs it; that is not timed."""
        self._certificates = certificates
        self._clock, self._prepare = clock, prepare
        self._costs, self._room = BatchTimings(), MemoryBudget(clock)
        self._num_passed: dict[BatchConfig, int] = {}  # trials, of a claim that is not decided yet
        self._failed: set[BatchConfig] = set()  # ended with an error in this process
        self._climbed: dict[Hashable, int] = {}  # until something is learned
        self.num_forwards = 0  # whose outputs were used: a trial's shared evaluation does not count
        self.num_rows = 0

    def num_sharing(
        self,
        fingerprint: str,
        signature: str,
        rows: Sequence[int],
        max_batch_size: int,
        batching: BatchingMode = "exact",
    ) -> int:
        """How many of the jobs with these rows, from the first, take the next forward together: no
        more than `max_batch_size` and the memory allow.

        Climbs from 2 jobs up to the first number that is refused or does not pay; a number not
        tried or not timed yet is run when all below it are good. In throughput mode no proof is
        asked for, but that it pays is.
        """
        asked = (fingerprint, signature, tuple(rows), max_batch_size, batching)
        if asked not in self._climbed:
            self._climbed[asked] = self._climb(*asked)
        count = self._climbed[asked]
        while count > 1 and not self._room.has(fingerprint, signature, sum(rows[:count])):
            count -= 1
        return count

    def _climb(
        self,
        fingerprint: str,
        signature: str,
        rows: Sequence[int],
        max_batch_size: int,
        batching: BatchingMode,
    ) -> int:
        num_good, cost = 1, 1.0
        for count in range(2, len(rows) + 1):
            if sum(rows[:count]) > max_batch_size:
                break
            claim = BatchConfig(fingerprint, signature, tuple(sorted(rows[:count])))
            is_good, claim_cost = self._verdict(claim, batching), self._costs.cost(claim)
            if is_good is None or (is_good and claim_cost is None):
                # A trial times the jobs alone, too; a good claim needs these times from before.
                is_run = is_good is None or self._costs.is_alone_known(claim)
                return count if is_run else num_good
            if not is_good or claim_cost is None or claim_cost - cost > MAX_JOIN_COST:
                break
            num_good, cost = count, claim_cost
        return num_good

    def _verdict(self, claim: BatchConfig, batching: BatchingMode) -> bool | None:
        """Whether jobs may share; None where that must be tried first."""
        if claim in self._failed:
            return False
        return self._certificates.get(claim) if batching == "exact" else True

    def run(
        self, network: Network, forwards: Sequence[ForwardRequest], batching: BatchingMode = "exact"
    ) -> list[ForwardResult]:
        """One outcome per forward. Forwards have one signature and come with ascending rows. Raises
        `NetworkChanged`."""
        rows = tuple(forward.rows for forward in forwards)
        assert rows == tuple(sorted(rows)), "rows are not ascending. This is a bug."
        if len(forwards) == 1:
            return [self._run_alone(network, forwards[0])]
        claim = BatchConfig(network.fingerprint, forwards[0].signature, rows)
        is_good = self._verdict(claim, batching)
        if is_good is None:
            return self._run_trial(network, claim, forwards)
        assert is_good, f"{claim.label} is not proved. This is a bug."
        return self._run_merged(network, claim, forwards, batching)

    def _run_alone(self, network: Network, forward: ForwardRequest) -> ForwardResult:
        started_s = self._clock()
        claim = BatchConfig(network.fingerprint, forward.signature, (forward.rows,))
        try:
            outputs, cost_s = self._timed(network, claim, merge([forward]))
        except NetworkChanged:  # nobody's failure
            raise
        except Exception as error:  # whatever a runtime throws is this job's failure alone
            return ForwardResult(None, error, self._clock() - started_s)
        self._count(forward.rows)
        return ForwardResult(outputs, None, cost_s)

    def _run_merged(
        self,
        network: Network,
        claim: BatchConfig,
        forwards: Sequence[ForwardRequest],
        batching: BatchingMode,
    ) -> list[ForwardResult]:
        try:
            outputs, spent_s = self._timed(network, claim, merge(forwards))
        except NetworkChanged:
            raise
        except Exception as error:  # not known whose fault: with fewer, or one by one
            logger.warning("%s failed, running in parts", claim.label, exc_info=True)
            self._refuse(claim)
            num_parts = 2 if is_out_of_memory(error) else len(forwards)
            return self._run_parts(network, forwards, num_parts, batching)
        self._count(sum(claim.rows))
        second_per_row = spent_s / sum(claim.rows)
        return [
            ForwardResult(mine, None, second_per_row * count)
            for mine, count in zip(split(outputs, claim.rows), claim.rows, strict=True)
        ]

    def _run_parts(
        self,
        network: Network,
        forwards: Sequence[ForwardRequest],
        num_parts: int,
        batching: BatchingMode,
    ) -> list[ForwardResult]:
        """A part that may not share is run one by one; one that fails in turn, in parts again."""
        size = -(-len(forwards) // num_parts)
        outcomes: list[ForwardResult] = []
        for start in range(0, len(forwards), size):
            part = forwards[start : start + size]
            rows = tuple(forward.rows for forward in part)
            claim = BatchConfig(network.fingerprint, part[0].signature, rows)
            if len(part) > 1 and self._verdict(claim, batching):
                outcomes += self._run_merged(network, claim, part, batching)
            else:
                outcomes += [self._run_alone(network, forward) for forward in part]
        return outcomes

    def _refuse(self, claim: BatchConfig) -> None:
        """For this process, so that the next group is no larger than what went well."""
        self._climbed.clear()
        self._failed.add(claim)
        self._certificates.refuse(claim)

    def _timed(
        self, network: Network, claim: BatchConfig, inputs: dict[str, Array | Scalar]
    ) -> tuple[Outputs, float]:
        """The outputs of all, and the seconds that they took."""
        with self._room.measured(network, claim) as reset:
            if isinstance(network, CompilesPerShape):
                parts = network.prepare(inputs)
                self._prepare(network.name, _telling(parts, reset))
            started_s = self._clock()
            outputs = evaluate(network, inputs, sum(claim.rows))
            spent_s = self._clock() - started_s
        if self._costs.add(claim, spent_s):
            self._climbed.clear()
        return outputs, spent_s

    def _run_trial(
        self, network: Network, claim: BatchConfig, forwards: Sequence[ForwardRequest]
    ) -> list[ForwardResult]:
        """The answers are those of the lone runs; the next trial of the claim is made beside."""
        outcomes = [self._run_alone(network, forward) for forward in forwards]
        expected = [outcome.outputs for outcome in outcomes if outcome.outputs is not None]
        # The lone runs may be the first that were measured.
        has_room = self._room.has(*claim[:2], sum(claim.rows))
        if has_room and len(expected) == len(forwards):
            try:
                self._try(network, claim, forwards, expected)
            except NetworkChanged:
                raise
            except Exception:  # the jobs have their answers: nothing fails but the trial
                logger.warning("%s failed on trial, not shared", claim.label, exc_info=True)
                self._refuse(claim)
        return outcomes

    def _try(
        self,
        network: Network,
        claim: BatchConfig,
        forwards: Sequence[ForwardRequest],
        expected: Sequence[Outputs],
    ) -> None:
        num_passed = self._num_passed.setdefault(claim, 0)
        seats = CHECKS[num_passed](claim.rows)
        generator = np.random.default_rng(num_passed)
        inputs = merge(
            [
                noise(forwards[place], generator) if job is None else forwards[job]
                for place, job in enumerate(seats)
            ]
        )
        outputs = split(self._timed(network, claim, inputs)[0], claim.rows)
        is_exact = all(
            is_same(outputs[place], expected[job])
            for place, job in enumerate(seats)
            if job is not None
        )
        self._num_passed[claim] += is_exact
        if not is_exact or self._num_passed[claim] == len(CHECKS):
            del self._num_passed[claim]
            logger.info("%s: exact %s, cost %s", claim.label, is_exact, self._costs.cost(claim))
            self._certificates.put(claim, is_exact)
            self._climbed.clear()

    def _count(self, rows: int) -> None:
        self.num_forwards += 1
        self.num_rows += rows
