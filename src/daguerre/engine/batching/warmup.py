"""What a network does once before it can evaluate inputs of a shape: told of, and not charged.

It may take minutes, as converting or compiling does, and is neither a hang nor a part of what jobs
cost. Knows nothing of which jobs wait for it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

from daguerre.engine.scheduling.cost_meter import CostMeter

logger = logging.getLogger(__name__)

# Of what takes longer the log tells how long it took.
_TOLD_S = 1.0


class Preparation:
    """`tell` is called with True before each part of the work, and with False when it is done."""

    def __init__(
        self, clock: Callable[[], float], meter: CostMeter, tell: Callable[[bool], None]
    ) -> None:
        self._clock, self._meter, self._tell = clock, meter, tell

    def __call__(self, name: str, parts: Iterator[None]) -> None:
        """Of the network with this name. Raises whatever it does."""
        started_s, has_parts = self._clock(), False
        try:
            for _ in parts:
                has_parts = True
                self._tell(True)
        finally:
            if has_parts:
                self._tell(False)
                self._meter.leave_out(self._clock() - started_s)
        spent_s = self._clock() - started_s
        if has_parts and spent_s >= _TOLD_S:
            logger.info("%s was prepared for a shape in %.1f s", name, spent_s)
