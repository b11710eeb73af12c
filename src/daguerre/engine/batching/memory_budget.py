"""Predicts whether a batch fits into memory, from the measured peak of smaller batches.

The prediction is a line through the measured peaks of the same signature, without a margin. A batch
that still runs out of memory is split by the batcher. Without measurements every batch fits.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from daguerre.engine.batching.certificates import BatchConfig
from daguerre.engine.forward import HasMemoryProbe, MemoryProbe, Network

logger = logging.getLogger(__name__)

# Measured runs of each batch size. The first one includes memory that is allocated once, such as a
# graph's; the minimum is what each later run needs.
NUM_MEASURED = 3
# The free memory is read again after this time.
FREE_MEMORY_TTL_S = 0.5


def predict_peak(
    peaks_by_rows: Mapping[int, Sequence[int]], rows: int, has_fixed_overhead: bool
) -> int:
    """Bytes that a forward with `rows` rows needs, from measured peaks; 0 if none is known."""
    if known := peaks_by_rows.get(rows):
        return min(known)
    fewer = sorted(count for count, peaks in peaks_by_rows.items() if peaks and count < rows)[-2:]
    if not fewer:
        return 0
    last, peak = fewer[-1], max(peaks_by_rows[fewer[-1]])
    if len(fewer) == 2:
        growth = peak - max(peaks_by_rows[fewer[0]])
        per_row = max(0.0, growth / (last - fewer[0]))
    else:  # one point determines the line only if it passes through zero
        per_row = 0.0 if has_fixed_overhead else peak / last
    return peak + int(per_row * (rows - last))


class MemoryBudget:
    """Measured peaks by fingerprint and signature, compared with the free memory."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._probes: dict[tuple[str, str], MemoryProbe] = {}
        self._peaks: dict[tuple[str, str], dict[int, list[int]]] = {}  # by rows
        self._logged: set[tuple[tuple[str, str], int]] = set()  # rows that do not fit
        self._free: dict[MemoryProbe, tuple[float, int]] = {}  # time of the reading, bytes

    @contextmanager
    def track_peak(self, network: Network, config: BatchConfig) -> Iterator[Callable[[], None]]:
        """Measures the evaluation in the `with` block, unless it fails.

        Yields a function that restarts the measurement. It must be called before each part of a
        warm-up: work for all batch sizes, such as a conversion, must not count for this one.
        """
        if isinstance(network, HasMemoryProbe):
            self._probes[config[:2]] = network.memory_probe
            peaks = self._peaks.setdefault(config[:2], {}).setdefault(sum(config.rows), [])
            if len(peaks) < NUM_MEASURED:
                with network.memory_probe.track_peak() as peak:
                    yield peak.reset
                    num_bytes = peak.num_bytes()
                if num_bytes is not None:
                    peaks.append(num_bytes)
                return
        yield lambda: None

    def fits(self, config: BatchConfig) -> bool:
        """Whether the predicted peak of the batch is at most the free memory."""
        key, rows = config[:2], sum(config.rows)
        probe = self._probes.get(key)
        if probe is None:
            return True
        needed = predict_peak(self._peaks[key], rows, probe.has_fixed_overhead)
        free = self._free_bytes(probe) if needed else 0
        if needed > free and (key, rows) not in self._logged:
            self._logged.add((key, rows))
            text = "%s: a batch of %d rows needs %.2f GB, but %.2f GB are free; using smaller ones"
            logger.info(text, config.signature, rows, needed / 1e9, free / 1e9)
        return needed <= free

    def _free_bytes(self, probe: MemoryProbe) -> int:
        read_s, free = self._free.get(probe, (float("-inf"), 0))
        if self._clock() - read_s >= FREE_MEMORY_TTL_S:
            free = probe.free()
            self._free[probe] = (self._clock(), free)
        return free
