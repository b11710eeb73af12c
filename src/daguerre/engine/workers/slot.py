"""One slot of the worker pool: keeps a worker running, and replaces it when it dies or hangs.

One thread starts workers and reads their messages. Another is the watchdog, which terminates a
worker that hangs. Either way the worker's messages end, so its death is handled in one place.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Protocol

from daguerre.engine.interface import EngineStats, add_loads
from daguerre.engine.workers import messages
from daguerre.engine.workers.load_crashes import LoadCrashes
from daguerre.engine.workers.messages import WorkerExit
from daguerre.engine.workers.parity import WorkerParity
from daguerre.engine.workers.watchdog import Watchdog
from daguerre.params import JobSucceeded

# A slot fails after this many consecutive workers that ended before their models were loaded.
MAX_FAILED_STARTS = 6
# A slot without a worker counts as healthy for this time after the death of the last one.
HEALTHY_WITHOUT_WORKER_S = 30.0
_MIN_BACKOFF_S, _MAX_BACKOFF_S = 0.5, 8.0
_STOPPED = "was stopped"
RESTART_REASONS = ("crash", "hang", "out_of_memory", "failed_start")

logger = logging.getLogger(__name__)


class WorkerHandle(Protocol):
    """The server's view of one worker: a child process, or a worker on another machine.

    All methods may be called from any thread.
    """

    @property
    def identity(self) -> str:
        """What an operator finds the worker by, such as "pid 1234"."""

    def activity(self) -> int | None:
        """A number that changes while the worker computes or reads files; None if unknown."""

    def send(self, message: messages.WorkerCommand) -> None:
        """Queues a message. Never blocks, since a worker that hangs reads nothing."""

    def messages(self) -> Iterator[messages.WorkerMessage]:
        """Yields the worker's messages until it ends, for whatever reason."""

    def terminate(self, reason: str) -> None:
        """Ends the worker at once; the first reason given is the one that `wait` returns."""

    def wait(self) -> WorkerExit:
        """Ends and releases what is left of the worker; returns why it ended."""


class WorkerPoolListener(Protocol):
    """Callbacks of the worker pool. All are called with its lock held."""

    def is_busy(self, worker: int) -> bool:
        """Whether the worker has something to do."""

    def dispatch(self) -> None:
        """Assigns jobs to workers: which jobs a worker may run has changed."""

    def on_message(self, worker: int, message: messages.JobMessage) -> None: ...

    def on_worker_died(self, worker: int, reason: str) -> int:
        """A worker that had been ready has ended; returns how many of its jobs are retried."""

    def on_worker_failed(self, worker: int) -> None:
        """A worker has ended and is not replaced: it has failed, or the server stops."""


