"""Warm-up: one-time work of a network, such as compilation, before it evaluates a new shape.

Warm-up may take minutes. It is reported as progress and is not charged to any job.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

from daguerre.engine.scheduling.cost_meter import CostMeter

logger = logging.getLogger(__name__)

_LOG_AFTER_S = 1.0


class Warmup:
    """Runs the warm-up of networks.

    Calls `report` with True before each part of the work, and with False at the end.
    """

    def __init__(
        self, clock: Callable[[], float], meter: CostMeter, report: Callable[[bool], None]
    ) -> None:
        self._clock, self._meter, self._report = clock, meter, report

    def __call__(self, network: str, parts: Iterator[None]) -> None:
        """Runs the parts, named after the network in the log. Raises any error of a part."""
        started_s, has_parts = self._clock(), False
        try:
            for _ in parts:
                has_parts = True
                self._report(True)
        finally:
            elapsed_s = self._clock() - started_s
            if has_parts:
                self._report(False)
                self._meter.exclude(elapsed_s)
        if has_parts and elapsed_s >= _LOG_AFTER_S:
            logger.info("warmed up %s for a new shape in %.1f s", network, elapsed_s)
