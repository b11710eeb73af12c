"""Keeps one engine's process at work: starts it, listens to it, and replaces it when it ends.

One thread starts processes and listens to them, another looks whether the present one still works
and kills it where it does not; that it is dead is then learned as it always is. Knows nothing of
jobs: those are its owner's, `daguerre.engine.workers.process_engine`, whose lock it shares.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Protocol

from daguerre.engine.interface import EngineStats
from daguerre.engine.workers.messages import (
    CancelAcknowledged,
    JobEvent,
    LogRecordMessage,
    StatsUpdate,
    WorkerCommand,
    WorkerMessage,
    WorkStarted,
)
from daguerre.engine.workers.process import WorkerProcess
from daguerre.engine.workers.watchdog import Watchdog

# Of processes in a row that ended before their models were loaded; then there will be none.
MAX_BAD_STARTS = 6
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 8.0
_UNNEEDED = "is not needed any more"

logger = logging.getLogger(__name__)


class Owner(Protocol):
    """All are called under the lock."""

    @property
    def has_work(self) -> bool:
        """Whether the process has something to do."""

    def begin(self) -> None:
        """A process is loaded and takes jobs."""

    def hear(self, message: StatsUpdate | WorkStarted | JobEvent | CancelAcknowledged) -> None: ...

    def die(self, reason: str) -> None:
        """A process that was loaded has ended."""

    def miss(self) -> None:
        """A process has ended before it was loaded."""

    def end(self, told: str) -> None:
        """There will be no other process."""


class Supervisor:
    """All but `start` and `join` are called under `changed`, the lock of the owner."""

    def __init__(
        self,
        make_child: Callable[[], WorkerProcess],
        watch: Watchdog,
        changed: threading.Condition,
        owner: Owner,
        name: str,
    ) -> None:
        """`name` is the process's in the log."""
        self._make_child, self._watch, self._name = make_child, watch, name
        self._changed, self._owner = changed, owner
        self._threads: list[threading.Thread] = []
        self._child: WorkerProcess | None = None
        self._is_loaded = False  # the present process
        self._num_bad_starts = self._num_fruitless = 0  # lives in a row
        self.was_loaded = self.is_stopping = False
        self.num_restarts = 0
        self.failure = ""  # why there will be no process

    @property
    def is_sound(self) -> bool:
        """Also while a process that had worked is replaced: that takes a moment."""
        return self.was_loaded and not (self._num_bad_starts or self.is_stopping or self.failure)

    @property
    def takes_jobs(self) -> bool:
        return self._is_loaded and self._child is not None

    @property
    def pid(self) -> int | None:
        child = self._child  # read once: it may go meanwhile
        return child.pid if child else None

    def start(self) -> None:
        for target in (self._supervise, self._look):
            name = f"daguerre-engine{target.__name__}"
            thread = threading.Thread(target=target, name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """The process is killed: it holds nothing that must be kept."""
        self.is_stopping = True
        self._changed.notify_all()
        if self._child:
            self._child.kill(_UNNEEDED)

    def join(self) -> None:
        """Returns when the process is gone."""
        for thread in self._threads:
            thread.join()

    def send(self, message: WorkerCommand) -> None:
        if self._child:
            self._child.send(message)

    def note_request(self) -> None:
        """The process was idle, and gets work now."""
        self._watch.note_work()

    def note_image(self) -> None:
        """Whatever may still be wrong, processes do not die in vain."""
        self._num_fruitless = 0

    def _supervise(self) -> None:
        try:
            while self._wait_for_turn():
                self._live()
        finally:
            with self._changed:
                if not (self.is_stopping or self.failure):  # an error of ours ends the thread
                    self.failure = "the engine is not watched any more. This is a bug."
                self._owner.end(
                    "the server is stopping" if self.is_stopping else "the engine has failed"
                )
                self._changed.notify_all()

    def _wait_for_turn(self) -> bool:
        """Pauses after lives that brought nothing; False when there shall be no other."""
        with self._changed:
            if self._num_fruitless > 1:
                pause_s = min(_FIRST_PAUSE_S * 2 ** (self._num_fruitless - 2), _LONGEST_PAUSE_S)
                self._changed.wait_for(lambda: self.is_stopping, pause_s)
            return not (self.is_stopping or self.failure)

    def _live(self) -> None:
        """One process from its start to its end."""
        self._watch.begin()
        try:
            child = self._make_child()
        except OSError as error:
            self._bury(f"cannot be started: {error.strerror or error}")
            return
        with self._changed:
            self._child = child
            if self.is_stopping:
                child.kill(_UNNEEDED)
        try:
            for message in child.messages():
                self._hear(message, child)
        finally:
            with self._changed:
                self._child = None
            reason = child.end()
        self._bury(reason)

    def _hear(self, message: WorkerMessage, child: WorkerProcess) -> None:
        self._watch.note_life()
        if isinstance(message, LogRecordMessage):
            _log(logging.makeLogRecord(message.record))
            return
        with self._changed:
            if isinstance(message, WorkStarted):
                self._watch.note_preparing(message.is_preparing)
            elif isinstance(message, JobEvent):
                self._watch.note_work()
            self._owner.hear(message)
            if isinstance(message, StatsUpdate):
                self._hear_state(message.stats, child)

    def _hear_state(self, stats: EngineStats, child: WorkerProcess) -> None:
        if stats.failure:
            if not self.was_loaded:  # as it is, it never will be
                self.failure = stats.failure
            child.kill(f"has failed: {stats.failure}")
        elif stats.is_ready and not self._is_loaded:
            self._is_loaded = self.was_loaded = True
            self._num_bad_starts = 0
            self._watch.note_loaded()
            self._owner.begin()

    def _bury(self, reason: str) -> None:
        with self._changed:
            was_loaded, self._is_loaded = self._is_loaded, False
            if self.is_stopping or self.failure:
                return
            self.num_restarts += 1
            self._num_fruitless += 1
            logger.error("%s %s; it is replaced", self._name, reason)
            if was_loaded:
                self._owner.die(reason)
                return
            self._num_bad_starts += 1
            if self._num_bad_starts >= MAX_BAD_STARTS:
                self.failure = (
                    f"{self._name} {reason}; {MAX_BAD_STARTS} in a row could not be started"
                )
            self._owner.miss()

    def _look(self) -> None:
        with self._changed:
            while not (self.is_stopping or self.failure):
                self._changed.wait(self._watch.look_s)
                fault = self._watch.fault(has_work=self._owner.has_work)
                if fault and self._child:
                    self._child.kill(fault)


def _log(record: logging.LogRecord) -> None:
    """As if it had been logged here."""
    own = logging.getLogger(record.name)
    if own.isEnabledFor(record.levelno):
        own.handle(record)
