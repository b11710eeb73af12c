"""When a process counts as hung: by how long ago it was heard, and did something.

What is done once, as loading a model or compiling a network, has a longer time than a forward, and
may be silent: it may keep all other threads of the process from running.

Knows a clock and nothing else. Time in which this process itself did not run, as when a terminal
stops both, is nobody's fault and does not count.
"""

from __future__ import annotations

import time
from collections.abc import Callable

_SIGN_OF_LIFE_S = 1.0
_LOOK_S = 1.0
# Looking so much later than intended means that this process was stopped meanwhile.
_MAX_LATE_S = 2.0


class Watchdog:
    """Notes come from the thread that listens, `fault` from the one that looks."""

    def __init__(
        self,
        timeout_s: float,
        model_load_timeout_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._timeout_s, self._load_timeout_s = timeout_s, model_load_timeout_s
        self._clock = clock
        self.sign_of_life_s = min(_SIGN_OF_LIFE_S, timeout_s / 4)
        self.look_s = min(_LOOK_S, timeout_s / 8)
        self.begin()

    def begin(self) -> None:
        """A process is being started."""
        self._is_loaded = False
        self._preparing_s: float | None = None
        self._started_s = self._looked_s = self._heard_s = self._worked_s = self._clock()

    def note_loaded(self) -> None:
        self._is_loaded = True
        self._worked_s = self._clock()

    def note_life(self) -> None:
        self._heard_s = self._clock()

    def note_work(self) -> None:
        self._worked_s = self._clock()

    def note_preparing(self, is_preparing: bool) -> None:
        """It begins something that is done once, or the next part of that; or is back at work."""
        self._heard_s = self._worked_s = self._clock()
        self._preparing_s = self._worked_s if is_preparing else None

    def fault(self, *, has_work: bool) -> str:
        """What is wrong with the process, or nothing; to be asked every `look_s`."""
        now_s = self._clock()
        late_s = now_s - self._looked_s - self.look_s
        self._looked_s = now_s
        if late_s > _MAX_LATE_S:
            self._started_s += late_s
            self._heard_s += late_s
            self._worked_s += late_s
            if self._preparing_s is not None:
                self._preparing_s += late_s
        load_time = f"{self._load_timeout_s:g} s (model_load_timeout_s)"
        if not self._is_loaded:
            is_late = now_s - self._started_s > self._load_timeout_s
            return f"was not loaded after {load_time}" if is_late else ""
        if self._preparing_s is not None:
            is_late = has_work and now_s - self._preparing_s > self._load_timeout_s
            return f"prepared a model or a network for {load_time}" if is_late else ""
        if now_s - self._heard_s > self._timeout_s:
            return f"showed no life for {self._timeout_s:g} s"
        if has_work and now_s - self._worked_s > self._timeout_s:
            return f"did no work for {self._timeout_s:g} s"
        return ""
