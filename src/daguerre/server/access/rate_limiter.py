"""Who may enter, and when to come back: the sliding minute of each resource, how many of its
requests may be under way at a time, and Retry-After.

A permit is reserved before the work begins, so that requests side by side cannot pass the limit
together, and given back when the work fails: only an image costs, or a client that walked away from
one. Refusals (4xx) and failures of the server (5xx) cost nothing. Knows nothing of HTTP but the
names of its headers.
"""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from starlette.requests import ClientDisconnect

from daguerre.engine.interface import EngineStats
from daguerre.errors import RateLimitError
from daguerre.storage.api_keys import Resource

WINDOW_S = 60.0
MAX_RETRY_AFTER_S = 59
LOADING_RETRY_AFTER_S = 5


def whole_seconds(seconds: float) -> int:
    """As Retry-After takes them: 1 to 59."""
    return min(max(math.ceil(seconds), 1), MAX_RETRY_AFTER_S)


def retry_after_s(stats: EngineStats) -> int:
    """When the jobs accepted so far will have gone through, at the rate of late."""
    if not stats.is_ready:
        return LOADING_RETRY_AFTER_S
    return whole_seconds(stats.backlog_s)


class ConcurrencyLimiter:
    """Requests of each resource that are under way, from the key to the end of the answer."""

    def __init__(self, max_each: int) -> None:
        """No limit where `max_each` is 0."""
        self._max_each = max_each
        self._num_held: Counter[str] = Counter()

    @contextmanager
    def hold(self, resource: Resource, stats: EngineStats) -> Iterator[None]:
        """Raises `RateLimitError`; one of the others will have ended in about the time of a job."""
        if self._max_each and self._num_held[resource.id] >= self._max_each:
            raise RateLimitError(
                f"{self._max_each} requests with the key of {resource.alias} are under way, the"
                " most that are taken at a time",
                retry_after_s=whole_seconds(stats.service_times.mean_service_time_s),
            )
        self._num_held[resource.id] += 1
        try:
            yield
        finally:
            self._num_held[resource.id] -= 1
            if not self._num_held[resource.id]:
                del self._num_held[resource.id]


class RateLimiter:
    """The entries of the last minute, at most `requests_per_minute` for each resource."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._entries: dict[str, deque[float]] = {}
        self._swept = clock()

    @contextmanager
    def permit(self, resource: Resource) -> Iterator[None]:
        """Holds one entry; gives it back when the body of the `with` fails."""
        if resource.requests_per_minute is None:
            yield
            return
        entered = self._enter(resource, resource.requests_per_minute)
        costs = False
        try:
            yield
            costs = True
        except ClientDisconnect:
            costs = True
            raise
        finally:
            if not costs:
                self._give_back(resource, entered)

    def headers(self, resource: Resource) -> dict[str, str]:
        """Empty where no limit is set."""
        limit = resource.requests_per_minute
        if limit is None:
            return {}
        entries = self._current(resource)
        return {
            "x-ratelimit-limit-requests": str(limit),
            "x-ratelimit-remaining-requests": str(max(0, limit - len(entries))),
            "x-ratelimit-reset-requests": f"{math.ceil(self._reset_s(entries))}s",
        }

    def _enter(self, resource: Resource, limit: int) -> float:
        entries = self._current(resource)
        if len(entries) >= limit:
            raise RateLimitError(
                f"the limit of {limit} requests a minute for {resource.alias} is used up;"
                f" try again in {whole_seconds(self._reset_s(entries))} s",
                retry_after_s=whole_seconds(self._reset_s(entries)),
            )
        now = self._clock()
        entries.append(now)
        self._entries[resource.id] = entries
        return now

    def _give_back(self, resource: Resource, entered: float) -> None:
        entries = self._current(resource)
        if entered in entries:
            entries.remove(entered)

    def _current(self, resource: Resource) -> deque[float]:
        self._sweep()
        entries = self._entries.get(resource.id, deque())
        self._drop_old(entries)
        return entries

    def _drop_old(self, entries: deque[float]) -> None:
        oldest = self._clock() - WINDOW_S
        while entries and entries[0] <= oldest:
            entries.popleft()

    def _reset_s(self, entries: deque[float]) -> float:
        return entries[0] + WINDOW_S - self._clock() if entries else 0.0

    def _sweep(self) -> None:
        """Once a minute forgets resources that are idle, or are no more."""
        if self._clock() - self._swept < WINDOW_S:
            return
        self._swept = self._clock()
        for entries in self._entries.values():
            self._drop_old(entries)
        self._entries = {name: entries for name, entries in self._entries.items() if entries}
