"""Idempotent replays: requests with a known Idempotency-Key, and cached requests with a seed.

A repeated key gets the seed of the first request. While that one runs, both share its job;
afterwards the stored image is returned, or generated again: the same seed gives the same bytes.
With `cache_seeded_requests`, stored images also answer requests that name a seed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field, replace

from starlette.datastructures import Headers

from daguerre.errors import ConflictError, DeadlineExceededError, UnavailableError
from daguerre.params import Event, ImageParams, JobFailed, ModelInfo
from daguerre.protocol.request import ImageGenerationRequest
from daguerre.server.access.auth import DATABASE_TIMEOUT_S
from daguerre.server.http.errors import OutageLog
from daguerre.server.idempotency.environment import EnvironmentFingerprint
from daguerre.server.idempotency.header import HEADER, parse_idempotency_key, request_fingerprint
from daguerre.server.idempotency.singleflight import JobFactory, SharedJob
from daguerre.storage.api_keys import Resource
from daguerre.storage.idempotency_keys import IdempotencyRecord, IdempotencyStore
from daguerre.storage.image_store import REPLAY_TTL_S, CachedImage, ImageStore


@dataclass(eq=False, slots=True)
class _InFlightKey:
    """The requests in progress with one key, and the job that they share."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)  # held while the record changes
    num_requests: int = 0
    created_record: bool = False  # one of these requests was the first with the key
    was_accepted: bool = False  # the engine has accepted a job of these requests
    job: SharedJob | None = None

    def join_or_start(self, start: JobFactory) -> tuple[SharedJob, bool]:
        """The shared job, and whether this call started it."""
        if self.job and not self.job.has_failed:
            return self.job, False
        self.job = SharedJob(start)
        return self.job, True

    async def events(self, start: JobFactory) -> AsyncGenerator[Event, None]:
        while True:
            job, is_owner = self.join_or_start(start)
            try:
                async with aclosing(job.events()) as events:
                    async for event in events:
                        self.was_accepted = True
                        _raise_late(event)
                        yield event
                return
            except DeadlineExceededError:
                # The request that started the job may have had an earlier deadline than this one.
                if is_owner:
                    raise


@dataclass(eq=False, slots=True)
class IdempotentRequest:
    """A request; with an Idempotency-Key, `params` has the seed of the first request with it.

    `object_name` names its image in the store. `reads` and `writes` say whether it uses the store.
    """

    params: ImageParams
    object_name: str
    images: ImageStore
    outages: OutageLog
    reads: bool
    writes: bool
    in_flight: _InFlightKey | None = None
    record: IdempotencyRecord | None = None
    is_replay: bool = False
    is_hit: bool = False

    async def load(self) -> CachedImage | None:
        """The stored image, if this request may use it. A failure of the store counts as a miss."""
        image = None
        if self.reads:
            with self._logged_outage():
                image = await self.images.get(self.object_name, REPLAY_TTL_S)
        self.is_hit = image is not None
        return image and self._with_original_timestamp(image)

    async def save(self, image: CachedImage, *, must_store: bool) -> CachedImage:
        """Stores the image for later requests; a failure matters only with `must_store`."""
        image = self._with_original_timestamp(image)
        if must_store:
            await self.images.put(self.object_name, image)
        elif self.writes:
            with self._logged_outage():
                await self.images.put(self.object_name, image)
        return image

    async def events(self, start: JobFactory) -> AsyncGenerator[Event, None]:
        """Events of the shared job, or of a new one; see `Engine.generate`."""
        events = self.in_flight.events(start) if self.in_flight else start()
        async with aclosing(events):
            async for event in events:
                yield event

    @property
    def is_shared(self) -> bool:
        """Whether other requests may join the job and watch its progress."""
        return self.in_flight is not None

    @property
    def cache(self) -> str:
        """Either "hit" or "miss"; empty if the request does not use stored images."""
        if self.is_hit:
            return "hit"
        return "miss" if self.writes else ""

    def headers(self) -> dict[str, str]:
        headers = {"x-cache": self.cache} if self.cache else {}
        if self.is_replay:
            headers["idempotent-replayed"] = "true"
        return headers

    def _with_original_timestamp(self, image: CachedImage) -> CachedImage:
        """All responses to one key are the same, and so is the time in them."""
        return replace(image, created=self.record.created) if self.record else image

    @contextmanager
    def _logged_outage(self) -> Iterator[None]:
        try:
            yield
        except UnavailableError as error:
            self.outages.record(error)


