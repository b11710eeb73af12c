"""Requests that came before: those with a known Idempotency-Key, and seeded ones that are kept.

A request that repeats another, by its key, gets the seed of the first, waits for its job where that
still runs, and else takes the kept file, or is made again: the same seed gives the same bytes. With
`cache_seeded_requests` a kept file also answers requests that name a seed. Knows nothing of
parsing, of encoding or of answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace

from starlette.datastructures import Headers

from daguerre.config import Settings
from daguerre.errors import ConflictError, DeadlineExceededError, UnavailableError
from daguerre.params import Event, ImageParams, JobFailed, ModelInfo
from daguerre.protocol.request import ImageGenerationRequest
from daguerre.server.access.auth import DATABASE_TIMEOUT_S
from daguerre.server.idempotency.environment import EnvironmentFingerprint
from daguerre.server.idempotency.header import HEADER, fingerprint, idempotency_key
from daguerre.server.idempotency.singleflight import JobFactory, SharedJob
from daguerre.storage.api_keys import Resource
from daguerre.storage.idempotency_keys import IdempotencyRecord, IdempotencyStore
from daguerre.storage.result_cache import CachedImage, ResultCache


@dataclass(eq=False, slots=True)
class _InFlightKey:
    """Where the requests with one key meet, from the first that comes to the last that leaves."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)  # while the claim is made or released
    num_holders: int = 0
    is_claim_new: bool = False  # one of them made it
    was_taken: bool = False  # the engine has accepted a job of theirs
    flight: SharedJob | None = None

    def board(self, start: JobFactory) -> tuple[SharedJob, bool]:
        """The job under way, and whether it has just been begun."""
        if self.flight and not self.flight.has_failed:
            return self.flight, False
        self.flight = SharedJob(start)
        return self.flight, True


class IdempotentRequest:
    """One request, and what is left of those that came before it. `params` has the first's seed."""

    def __init__(
        self,
        params: ImageParams,
        results: ResultCache,
        digest: str,
        *,
        is_looked_for: bool,
        is_kept: bool,
        place: _InFlightKey | None = None,
        claim: IdempotencyRecord | None = None,
        is_repeated: bool = False,
    ) -> None:
        self.params = params
        self._results, self._digest = results, digest
        self._is_looked_for, self._is_kept = is_looked_for, is_kept
        self._place, self._claim, self._is_repeated = place, claim, is_repeated
        self._is_found = False

    async def stored(self) -> CachedImage | None:
        """The file as it was made before, where this request may have it and it is still there."""
        if not self._is_looked_for:
            return None
        result = await asyncio.to_thread(self._results.get, self._digest)
        self._is_found = result is not None
        return result and self._dated(result)

    async def keep(self, result: CachedImage) -> CachedImage:
        """For those that will come."""
        result = self._dated(result)
        if self._is_kept:
            await asyncio.to_thread(self._results.put, self._digest, result)
        return result

    async def events(self, start: JobFactory) -> AsyncGenerator[Event, None]:
        """Of a job under way, or of the one that `start` begins; see `Engine.generate`."""
        if self._place is None:
            async with aclosing(start()) as events:
                async for event in events:
                    yield event
            return
        while True:
            flight, is_own = self._place.board(start)
            try:
                async with aclosing(_of_flight(flight, self._place)) as events:
                    async for event in events:
                        yield event
                return
            except DeadlineExceededError:
                # Whoever began the job may have had less time than this request.
                if is_own:
                    raise

    @property
    def may_be_joined(self) -> bool:
        """Whether others may come to wait for the same job, and watch it."""
        return self._place is not None

    @property
    def cache(self) -> str:
        """hit or miss; nothing where files have no part in the answer."""
        if self._is_found:
            return "hit"
        return "miss" if self._is_kept else ""

    def headers(self) -> dict[str, str]:
        headers = {"x-cache": self.cache} if self.cache else {}
        if self._is_repeated:
            headers["idempotent-replayed"] = "true"
        return headers

    def _dated(self, result: CachedImage) -> CachedImage:
        """All answers to one key are the same answer, so they have one time."""
        return replace(result, created=self._claim.created) if self._claim else result