class WorkerSlot:
    """Runs one worker after another. All methods but `prestart`, `start`, `join` need `lock`."""

    def __init__(
        self,
        number: int,
        start_worker: Callable[[], WorkerHandle],
        watchdog: Watchdog,
        lock: threading.Condition,
        parity: WorkerParity,
        load_crashes: LoadCrashes,
        listener: WorkerPoolListener,
    ) -> None:
        self.number = number
        self._start_worker, self._watchdog, self._lock = start_worker, watchdog, lock
        self._parity, self._load_crashes, self._listener = parity, load_crashes, listener
        self._threads: list[threading.Thread] = []
        self._worker: WorkerHandle | None = None
        self._is_loaded = False
        self._num_failed_starts = self._num_fruitless = 0  # consecutive workers
        self.has_been_ready = self.is_stopping = False
        self._died_s = -math.inf  # when the last worker that was ready ended
        self.restarts: Counter[str] = Counter(dict.fromkeys(RESTART_REASONS, 0))
        self._is_hung = False  # the watchdog has terminated the worker
        self.failure = ""  # why there will be no other worker
        # The last report; its counters include those of earlier workers, summed up in `_past`.
        self.stats = self._past = EngineStats()

    @property
    def is_ready(self) -> bool:
        """Whether the worker accepts jobs."""
        return self._is_loaded and self._worker is not None

    @property
    def is_healthy(self) -> bool:
        """True from the first ready worker until a start fails or takes long."""
        is_failing = self._num_failed_starts or self.is_stopping or self.failure
        is_up = self.is_ready or time.monotonic() - self._died_s < HEALTHY_WITHOUT_WORKER_S
        return self.has_been_ready and is_up and not is_failing

    @property
    def identity(self) -> str:
        """Identity of the present worker, or ""."""
        return self._worker.identity if self._worker else ""

    def prestart(self) -> None:
        """Starts the first worker ahead of `start`, which reads its messages."""
        with suppress(OSError):  # `start` tries again and logs the error
            self._worker = self._start_worker()

    def start(self) -> None:
        for target in (self._supervise_loop, self._watchdog_loop):
            name = f"daguerre-worker-{self.number}{target.__name__}"
            thread = threading.Thread(target=target, name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """Terminates the worker, which holds nothing that must be kept."""
        self.is_stopping = True
        self._lock.notify_all()
        self._terminate(_STOPPED)

    def join(self) -> None:
        """Waits until the worker is gone."""
        for thread in self._threads:
            thread.join()
        if self._worker:  # prestarted and not used
            self._worker.wait()

    def send(self, message: messages.WorkerCommand) -> None:
        if self._worker:
            self._worker.send(message)

    def _terminate(self, reason: str) -> None:
        if self._worker:
            self._worker.terminate(reason)

    def _supervise_loop(self) -> None:
        try:
            while self._back_off():
                self._run_once()
        finally:
            with self._lock:
                if not self.is_stopping:
                    self.failure = self.failure or "its supervisor has crashed. This is a bug."
                    self._parity.remove(self.number)
                self._listener.on_worker_failed(self.number)
                self._lock.notify_all()

    def _back_off(self) -> bool:
        """Pauses after workers that produced nothing; returns whether to start another one."""
        with self._lock:
            self._lock.wait_for(lambda: self.is_stopping or self.failure, self._backoff_s())
            return not (self.is_stopping or self.failure)

    def _backoff_s(self) -> float:
        """0 after one worker that produced nothing, then doubling."""
        if self._num_fruitless < 2:
            return 0.0
        return min(_MIN_BACKOFF_S * 2.0 ** (self._num_fruitless - 2), _MAX_BACKOFF_S)

    def _run_once(self) -> None:
        """Runs one worker from its start to its end."""
        self._watchdog.record_start()
        self._is_hung = False
        try:
            worker = self._worker or self._start_worker()
        except OSError as error:
            self._on_exit(WorkerExit(f"could not be started: {error.strerror or error}"))
            return
        with self._lock:
            self._worker = worker
            if self.is_stopping:
                self._terminate(_STOPPED)
        try:
            for message in worker.messages():
                self._on_message(message)
        finally:
            with self._lock:
                self._worker = None
            end = worker.wait()
        self._on_exit(end, f"({worker.identity}) ")

    def _on_message(self, message: messages.WorkerMessage) -> None:
        self._watchdog.record_heartbeat()
        if isinstance(message, messages.LogRecordMessage):
            record = logging.makeLogRecord(
                message.record | {"worker": self.number, "prefix": f"worker {self.number}: "}
            )
            if logging.getLogger(record.name).isEnabledFor(record.levelno):
                logging.getLogger(record.name).handle(record)
            return
        with self._lock:
            if isinstance(message, messages.StatsUpdate):
                self._on_stats(message.stats)
                return
            if isinstance(message, messages.WorkStarted):
                self._watchdog.record_warmup(message.is_warmup)
            elif isinstance(message, messages.JobEvent):
                self._watchdog.record_progress()
                if isinstance(message.event, JobSucceeded):
                    self._num_fruitless = 0
            self._listener.on_message(self.number, message)

    def _on_stats(self, stats: EngineStats) -> None:
        # A new worker knows neither service times nor certificates yet.
        self.stats = replace(
            stats,
            num_forwards=stats.num_forwards + self._past.num_forwards,
            num_rows=stats.num_rows + self._past.num_rows,
            loads=add_loads([self._past.loads, stats.loads]),
            service_times=stats.service_times.with_history(self.stats.service_times),
            certificates=stats.certificates or self.stats.certificates,
        )
        self._load_crashes.record_loaded(stats.loaded)
        has_changed = self._parity.update(self.number, stats.loaded, stats.load_failures)
        if stats.failure:
            if not self.has_been_ready:  # a new worker would fail again
                self.failure = stats.failure
            self._terminate(f"failed: {stats.failure}")
        elif stats.is_ready and not self._is_loaded:
            has_changed = self._is_loaded = self.has_been_ready = True
            self._num_failed_starts = 0
            self._watchdog.record_progress()
        if has_changed:
            self._listener.dispatch()

    def _on_exit(self, end: WorkerExit, identity: str = "") -> None:
        with self._lock:
            was_ready, self._is_loaded = self._is_loaded, False
            load, reason = self.stats.loading, identity + end.reason
            self._past = self.stats = replace(
                self.stats, loaded={}, load_failures={}, loading=None, resident_bytes=0
            )
            self._parity.clear(self.number)
            if was_ready:
                self._died_s = time.monotonic()
            if self.is_stopping or self.failure:
                return
            if load is not None:
                reason = identity + self._load_crashes.record(load, end, was_ready=was_ready)
            self.restarts[self._restart_reason(end, was_ready)] += 1
            self._num_fruitless += 1
            self._num_failed_starts += not was_ready
            what = f"worker {self.number} {reason}"
            next_step = f"restarting in {self._backoff_s():g} s"
            if was_ready:
                num_retried = self._listener.on_worker_died(self.number, reason)
                next_step = f"jobs to retry: {num_retried}; {next_step}"
            elif self._num_failed_starts >= MAX_FAILED_STARTS:
                next_step = f"giving up after {MAX_FAILED_STARTS} failed starts"
                self.failure = f"{what}; {next_step}"
            logger.error("%s; %s", what, next_step)
            if not was_ready:
                self._parity.deprioritize(self.number)
                self._listener.dispatch()

    def _restart_reason(self, end: WorkerExit, was_ready: bool) -> str:
        """One of `RESTART_REASONS`."""
        if end.is_out_of_memory:
            return "out_of_memory"
        if self._is_hung:
            return "hang"
        return "crash" if was_ready else "failed_start"

    def _watchdog_loop(self) -> None:
        with self._lock:
            while not (self.is_stopping or self.failure):
                self._lock.wait(self._watchdog.poll_interval_s)
                self._watchdog.record_activity(self._worker.activity() if self._worker else None)
                is_busy = self._listener.is_busy(self.number)
                if fault := self._watchdog.check(is_loaded=self._is_loaded, is_busy=is_busy):
                    self._is_hung = True
                    self._terminate(fault)
