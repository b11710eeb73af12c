"""Requests that came before: those with a known Idempotency-Key, and seeded ones that are kept.

A request that repeats another, by its key, gets the seed of the first, waits for its job where that
still runs, and else takes the kept file, or is made again: the same seed gives the same bytes. With
`cache_seeded` a kept file also answers requests that name a seed. Knows nothing of parsing, of
encoding or of answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace

from starlette.datastructures import Headers

from daguerre.config import Settings
from daguerre.errors import Conflict, DeadlineExceeded, Unavailable
from daguerre.params import Event, Failed, ImageParams, ModelInfo
from daguerre.protocol.request import ImageGenerationRequest
from daguerre.server.access.auth import DATABASE_TIMEOUT_S
from daguerre.server.idempotency.environment import Surroundings
from daguerre.server.idempotency.header import HEADER, fingerprint, idempotency_key
from daguerre.server.idempotency.singleflight import Flight, Start
from daguerre.storage.api_keys import Resource
from daguerre.storage.idempotency_keys import Claim, Claims
from daguerre.storage.result_cache import Result, Results


@dataclass(eq=False, slots=True)
class _Place:
    """Where the requests with one key meet, from the first that comes to the last that leaves."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)  # while the claim is made or released
    num_holders: int = 0
    is_claim_new: bool = False  # one of them made it
    was_taken: bool = False  # the engine has accepted a job of theirs
    flight: Flight | None = None

    def board(self, start: Start) -> tuple[Flight, bool]:
        """The job under way, and whether it has just been begun."""
        if self.flight and not self.flight.has_failed:
            return self.flight, False
        self.flight = Flight(start)
        return self.flight, True


class Replay:
    """One request, and what is left of those that came before it. `params` has the first's seed."""

    def __init__(
        self,
        params: ImageParams,
        results: Results,
        digest: str,
        *,
        is_looked_for: bool,
        is_kept: bool,
        place: _Place | None = None,
        claim: Claim | None = None,
        is_repeated: bool = False,
    ) -> None:
        self.params = params
        self._results, self._digest = results, digest
        self._is_looked_for, self._is_kept = is_looked_for, is_kept
        self._place, self._claim, self._is_repeated = place, claim, is_repeated
        self._is_found = False

    async def stored(self) -> Result | None:
        """The file as it was made before, where this request may have it and it is still there."""
        if not self._is_looked_for:
            return None
        result = await asyncio.to_thread(self._results.get, self._digest)
        self._is_found = result is not None
        return result and self._dated(result)

    async def keep(self, result: Result) -> Result:
        """For those that will come."""
        result = self._dated(result)
        if self._is_kept:
            await asyncio.to_thread(self._results.put, self._digest, result)
        return result

    async def events(self, start: Start) -> AsyncGenerator[Event, None]:
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
            except DeadlineExceeded:
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

    def _dated(self, result: Result) -> Result:
        """All answers to one key are the same answer, so they have one time."""
        return replace(result, created=self._claim.created) if self._claim else result


async def _of_flight(flight: Flight, place: _Place) -> AsyncGenerator[Event, None]:
    async with aclosing(flight.events()) as events:
        async for event in events:
            place.was_taken = True
            if isinstance(event, Failed) and isinstance(event.error, DeadlineExceeded):
                raise event.error
            yield event


class Replays:
    """Of one server; used from its event loop."""

    def __init__(self, settings: Settings, claims: Claims) -> None:
        self._claims = claims
        self._results = Results(settings.home_folder(), settings.results_max_bytes)
        self._surroundings = Surroundings(settings)
        self._is_kept = settings.results_max_bytes > 0
        self._is_seed_enough = self._is_kept and settings.cache_seeded
        self._places: dict[tuple[str, str], _Place] = {}

    @asynccontextmanager
    async def of(
        self,
        resource: Resource,
        headers: Headers,
        asked: ImageGenerationRequest,
        params: ImageParams,
        info: ModelInfo,
    ) -> AsyncIterator[Replay]:
        """Until the request is answered. Raises `Conflict` for a key of another request."""
        key = idempotency_key(headers)
        is_cached = self._is_seed_enough and asked.seed != 0
        if key is None:
            digest = self._surroundings.digest(params, info) if is_cached else ""
            yield Replay(params, self._results, digest, is_looked_for=is_cached, is_kept=is_cached)
            return
        async with self._held(resource.id, key) as place:
            made = fingerprint(key, asked)
            claim, is_new = await self._claim(place, resource.id, key, made, params.seed)
            if claim.fingerprint != made:
                raise Conflict(
                    f"this {HEADER} came with another request in the last 24 hours; send a new one"
                    " with each new request",
                    param=HEADER,
                )
            params = replace(params, seed=claim.seed)
            yield Replay(
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
        self, place: _Place, resource_id: str, key: str, made: str, seed: int
    ) -> tuple[Claim, bool]:
        try:
            async with place.lock, asyncio.timeout(DATABASE_TIMEOUT_S):
                claim, is_new = await asyncio.to_thread(
                    self._claims.claim, resource_id, key, made, seed
                )
        except TimeoutError as error:
            raise Unavailable(
                f"the database did not answer within {DATABASE_TIMEOUT_S:g} s"
            ) from error
        place.is_claim_new |= is_new
        return claim, is_new

    @asynccontextmanager
    async def _held(self, resource_id: str, key: str) -> AsyncIterator[_Place]:
        name = (resource_id, key)
        place = self._places.setdefault(name, _Place())
        place.num_holders += 1
        try:
            yield place
        finally:
            place.num_holders -= 1
            if not place.num_holders:
                await self._clear(place, resource_id, key)
            if not place.num_holders:  # nobody has come meanwhile
                self._places.pop(name, None)

    async def _clear(self, place: _Place, resource_id: str, key: str) -> None:
        """The last holder has left: nobody waits for the job, and a request that was refused leaves
        no claim, as nothing was done for it."""
        flight, place.flight = place.flight, None
        if flight:
            await flight.end()
        async with place.lock:
            if place.is_claim_new and not place.was_taken and not place.num_holders:
                with suppress(Unavailable):  # it will end by itself
                    await asyncio.to_thread(self._claims.release, resource_id, key)
                place.is_claim_new = False