async def _of_flight(flight: SharedJob, place: _InFlightKey) -> AsyncGenerator[Event, None]:
    async with aclosing(flight.events()) as events:
        async for event in events:
            place.was_taken = True
            if isinstance(event, JobFailed) and isinstance(event.error, DeadlineExceededError):
                raise event.error
            yield event


class IdempotencyCoordinator:
    """Of one server; used from its event loop."""

    def __init__(self, settings: Settings, claims: IdempotencyStore) -> None:
        self._claims = claims
        self._results = ResultCache(settings.data_dir(), settings.results_max_bytes)
        self._surroundings = EnvironmentFingerprint(settings)
        self._is_kept = settings.results_max_bytes > 0
        self._is_seed_enough = self._is_kept and settings.cache_seeded_requests
        self._places: dict[tuple[str, str], _InFlightKey] = {}

    @asynccontextmanager
    async def of(
        self,
        resource: Resource,
        headers: Headers,
        asked: ImageGenerationRequest,
        params: ImageParams,
        info: ModelInfo,
    ) -> AsyncIterator[IdempotentRequest]:
        """Until the request is answered. Raises `ConflictError` for a key of another request."""
        key = idempotency_key(headers)
        is_cached = self._is_seed_enough and asked.seed != 0
        if key is None:
            digest = self._surroundings.digest(params, info) if is_cached else ""
            yield IdempotentRequest(
                params, self._results, digest, is_looked_for=is_cached, is_kept=is_cached
            )
            return
        async with self._held(resource.id, key) as place:
            made = fingerprint(key, asked)
            claim, is_new = await self._claim(place, resource.id, key, made, params.seed)
            if claim.fingerprint != made:
                raise ConflictError(
                    f"this {HEADER} came with another request in the last 24 hours; send a new one"
                    " with each new request",
                    param=HEADER,
                )
            params = replace(params, seed=claim.seed)
            yield IdempotentRequest(
                params,
                self._results,
                self._surroundings.digest(params, info),
                is_looked_for=self._is_kept and (is_cached or not is_new),
                is_kept=self._is_kept,
                place=place,
                claim=claim,
                is_repeated=not is_new,
            )

    async def _claim(
        self, place: _InFlightKey, resource_id: str, key: str, made: str, seed: int
    ) -> tuple[IdempotencyRecord, bool]:
        try:
            async with place.lock, asyncio.timeout(DATABASE_TIMEOUT_S):
                claim, is_new = await asyncio.to_thread(
                    self._claims.claim, resource_id, key, made, seed
                )
        except TimeoutError as error:
            raise UnavailableError(
                f"the database did not answer within {DATABASE_TIMEOUT_S:g} s"
            ) from error
        place.is_claim_new |= is_new
        return claim, is_new

    @asynccontextmanager
    async def _held(self, resource_id: str, key: str) -> AsyncIterator[_InFlightKey]:
        name = (resource_id, key)
        place = self._places.setdefault(name, _InFlightKey())
        place.num_holders += 1
        try:
            yield place
        finally:
            place.num_holders -= 1
            if not place.num_holders:
                await self._clear(place, resource_id, key)
            if not place.num_holders:  # nobody has come meanwhile
                self._places.pop(name, None)

    async def _clear(self, place: _InFlightKey, resource_id: str, key: str) -> None:
        """The last holder has left: nobody waits for the job, and a request that was refused leaves
        no claim, as nothing was done for it."""
        flight, place.flight = place.flight, None
        if flight:
            await flight.end()
        async with place.lock:
            if place.is_claim_new and not place.was_taken and not place.num_holders:
                with suppress(UnavailableError):  # it will end by itself
                    await asyncio.to_thread(self._claims.release, resource_id, key)
                place.is_claim_new = False
