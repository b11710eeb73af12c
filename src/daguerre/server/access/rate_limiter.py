"""Limits of a key: concurrent requests, and requests per sliding minute.

A request is charged before the work starts, so concurrent requests cannot exceed the limit
together. Errors (4xx, 5xx) are refunded, except for two that a client can cause after the work has
started: it disconnects, or its deadline passes.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

from starlette.requests import ClientDisconnect

from daguerre.engine.interface import EngineStats
from daguerre.errors import (
    ConcurrencyLimitError,
    DeadlineExceededError,
    RateLimitError,
    UnavailableError,
)
from daguerre.server.http.errors import clamp_retry_after
from daguerre.server.http.request_context import RequestContext
from daguerre.storage.database_threads import DatabaseThreads
from daguerre.storage.rate_limits import RateLimits
from daguerre.storage.resources import Resource


class ConcurrencyLimiter:
    """Limits the concurrent requests of each key; `max_concurrent` 0 disables the limit.

    Each of the servers that share the database (`num_servers`) admits an equal share, rounded up.
    """

    def __init__(self, max_concurrent: int, num_servers: Callable[[], int] = lambda: 1) -> None:
        self._max_concurrent, self._num_servers = max_concurrent, num_servers
        self._num_active: Counter[str] = Counter()

    @contextmanager
    def permit(self, resource: Resource, stats: EngineStats) -> Iterator[None]:
        """Holds a permit for one more request. Raises `ConcurrencyLimitError` at the limit."""
        num_servers = self._num_servers()
        limit = math.ceil(self._max_concurrent / num_servers)
        if limit and self._num_active[resource.id] >= limit:
            total = f", {self._max_concurrent} on {num_servers} servers" if num_servers > 1 else ""
            raise ConcurrencyLimitError(
                f"key {resource.alias} already has {limit} requests in progress"
                f" (limit: {limit}{total})",
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
    """Limits each key to `requests_per_minute` in any 60 seconds, on all servers together.

    Raises `UnavailableError` if the database cannot be written.
    """

    def __init__(self, limits: RateLimits, database: DatabaseThreads) -> None:
        self._limits, self._database = limits, database

    @asynccontextmanager
    async def charge(self, resource: Resource, context: RequestContext) -> AsyncIterator[None]:
        """Charges a request, and refunds most errors. Raises `RateLimitError` at the limit."""
        limit = resource.requests_per_minute
        if limit is None:
            yield
            return
        window, slot = await self._database.call(self._limits.charge, resource.id, limit)
        context.rate_limit_window = window
        if slot is None:
            wait_s = clamp_retry_after(window.reset_s)
            raise RateLimitError(
                f"key {resource.alias} has used its {limit} requests per minute;"
                f" retry in {wait_s} s",
                retry_after_s=wait_s,
            )
        try:
            yield
        except (ClientDisconnect, DeadlineExceededError):
            raise
        except Exception:
            with suppress(UnavailableError):  # it leaves the window anyway
                context.rate_limit_window = await self._database.call(
                    self._limits.refund, resource.id, slot
                )
            raise


def rate_limit_headers(context: RequestContext) -> dict[str, str]:
    """The rate limit headers of a response; none without a limit."""
    limit = context.resource.requests_per_minute if context.resource else None
    if limit is None or context.rate_limit_window is None:
        return {}
    return {
        "x-ratelimit-limit-requests": str(limit),
        "x-ratelimit-remaining-requests": str(
            max(0, limit - context.rate_limit_window.num_requests)
        ),
        "x-ratelimit-reset-requests": f"{math.ceil(context.rate_limit_window.reset_s)}s",
    }
