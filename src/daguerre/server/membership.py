"""This server among those that share its database: its lease, and the models it may serve.

A server registers the fingerprint of each model that it has loaded. A model whose fingerprint
differs from the one that other servers have registered is refused until those servers have ended.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import math
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from daguerre.engine.workers.parity import fingerprint_diff
from daguerre.errors import UnavailableError
from daguerre.server.http.errors import OutageLog
from daguerre.storage.database_threads import DatabaseThreads
from daguerre.storage.server_leases import Renewal, ServerLeases

RENEW_S = 5.0
REFUSED_RENEW_S = 1.0  # the other servers may have ended

logger = logging.getLogger(__name__)


class Membership:
    """Renews the lease of this server. Used from one event loop.

    While the database is unavailable, its last answer holds. `database` has one thread, so that no
    renewal follows the end of the lease.
    """

    def __init__(
        self,
        leases: ServerLeases,
        database: DatabaseThreads,
        outages: OutageLog,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._leases, self._database, self._clock = leases, database, clock
        self._outages = outages
        self._lock = asyncio.Lock()  # held during a call of the database
        self.has_left = False
        self._asked_s = -math.inf  # when the last renewal began
        self._asked: Mapping[str, str] = {}  # its fingerprints by model, even if it failed
        self._fingerprints: Mapping[str, str] = {}  # of the last that succeeded
        self._renewal = Renewal()

    @property
    def has_compared(self) -> bool:
        """Whether fingerprints were compared, or the database is unavailable."""
        return bool(self._asked)

    def num_servers(self) -> int:
        return self._renewal.num_servers

    def conflicts(self) -> dict[str, str]:
        """See `AgreedEngine.conflicts`."""
        return {
            model: "it would draw other images than server {}: {} here, {} there".format(
                other.server, *fingerprint_diff(self._fingerprints[model], other.fingerprint)
            )
            for model, other in self._renewal.conflicts.items()
        }

    def is_refused(self, model: str) -> bool:
        return model in self._renewal.conflicts

    def is_registered(self, model: str, fingerprint: str) -> bool:
        """Whether the model is not refused with this fingerprint, as of the last renewal."""
        return self._fingerprints.get(model) == fingerprint and not self.is_refused(model)

    async def renew_if_due(
        self, fingerprints: Mapping[str, str], interval_s: float | None = None
    ) -> None:
        """Renews the lease if the fingerprints have changed, or after the interval."""
        if interval_s is None:
            interval_s = REFUSED_RENEW_S if self._renewal.conflicts else RENEW_S
        is_due = self._clock() - self._asked_s >= interval_s
        if is_due or fingerprints != self._asked:
            await self.renew(fingerprints)

    async def renew(self, fingerprints: Mapping[str, str]) -> None:
        """See `ServerLeases.renew`. Concurrent calls share a renewal."""
        called_s = self._clock()
        async with self._lock:
            if self._asked_s <= called_s or fingerprints != self._asked:
                try:
                    await self._renew(fingerprints, replace=False)
                except UnavailableError as error:
                    self._outages.record(error)

    async def promote(self, fingerprints: Mapping[str, str]) -> None:
        """Registers the fingerprints in place of those of other servers.

        Raises `UnavailableError` in an outage.
        """
        async with self._lock:
            await self._renew(fingerprints, replace=True)

    async def _renew(self, fingerprints: Mapping[str, str], *, replace: bool) -> None:
        if self.has_left:
            return
        self._asked_s = self._clock()
        renew = functools.partial(self._leases.renew, fingerprints, replace=replace)
        try:
            renewal, before = await self._database.call(renew), self.conflicts()
        finally:
            self._asked = dict(fingerprints)
        self._fingerprints = dict(fingerprints)
        self._renewal = Renewal() if self.has_left else renewal
        self._log_changes(before, self.conflicts())

    async def leave(self) -> None:
        """Ends the lease: another server may serve the models with other fingerprints."""
        if not self.has_left:
            self.has_left, self._renewal = True, Renewal()
            with suppress(UnavailableError):  # the lease will expire
                await self._database.call(self._leases.release)

    def close(self) -> None:
        self._database.close()

    def _log_changes(self, before: Mapping[str, str], after: Mapping[str, str]) -> None:
        advice = "stop the servers that differ, or run: daguerre models promote"
        for model, reason in after.items():
            if before.get(model) != reason:
                logger.error("%s is not served: %s; %s", model, reason, advice)
        for model in before:
            if model not in after:
                logger.warning("%s is served now: no other server differs", model)
