"""`RollingEngine`: follows the newest revision of an application.

A revision is a Serve application of its own, with replicas of its own. Requests that have begun end
on the old revision; no request is refused.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

from daguerre.engine.ray.ray_engine import RayEngine
from daguerre.engine.reloadable_engine import NewEngine, ReloadableEngine
from daguerre.errors import SettingsError

logger = logging.getLogger(__name__)

_POLL_S = 2.0
# A new revision runs already. Its replicas report every second.
_READY_TIMEOUT_S = 60.0


class RollingEngine(ReloadableEngine):
    """`find_revision` returns the name of the newest revision, or an empty string.

    `build` makes the engine of a revision. `update`, called by a reload, may deploy a new one. All
    three run in a thread and may raise `SettingsError`.
    """

    def __init__(
        self,
        find_revision: Callable[[], str],
        build: Callable[[str], RayEngine],
        update: Callable[[], object] = lambda: None,
    ) -> None:
        self._find_revision, self._build_revision, self._update = find_revision, build, update
        self._revision = find_revision()
        super().__init__(build(self._revision), self._build_newest, _READY_TIMEOUT_S)
        self._watching: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await super().start()
        self._watching = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        if self._watching:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        await super().stop()

    def _build_newest(self) -> NewEngine:
        self._update()
        self._revision = self._find_revision()
        return NewEngine(self._build_revision(self._revision), fits=True)

    async def _watch(self) -> None:
        """Changes to each new revision once; one that is not ready in time is left out."""
        while True:
            await asyncio.sleep(_POLL_S)
            try:
                revision = await asyncio.to_thread(self._find_revision)
            except SettingsError as error:
                logger.debug("cannot read the revisions: %s", error)
                continue
            if revision and revision != self._revision:
                logger.info("changing to revision %s", revision)
                with suppress(SettingsError):  # it is logged
                    await self.reload()
