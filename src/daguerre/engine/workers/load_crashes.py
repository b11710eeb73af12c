"""Crashes of workers while they loaded a model, which is given up after some of them."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable

from daguerre import memory
from daguerre.engine.interface import ModelLoad
from daguerre.engine.workers.messages import WorkerExit

logger = logging.getLogger(__name__)

MAX_CRASHES = 2


class LoadCrashes:
    """Counts the crashes of each model in a row, by all workers. Callers hold the pool's lock.

    The only model of a server is not given up at the start: the slot gives up its workers instead.
    """

    def __init__(self, num_models: int) -> None:
        self._num_models = num_models
        self._num_crashes: Counter[str] = Counter()
        self._reasons: dict[str, str] = {}  # of the models that were given up

    def record_loaded(self, models: Iterable[str]) -> None:
        for model in models:
            self._num_crashes.pop(model, None)

    def record(self, load: ModelLoad, end: WorkerExit, *, was_ready: bool) -> str:
        """Counts a worker that ended during `load`; returns what the log says about it."""
        text = f"{end.reason} while it loaded {load.model}"
        if end.is_out_of_memory:
            text += f" ({load.memory_text(memory.free_bytes())})"
        self._num_crashes[load.model] += 1
        is_optional = was_ready or self._num_models > 1
        if is_optional and self._num_crashes[load.model] >= MAX_CRASHES:
            reason = "not enough memory" if end.is_out_of_memory else "it crashes its worker"
            self._reasons[load.model] = reason
            advice = "remove the cause, then run: daguerre models reload"
            logger.error("%s is not loaded any more: %s; %s", load.model, reason, advice)
        return text

    def excluded(self) -> dict[str, str]:
        """Model that must not be loaded -> why, in words for clients."""
        return dict(self._reasons)
