"""Limits of a key: concurrent requests, and requests per sliding minute.

A request is charged before the work starts, so concurrent requests cannot exceed the limit
together. Errors (4xx, 5xx) are refunded, except for two that a client can cause after the work has
started: it disconnects, or its deadline passes.
"""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from starlette.requests import ClientDisconnect

from daguerre.engine.interface import EngineStats
from daguerre.errors import ConcurrencyLimitError, DeadlineExceededError, RateLimitError
from daguerre.server.http.errors import clamp_retry_after
from daguerre.storage.resources import Resource

WINDOW_S = 60.0


class ConcurrencyLimiter:
    """Limits the concurrent requests of each key; `max_concurrent` 0 disables the limit."""

    def __init__(self, max_concurrent: int) -> None:
        self._max_concurrent = max_concurrent
        self._num_active: Counter[str] = Counter()

    @contextmanager
    def permit(self, resource: Resource, stats: EngineStats) -> Iterator[None]:
        """Holds a permit for one more request. Raises `ConcurrencyLimitError` at the limit."""
        limit = self._max_concurrent
        if limit and self._num_active[resource.id] >= limit:
            raise ConcurrencyLimitError(
                f"key {resource.alias} already has {limit} requests in progress (limit: {limit})",
                retry_after_s=clamp_retry_after(stats.job_interval_s),
            )
        self._num_active[resource.id] += 1
        try:
            yield
        finally:
            self._num_active[resource.id] -= 1
            if not self._num_active[resource.id]:
                del self._num_active[resource.id]


class RateLimiter:
    """Limits each key to `requests_per_minute` in any 60 seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._entries: dict[str, deque[float]] = {}  # resource ID -> times, oldest first
        self._swept_s = clock()

    @contextmanager
    def charge(self, resource: Resource) -> Iterator[None]:
        """Charges a request, and refunds most errors. Raises `RateLimitError` at the limit."""
        limit = resource.requests_per_minute
        if limit is None:
            yield
            return
        entries = self._current(resource)
        if len(entries) >= limit:
            wait_s = clamp_retry_after(self._reset_s(entries))
            raise RateLimitError(
                f"key {resource.alias} has used its {limit} requests per minute;"
                f" retry in {wait_s} s",
                retry_after_s=wait_s,
            )
        entered_s = self._clock()
        entries.append(entered_s)
        self._entries[resource.id] = entries
        try:
            yield
        except (ClientDisconnect, DeadlineExceededError):
            raise
        except BaseException:
            with suppress(ValueError):  # it has expired
                self._current(resource).remove(entered_s)
            raise

    def headers(self, resource: Resource) -> dict[str, str]:
        """The rate limit headers; none without a limit."""
        limit = resource.requests_per_minute
        if limit is None:
            return {}
        entries = self._current(resource)
        return {
            "x-ratelimit-limit-requests": str(limit),
            "x-ratelimit-remaining-requests": str(max(0, limit - len(entries))),
            "x-ratelimit-reset-requests": f"{math.ceil(self._reset_s(entries))}s",
        }

    def _current(self, resource: Resource) -> deque[float]:
        """Requests of the last minute; once a minute, idle keys are forgotten."""
        now_s = self._clock()
        if now_s - self._swept_s >= WINDOW_S:
            self._swept_s = now_s
            self._entries = {
                id: times
                for id, times in self._entries.items()
                if times and times[-1] > now_s - WINDOW_S
            }
        entries = self._entries.get(resource.id, deque())
        while entries and entries[0] <= now_s - WINDOW_S:
            entries.popleft()
        return entries

    def _reset_s(self, entries: deque[float]) -> float:
        return entries[0] + WINDOW_S - self._clock() if entries else 0.0
