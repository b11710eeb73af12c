"""`AgreedEngine`: an engine that draws the same images as the other servers of its database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import replace
from urllib.parse import quote

from daguerre.engine.interface import Engine, EngineStats
from daguerre.errors import UnavailableError
from daguerre.params import DEFAULT_CONTEXT, Event, ImageParams, JobContext, JobSucceeded, ModelInfo
from daguerre.protocol.messages import quote_for_message
from daguerre.server.http.errors import LOADING_RETRY_AFTER_S
from daguerre.server.membership import Membership

_FIRST_TICK_S, _TICK_S = 0.02, 0.25  # until the first comparison, and afterwards
# Between two renewals for requests of refused models, which another server may just have left.
_RETRY_S = 0.1
REASON = "it would draw other images than the other servers"


class AgreedEngine:
    """Implements `daguerre.engine.interface.Engine` with `engine`, except for refused models.

    `environment` is what determines an image besides the networks, as words: versions and settings.
    The fingerprints of `current` are registered; an engine from before a reload differs from it.
    """

    def __init__(
        self,
        engine: Engine,
        membership: Membership,
        environment: str,
        current: Engine | None = None,
    ) -> None:
        self._engine, self._membership, self._environment = engine, membership, environment
        self._current = current or engine
        self._renewing: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._renewing = asyncio.create_task(self._renew_loop())
        await self._engine.start()

    async def drain(self) -> None:
        """See `Engine.drain`. From now on, other servers may serve the models differently."""
        await asyncio.gather(self._engine.drain(), self._leave())

    async def stop(self) -> None:
        await self._leave()
        await self._engine.stop()
        self._membership.close()

    async def promote(self) -> list[str]:
        """Makes the other servers refuse what they draw differently; returns those models.

        Raises `UnavailableError` if the database does.
        """
        refused = list(self.conflicts())
        await self._membership.promote(self._fingerprints())
        return refused

    def conflicts(self) -> dict[str, str]:
        """Refused model -> which server draws other images, and what differs."""
        return self._membership.conflicts()

    def models(self) -> tuple[ModelInfo, ...]:
        return self._engine.models()

    def stats(self) -> EngineStats:
        """Refused models count as failed. Without another model, the engine is not ready.

        Nor is it ready until the first fingerprints are compared.
        """
        stats = self._engine.stats()
        refused = [info.id for info in self.models() if self._membership.is_refused(info.id)]
        has_no_model = bool(refused) and len(refused) == len(self.models())
        has_compared = self._membership.has_compared or not stats.loaded
        return replace(
            stats,
            is_ready=stats.is_ready and has_compared and not has_no_model,
            problem=f"no model is served: {REASON}" if has_no_model else stats.problem,
            load_failures={**stats.load_failures, **dict.fromkeys(refused, REASON)},
        )

    @contextmanager
    def hold(self) -> Iterator[Engine]:
        with self._engine.hold() as held:
            yield AgreedEngine(held, self._membership, self._environment, self._current)

    async def generate(
        self, params: ImageParams, context: JobContext = DEFAULT_CONTEXT
    ) -> AsyncGenerator[Event, None]:
        """See `Engine.generate`. Raises `UnavailableError` for a refused model."""
        if self._membership.is_refused(params.model):
            await self._membership.renew_if_due(self._fingerprints(), _RETRY_S)
            self._check(params.model)
        async with aclosing(self._engine.generate(params, context)) as events:
            async for event in events:
                if isinstance(event, JobSucceeded):
                    await self._confirm(params.model)
                yield event

    async def _confirm(self, model: str) -> None:
        """Registers the model if it has just been loaded. Raises `UnavailableError` if refused."""
        fingerprints = self._fingerprints()
        fingerprint = fingerprints.get(model)
        if fingerprint and not self._membership.is_registered(model, fingerprint):
            await self._membership.renew(fingerprints)
        self._check(model)

    def _check(self, model: str) -> None:
        if self._membership.is_refused(model):
            raise UnavailableError(
                f"model {quote_for_message(model)} is not served by this server: {REASON}; try"
                " again",
                retry_after_s=LOADING_RETRY_AFTER_S,
            )

    def _fingerprints(self) -> dict[str, str]:
        """Loaded model -> everything that determines its images, as words.

        With `batching = "throughput"` these are the weights alone.
        """
        loaded, infos = self._current.stats().loaded, self._current.models()
        return {
            info.id: self._complete(info, loaded[info.id]) for info in infos if info.id in loaded
        }

    def _complete(self, info: ModelInfo, fingerprint: str) -> str:
        if info.batching != "exact":
            return fingerprint
        return f"{fingerprint} {self._environment} options={quote(info.options)}"

    async def _renew_loop(self) -> None:
        while True:
            await self._membership.renew_if_due(self._fingerprints())
            await asyncio.sleep(_TICK_S if self._membership.has_compared else _FIRST_TICK_S)

    async def _leave(self) -> None:
        if self._renewing:
            self._renewing.cancel()
            await asyncio.gather(self._renewing, return_exceptions=True)
        await self._membership.leave()