class IdempotencyCoordinator:
    """Coordinates the requests of one server; used from its event loop."""

    def __init__(
        self,
        records: IdempotencyStore,
        images: ImageStore,
        environment: EnvironmentFingerprint,
        outages: OutageLog,
        *,
        cache_seeded_requests: bool,
    ) -> None:
        self._records, self._images = records, images
        self._environment, self._outages = environment, outages
        self._caches_seeds = images.is_enabled and cache_seeded_requests
        self._in_flight: dict[tuple[str, str], _InFlightKey] = {}

    @asynccontextmanager
    async def begin(
        self,
        resource: Resource,
        headers: Headers,
        body: ImageGenerationRequest,
        params: ImageParams,
        info: ModelInfo,
    ) -> AsyncIterator[IdempotentRequest]:
        """The context lasts until the response is complete.

        Raises `ConflictError` for a key that came with a different request.
        """
        key = parse_idempotency_key(headers)
        is_cached = self._caches_seeds and body.seed != 0
        if key is None:
            yield self._request(resource, params, info, reads=is_cached, writes=is_cached)
            return
        async with self._joined(resource.id, key) as in_flight:
            fingerprint = request_fingerprint(key, body)
            record, is_new = await self._claim(
                in_flight, resource.id, key, fingerprint, params.seed
            )
            if record.fingerprint != fingerprint:
                raise ConflictError(
                    f"this {HEADER} was used with a different request in the last 24 hours; use a"
                    " new key for each new request",
                    param=HEADER,
                )
            request = self._request(
                resource,
                replace(params, seed=record.seed),
                info,
                reads=self._images.is_enabled and (is_cached or not is_new),
                writes=self._images.is_enabled,
            )
            request.in_flight, request.record, request.is_replay = in_flight, record, not is_new
            yield request

    def _request(
        self, resource: Resource, params: ImageParams, info: ModelInfo, *, reads: bool, writes: bool
    ) -> IdempotentRequest:
        digest = self._environment.digest(resource.id, params, info)
        name = f"{digest}.{params.output_format}"
        return IdempotentRequest(params, name, self._images, self._outages, reads, writes)

    async def _claim(
        self, in_flight: _InFlightKey, resource_id: str, key: str, fingerprint: str, seed: int
    ) -> tuple[IdempotencyRecord, bool]:
        try:
            async with in_flight.lock, asyncio.timeout(DATABASE_TIMEOUT_S):
                record, is_new = await asyncio.to_thread(
                    self._records.claim, resource_id, key, fingerprint, seed
                )
        except TimeoutError as error:
            raise UnavailableError(
                f"the database did not answer within {DATABASE_TIMEOUT_S:g} s"
            ) from error
        in_flight.created_record |= is_new
        return record, is_new

    @asynccontextmanager
    async def _joined(self, resource_id: str, key: str) -> AsyncIterator[_InFlightKey]:
        in_flight = self._in_flight.setdefault((resource_id, key), _InFlightKey())
        in_flight.num_requests += 1
        try:
            yield in_flight
        finally:
            in_flight.num_requests -= 1
            if not in_flight.num_requests:
                await self._clear(in_flight, resource_id, key)
            if not in_flight.num_requests:  # no request has joined during the await
                self._in_flight.pop((resource_id, key), None)

    async def _clear(self, in_flight: _InFlightKey, resource_id: str, key: str) -> None:
        """Cancels the job, and deletes the record if no job was accepted."""
        job, in_flight.job = in_flight.job, None
        if job:
            await job.cancel()
        async with in_flight.lock:
            is_unused = in_flight.created_record and not in_flight.was_accepted
            if is_unused and not in_flight.num_requests:
                with suppress(UnavailableError):  # the record will expire
                    await asyncio.to_thread(self._records.release, resource_id, key)
                in_flight.created_record = False


def _raise_late(event: Event) -> None:
    if isinstance(event, JobFailed) and isinstance(event.error, DeadlineExceededError):
        raise event.error
