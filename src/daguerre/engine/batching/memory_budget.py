"""Whether there is memory for so many rows, by what forwards of their signature took so far.

Bounds a group before it is evaluated; what was never measured is not bounded. What is foretold is a
line through what was measured, and nothing is added to it for safety: memory that runs out all the
same costs a smaller group (`batcher`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from daguerre.engine.batching.certificates import BatchConfig
from daguerre.engine.forward import HasMemoryProbe, MemoryProbe, Network

logger = logging.getLogger(__name__)

# Runs of each number of rows that are measured: the first takes what stays, such as a graph's
# memory, the others what a run needs each time.
NUM_MEASURED = 3
# A look at what is free is good for so long.
_GOOD_S = 0.5


@dataclass(slots=True)
class _Samples:
    num: int = 0
    most: int = 0
    least: int = 1 << 62

    def add(self, num_bytes: int) -> None:
        self.num += 1
        self.most, self.least = max(self.most, num_bytes), min(self.least, num_bytes)


@dataclass(slots=True)
class _PeakMemoryBySize:
    """By forwards of one signature, in bytes for each number of rows."""

    memory_probe: MemoryProbe
    by_rows: dict[int, _Samples] = field(default_factory=dict)
    told: set[int] = field(default_factory=set)  # rows for which the log says that there is no room

    def needed(self, rows: int) -> int:
        """By one more forward. None was made with so many rows: by those with fewer."""
        known = {count: runs for count, runs in self.by_rows.items() if runs.num}
        if rows in known:
            return known[rows].least
        fewer = sorted(count for count in known if count < rows)[-2:]
        if not fewer:
            return 0
        *before, last = fewer
        most = known[last].most
        # One point makes a line only where nothing is taken that more rows would share.
        per_row = 0.0 if self.memory_probe.has_fixed_overhead else most / last
        if before:
            risen = most - known[before[0]].most
            per_row = max(0.0, risen / (last - before[0]))
        return most + int(per_row * (rows - last))


def _nothing() -> None:
    pass


class MemoryBudget:
    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._taken: dict[tuple[str, str], _PeakMemoryBySize] = {}  # by fingerprint and signature
        self._free: dict[MemoryProbe, tuple[float, int]] = {}  # when it was looked at, bytes

    @contextmanager
    def measured(self, network: Network, claim: BatchConfig) -> Iterator[Callable[[], None]]:
        """Around an evaluation; one that fails says nothing. Yields what is to be called when the
        next part of its preparation begins: what is done for all numbers of rows, as a conversion
        is, says nothing of this one."""
        if (
            not isinstance(network, HasMemoryProbe)
            or (runs := self._runs(network, claim)).num >= NUM_MEASURED
        ):
            yield _nothing
            return
        with network.memory_probe.track_peak() as measurement:
            yield measurement.reset
            num_bytes = measurement.num_bytes()
        if num_bytes is not None:
            runs.add(num_bytes)

    def has(self, fingerprint: str, signature: str, rows: int) -> bool:
        taken = self._taken.get((fingerprint, signature))
        needed = taken.needed(rows) if taken else 0
        if taken is None or not needed:
            return True
        free = self._free_bytes(taken.memory_probe)
        if needed > free and rows not in taken.told:
            taken.told.add(rows)
            logger.info(
                "%s: %d rows would take %.2f GB and %.2f GB are free, so fewer share",
                signature,
                rows,
                needed / 1e9,
                free / 1e9,
            )
        return needed <= free

    def _runs(self, network: HasMemoryProbe, claim: BatchConfig) -> _Samples:
        taken = self._taken.setdefault(claim[:2], _PeakMemoryBySize(network.memory_probe))
        return taken.by_rows.setdefault(sum(claim.rows), _Samples())

    def _free_bytes(self, memory_probe: MemoryProbe) -> int:
        looked_s, free = self._free.get(memory_probe, (float("-inf"), 0))
        if self._clock() - looked_s >= _GOOD_S:
            free = memory_probe.free()
            self._free[memory_probe] = (self._clock(), free)
        return free
