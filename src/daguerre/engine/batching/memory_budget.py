"""Predicts whether a batch fits into memory, from the measured peak of smaller batches.

The prediction is a line through the measured peaks of the same signature, without a margin. A batch
that still runs out of memory is split by the batcher. Without measurements every batch fits.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from daguerre.engine.batching.certificates import BatchConfig
from daguerre.engine.forward import HasMemoryProbe, MemoryProbe, Network

logger = logging.getLogger(__name__)

# Measured runs of each batch size. The first one includes memory that is allocated once, such as a
# graph's; the minimum is what each later run needs.
NUM_MEASURED = 3
# The free memory is read again after this time.
FREE_MEMORY_TTL_S = 0.5


@dataclass(slots=True)
class _Samples:
    num: int = 0
    max_bytes: int = 0
    min_bytes: int = 1 << 62

    def add(self, num_bytes: int) -> None:
        self.num += 1
        self.max_bytes = max(self.max_bytes, num_bytes)
        self.min_bytes = min(self.min_bytes, num_bytes)


@dataclass(slots=True)
class _PeakMemoryBySize:
    """Measured peaks of one signature by the number of rows."""

    probe: MemoryProbe
    by_rows: dict[int, _Samples] = field(default_factory=dict)
    logged_rows: set[int] = field(default_factory=set)  # that do not fit

    def predict(self, rows: int) -> int:
        """Bytes that a forward with so many rows needs; 0 if nothing is known."""
        known = {count: samples for count, samples in self.by_rows.items() if samples.num}
        if rows in known:
            return known[rows].min_bytes
        fewer = sorted(count for count in known if count < rows)[-2:]
        if not fewer:
            return 0
        last = fewer[-1]
        peak = known[last].max_bytes
        if len(fewer) == 2:
            growth = peak - known[fewer[0]].max_bytes
            per_row = max(0.0, growth / (last - fewer[0]))
        else:  # one point determines the line only if it passes through zero
            per_row = 0.0 if self.probe.has_fixed_overhead else peak / last
        return peak + int(per_row * (rows - last))


def _ignore() -> None:
    pass


class MemoryBudget:
    """Measured peaks by fingerprint and signature, compared with the free memory."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._peaks: dict[tuple[str, str], _PeakMemoryBySize] = {}
        self._free: dict[MemoryProbe, tuple[float, int]] = {}  # time of the reading, bytes

    @contextmanager
    def track_peak(self, network: Network, config: BatchConfig) -> Iterator[Callable[[], None]]:
        """Measures the evaluation in the `with` block, unless it fails.

        Yields a function that restarts the measurement. It must be called before each part of a
        warm-up: work for all batch sizes, such as a conversion, must not count for this one.
        """
        if not isinstance(network, HasMemoryProbe):
            yield _ignore
            return
        peaks = self._peaks.setdefault(config[:2], _PeakMemoryBySize(network.memory_probe))
        samples = peaks.by_rows.setdefault(sum(config.rows), _Samples())
        if samples.num >= NUM_MEASURED:
            yield _ignore
            return
        with network.memory_probe.track_peak() as peak:
            yield peak.reset
            num_bytes = peak.num_bytes()
        if num_bytes is not None:
            samples.add(num_bytes)

    def fits(self, config: BatchConfig) -> bool:
        """Whether the predicted peak of the batch is at most the free memory."""
        peaks, rows = self._peaks.get(config[:2]), sum(config.rows)
        needed = peaks.predict(rows) if peaks else 0
        if peaks is None or not needed:
            return True
        free = self._free_bytes(peaks.probe)
        if needed > free and rows not in peaks.logged_rows:
            peaks.logged_rows.add(rows)
            logger.info(
                "%s: a batch of %d rows needs %.2f GB and %.2f GB are free; using smaller batches",
                config.signature,
                rows,
                needed / 1e9,
                free / 1e9,
            )
        return needed <= free

    def _free_bytes(self, probe: MemoryProbe) -> int:
        read_s, free = self._free.get(probe, (float("-inf"), 0))
        if self._clock() - read_s >= FREE_MEMORY_TTL_S:
            free = probe.free()
            self._free[probe] = (self._clock(), free)
        return free
