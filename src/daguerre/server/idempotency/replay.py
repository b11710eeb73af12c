"""Idempotent replays: requests with a known Idempotency-Key, and cached requests with a seed.

A repeated key gets the seed of the first request. While that one runs, both share its job;
afterwards the stored image is returned, or generated again: the same seed gives the same bytes.
With `cache_seeded_requests`, stored images also answer requests that name a seed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace

from starlette.datastructures import Headers

from daguerre.errors import ConflictError, DeadlineExceededError, UnavailableError
from daguerre.imagefile.encoding import encode
from daguerre.params import Event, GeneratedImage, ImageParams, JobFailed, ModelInfo, Timings
from daguerre.protocol.request import ImageGenerationRequest
from daguerre.server.access.auth import call_database
from daguerre.server.http.errors import OutageLog
from daguerre.server.http.middleware import RequestContext
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

    async def events(self, start: JobFactory) -> AsyncGenerator[Event, None]:
        while True:
            job = self.job
            is_owner = job is None or job.has_failed
            if job is None or is_owner:
                job = self.job = SharedJob(start)
            try:
                async with aclosing(job.events()) as events:
                    async for event in events:
                        self.was_accepted = True
                        match event:
                            case JobFailed(error=DeadlineExceededError() as error):
                                raise error
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
    embed_prompt: bool
    reads: bool
    writes: bool
    in_flight: _InFlightKey | None = None
    record: IdempotencyRecord | None = None
    is_replay: bool = False
    is_hit: bool = False

    async def load_or_render(
        self,
        context: RequestContext,
        render: Callable[[], Awaitable[GeneratedImage]],
        *,
        must_store: bool = False,
    ) -> tuple[CachedImage, float]:
        """The image file, and when work on it began, by the monotonic clock.

        A failure of the store counts as a miss, unless `must_store`: then an image that cannot be
        stored raises `UnavailableError`.
        """
        started, timings = time.monotonic(), Timings()
        image = await self._load()
        self.is_hit = image is not None
        if image is None:
            generated = await render()
            started, timings = time.monotonic(), generated.timings
            # In a thread, because compressing megabytes would block all other requests.
            file = await asyncio.to_thread(encode, generated, with_prompt=self.embed_prompt)
            image = CachedImage(file, int(time.time()))
            await self._store(image, must_store)
        context.timings, context.cache = timings, self._cache
        # All responses to one key are the same, and so is the time in them.
        return (replace(image, created=self.record.created) if self.record else image), started

    def events(self, start: JobFactory) -> AsyncGenerator[Event, None]:
        """Events of the shared job, or of a new one; see `Engine.generate`."""
        return self.in_flight.events(start) if self.in_flight else start()

    @property
    def is_shared(self) -> bool:
        """Whether other requests may join the job and watch its progress."""
        return self.in_flight is not None

    def headers(self) -> dict[str, str]:
        headers = {"x-cache": self._cache} if self._cache else {}
        if self.is_replay:
            headers["idempotent-replayed"] = "true"
        return headers

    @property
    def _cache(self) -> str:
        if self.is_hit:
            return "hit"
        return "miss" if self.writes else ""

    async def _load(self) -> CachedImage | None:
        try:
            return await self.images.get(self.object_name, REPLAY_TTL_S) if self.reads else None
        except UnavailableError as error:
            self.outages.record(error)
            return None

    async def _store(self, image: CachedImage, must_store: bool) -> None:
        try:
            if must_store or self.writes:
                await self.images.put(self.object_name, image)
        except UnavailableError as error:
            if must_store:
                raise
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
        embed_prompt: bool,
    ) -> None:
        self._records, self._images = records, images
        self._environment, self._outages = environment, outages
        self._embed_prompt = embed_prompt
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
        return IdempotentRequest(
            params, name, self._images, self._outages, self._embed_prompt, reads, writes
        )

    async def _claim(
        self, in_flight: _InFlightKey, resource_id: str, key: str, fingerprint: str, seed: int
    ) -> tuple[IdempotencyRecord, bool]:
        async with in_flight.lock:
            record, is_new = await call_database(
                self._records.claim, resource_id, key, fingerprint, seed
            )
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
