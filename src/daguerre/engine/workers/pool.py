"""The worker pool: one slot per worker, and the statistics of all of them together."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence

from daguerre.engine.interface import WorkerStats
from daguerre.engine.scheduling.service_time import ServiceTimes, combine_workers
from daguerre.engine.workers.load_crashes import LoadCrashes
from daguerre.engine.workers.parity import WorkerParity
from daguerre.engine.workers.slot import WorkerHandle, WorkerPoolListener, WorkerSlot
from daguerre.engine.workers.watchdog import Watchdog


class WorkerPool:
    """Runs one worker for each of `starters`, which raise OSError if they cannot start one.

    All methods need `lock` to be held.
    """

    def __init__(
        self,
        starters: Sequence[Callable[[], WorkerHandle]],
        make_watchdog: Callable[[], Watchdog],
        lock: threading.Condition,
        listener: WorkerPoolListener,
        num_models: int,
    ) -> None:
        self._parity = WorkerParity(len(starters))
        self.load_crashes = LoadCrashes(num_models)
        self.may_serve = self._parity.may_serve
        self.slots = [
            WorkerSlot(
                number, starter, make_watchdog(), lock, self._parity, self.load_crashes, listener
            )
            for number, starter in enumerate(starters)
        ]

    def ready_workers(self) -> dict[int, Collection[str]]:
        """Workers that accept jobs, each with the models it has loaded."""
        return {slot.number: slot.stats.loaded for slot in self.slots if slot.is_ready}

    def has_been_ready(self, model: str) -> bool:
        """Whether a worker that may serve the model has been ready. It may be restarting now."""
        return any(
            slot.has_been_ready and self.may_serve(slot.number, model) for slot in self.slots
        )

    @property
    def is_stopping(self) -> bool:
        return any(slot.is_stopping for slot in self.slots)

    @property
    def is_healthy(self) -> bool:
        """Whether any worker is healthy."""
        return any(slot.is_healthy for slot in self.slots)

    @property
    def failure(self) -> str:
        """Why no worker will be started any more; "" while any slot has not failed."""
        failures = [slot.failure for slot in self.slots]
        return "; ".join(dict.fromkeys(failures)) if all(failures) else ""

    def load_failures(self) -> dict[str, str]:
        """Model -> why a worker could not load it, for the models that no worker has loaded."""
        loaded = {model for slot in self.slots for model in slot.stats.loaded}
        failures = (item for slot in self.slots for item in slot.stats.load_failures.items())
        return {model: reason for model, reason in failures if model not in loaded}

    def fingerprints(self) -> dict[str, str]:
        """Model -> fingerprint with which it is served, for those that were loaded."""
        return dict(self._parity.references)

    def service_times(self) -> ServiceTimes:
        return combine_workers([slot.stats.service_times for slot in self.slots])

    def num_serving(self, model: str) -> int:
        """Number of ready workers that serve the model; at least 1."""
        return max(1, sum(self.may_serve(worker, model) for worker in self.ready_workers()))

    def worker_stats(self, num_assigned: Callable[[int], int]) -> tuple[WorkerStats, ...]:
        return tuple(
            WorkerStats(
                slot.is_ready,
                num_assigned(slot.number),
                dict(slot.restarts),
                self._parity.mismatched_models(slot.number),
                slot.identity,
                tuple(slot.stats.loaded),
                slot.stats.loading.model if slot.stats.loading else "",
                slot.stats.resident_bytes,
            )
            for slot in self.slots
        )

    def certificates(self) -> dict[str, bool]:
        """Label -> whether every worker that checked the batch found it exact."""
        combined: dict[str, bool] = {}
        for slot in self.slots:
            for label, is_exact in slot.stats.certificates.items():
                combined[label] = is_exact and combined.get(label, True)
        return combined
