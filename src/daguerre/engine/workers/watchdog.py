"""Hang detection for a worker, from its heartbeats, its progress and the activity of its process.

Loading a model and a warm-up, which compiles a network, have a longer limit than a forward. They
may block every thread of the worker and so its heartbeat. In this time a silent worker hangs only
if its process does nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable

_MAX_HEARTBEAT_INTERVAL_S = 1.0
_MAX_POLL_INTERVAL_S = 1.0
# A poll that is later than this means that the server itself was suspended.
_MAX_POLL_DELAY_S = 2.0


class Watchdog:
    """Detects a worker that hangs. The slot that reads its messages calls the `record_` methods.

    Time in which the server itself was suspended, for example by a terminal, does not count.
    """

    def __init__(
        self,
        hang_timeout_s: float,
        model_load_timeout_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._hang_timeout_s, self._load_timeout_s = hang_timeout_s, model_load_timeout_s
        self._clock, self._suspended_s = clock, 0.0
        self.heartbeat_interval_s = min(_MAX_HEARTBEAT_INTERVAL_S, hang_timeout_s / 4)
        self.poll_interval_s = min(_MAX_POLL_INTERVAL_S, hang_timeout_s / 8)
        self.record_start()

    def record_start(self) -> None:
        """The worker starts and loads its models."""
        self._warmup_s: float | None = None
        self._activity: int | None = None
        self._active_s = self._started_s = self._polled_s = self._heartbeat_s = self._progress_s = (
            self._now()
        )

    def record_heartbeat(self) -> None:
        """The worker has sent a message."""
        self._heartbeat_s = self._now()

    def record_activity(self, activity: int | None) -> None:
        """`activity` is the worker's `WorkerHandle.activity`; call it before each `check`."""
        if activity is None or activity != self._activity:
            self._activity, self._active_s = activity, self._now()

    def record_progress(self) -> None:
        """The worker has loaded its models or finished other work."""
        self._progress_s = self._now()

    def record_warmup(self, is_warmup: bool) -> None:
        """The worker starts a warm-up or the next part of one, or returns to other work."""
        self._heartbeat_s = self._progress_s = self._now()
        self._warmup_s = self._progress_s if is_warmup else None

    def check(self, *, is_loaded: bool, is_busy: bool) -> str:
        """Returns what is wrong with the worker, or "". Call it every `poll_interval_s`."""
        delay_s = self._now() - self._polled_s - self.poll_interval_s
        if delay_s > _MAX_POLL_DELAY_S:
            self._suspended_s += delay_s
        self._polled_s = self._now()
        load_limit = f"within {self._load_timeout_s:g} s (model_load_timeout_s)"
        hang_limit = f"for {self._hang_timeout_s:g} s (worker_hang_timeout_s)"
        is_silent = self._age_s(self._heartbeat_s) > self._hang_timeout_s
        is_warming_up = not is_loaded or self._warmup_s is not None
        if is_silent and is_warming_up and self._age_s(self._active_s) > self._hang_timeout_s:
            return f"sent no heartbeat and used no CPU time {hang_limit}"
        if not is_loaded:
            is_late = self._age_s(self._started_s) > self._load_timeout_s
            return f"did not load its models {load_limit}" if is_late else ""
        if self._warmup_s is not None:
            is_late = is_busy and self._age_s(self._warmup_s) > self._load_timeout_s
            return (
                f"did not finish its warm-up (loading, compiling) {load_limit}" if is_late else ""
            )
        if is_silent:
            return f"sent no heartbeat {hang_limit}"
        if not is_busy:
            self._progress_s = self._now()
        # The worker may have become busy at any time since the last poll.
        is_hung = self._age_s(self._progress_s) > self._hang_timeout_s + self.poll_interval_s
        return f"made no progress {hang_limit}" if is_hung else ""

    def _now(self) -> float:
        return self._clock() - self._suspended_s

    def _age_s(self, time_s: float) -> float:
        return self._now() - time_s
