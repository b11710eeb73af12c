"""Values of the `Retry-After` header."""

from __future__ import annotations

import math

from daguerre.engine.interface import EngineStats
from daguerre.errors import MAX_RETRY_AFTER_S

LOADING_RETRY_AFTER_S = 5


def clamp_retry_after(seconds: float) -> int:
    """A value of `Retry-After`: whole seconds from 1 to 59."""
    return min(max(math.ceil(seconds), 1), MAX_RETRY_AFTER_S)


def retry_after_s(stats: EngineStats) -> int:
    """Estimated time until the accepted jobs are finished, in seconds."""
    return clamp_retry_after(stats.backlog_s) if stats.is_ready else LOADING_RETRY_AFTER_S
