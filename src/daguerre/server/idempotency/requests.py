"""Image requests: from the image store, from a shared job, or from a job of their own.

A repeated key gets the seed of the first request. While that one runs, both share its job;
afterwards the stored image is returned, or generated again: the same seed gives the same bytes.
With `cache_seeded_requests`, stored images also answer requests that name a seed.
"""

from __future__ import annotations

import asyncio
import functools
import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import TypeAlias

from starlette.datastructures import Headers

from daguerre.engine.interface import Engine
from daguerre.errors import (
    ConflictError,
    InvalidRequestError,
    RateLimitError,
    UnavailableError,
)
from daguerre.params import (
    Event,
    GeneratedImage,
    ImageParams,
    JobFailed,
    JobSucceeded,
    ModelInfo,
    StepCompleted,
    Timings,
)
from daguerre.protocol.request import ImageGenerationRequest
from daguerre.server.http.errors import OutageLog
from daguerre.server.http.request_context import RequestContext
from daguerre.server.idempotency.environment_fingerprint import EnvironmentFingerprint
from daguerre.server.idempotency.header import HEADER, parse_idempotency_key, request_digest
from daguerre.server.idempotency.singleflight import InFlightKey
from daguerre.storage.database_threads import DatabaseThreads, time_limit
from daguerre.storage.idempotency_keys import IdempotencyRecord, IdempotencyStore
from daguerre.storage.image_store import REPLAY_TTL_S, ImageFile, ImageStore
from daguerre.storage.resources import Resource

# Proxies close a connection without traffic after 30 s or more.
HEARTBEAT_S = 10.0
# Receives each event before the last, and None after each `HEARTBEAT_S` without one.
EventHandler: TypeAlias = Callable[[Event | None], Awaitable[None]]


@dataclass(eq=False, slots=True)
class ImageRequest:
    """One request; with an Idempotency-Key, `params` has the seed of the first request with it.

    `object_name` names its image in the store. `reads` and `writes` say whether it uses the store.
    """

    params: ImageParams
    object_name: str
    images: ImageStore
    outages: OutageLog
    encode: Callable[[GeneratedImage], bytes]
    reads: bool
    writes: bool
    in_flight: InFlightKey | None = None
    record: IdempotencyRecord | None = None
    is_replay: bool = False
    is_hit: bool = False

    async def load_or_generate(
        self,
        engine: Engine,
        context: RequestContext,
        on_event: EventHandler | None = None,
        *,
        must_store: bool = False,
    ) -> ImageFile:
        """The image file; the context gets its timings.

        A failure of the store counts as a miss, unless `must_store`: then an image that cannot be
        stored raises `UnavailableError`.
        """
        started, timings = time.monotonic(), Timings()
        image = await self._load()
        self.is_hit = image is not None
        if image is None:
            generated = await self._generate(engine, context, on_event)
            started, timings = time.monotonic(), generated.timings
            # In a thread, because compressing megabytes would block all other requests.
            file = await asyncio.to_thread(self.encode, generated)
            image = ImageFile(file, int(time.time()))
            await self._store(image, must_store)
        context.timings, context.file_started, context.cache = timings, started, self._cache
        # All responses to one key are the same, and so is the time in them.
        return replace(image, created=self.record.created) if self.record else image

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

    async def _generate(
        self, engine: Engine, context: RequestContext, on_event: EventHandler | None
    ) -> GeneratedImage:
        # Other requests may join a job with a key, and watch its progress.
        wants_progress = on_event is not None or self.in_flight is not None
        job_context = context.job_context(wants_progress=wants_progress)
        start = functools.partial(engine.generate, self.params, job_context)
        events = self.in_flight.events(start) if self.in_flight else start()
        # Closing the events cancels the job, unless other requests share it.
        async with aclosing(events), aclosing(_with_heartbeats(events, HEARTBEAT_S)) as beats:
            async for event in beats:
                if event and context.accepted is None:
                    context.accepted = time.monotonic()
                match event:
                    case JobSucceeded(image=image):
                        return image
                    case JobFailed(error=error):
                        raise error
                    case StepCompleted(index=index):
                        context.num_steps = index
                if on_event:
                    await on_event(event)
        raise AssertionError("a job ended without JobSucceeded or JobFailed. This is a bug.")

    async def _load(self) -> ImageFile | None:
        try:
            return await self.images.get(self.object_name, REPLAY_TTL_S) if self.reads else None
        except UnavailableError as error:
            self.outages.record(error)
            return None

    async def _store(self, image: ImageFile, must_store: bool) -> None:
        try:
            if must_store or self.writes:
                await self.images.put(self.object_name, image)
        except UnavailableError as error:
            if must_store:
                raise
            self.outages.record(error)


class ImageRequests:
    """The requests of one server, with what they share; used from its event loop."""

    def __init__(
        self,
        records: IdempotencyStore,
        database: DatabaseThreads,
        images: ImageStore,
        environment: EnvironmentFingerprint,
        outages: OutageLog,
        *,
        cache_seeded_requests: bool,
        encode: Callable[[GeneratedImage], bytes],
    ) -> None:
        self._records, self._database, self._images = records, database, images
        self._environment, self._outages = environment, outages
        self._encode = encode
        self._caches_seeds = images.is_enabled and cache_seeded_requests
        self._in_flight: dict[tuple[str, str], InFlightKey] = {}

    @asynccontextmanager
    async def open(
        self,
        resource: Resource,
        headers: Headers,
        body: ImageGenerationRequest,
        params: ImageParams,
        info: ModelInfo,
    ) -> AsyncIterator[ImageRequest]:
        """Yields the request, until its response is complete.

        Raises `ConflictError` for a key that came with a different request.
        """
        key = parse_idempotency_key(headers)
        is_cached = self._caches_seeds and body.seed != 0
        if key is None:
            yield self._request(resource, params, info, reads=is_cached, writes=is_cached)
            return
        async with self._joined(resource.id, key) as in_flight:
            digest = request_digest(key, body)
            record, is_new = await self._claim(in_flight, resource.id, key, digest, params.seed)
            if record.request_digest != digest:
                raise ConflictError(
                    f"this {HEADER} was used with a different request in the last 24 hours; use a"
                    " new key for each new request",
                    param=HEADER,
                )
            image_request = self._request(
                resource,
                replace(params, seed=record.seed),
                info,
                reads=self._images.is_enabled and (is_cached or not is_new),
                writes=self._images.is_enabled,
            )
            image_request.in_flight, image_request.record = in_flight, record
            image_request.is_replay = not is_new
            yield image_request

    def _request(
        self, resource: Resource, params: ImageParams, info: ModelInfo, *, reads: bool, writes: bool
    ) -> ImageRequest:
        digest = self._environment.digest(resource.id, params, info)
        name = f"{digest}.{params.output_format}"
        return ImageRequest(params, name, self._images, self._outages, self._encode, reads, writes)

    async def _claim(
        self, in_flight: InFlightKey, resource_id: str, key: str, digest: str, seed: int
    ) -> tuple[IdempotencyRecord, bool]:
        # Otherwise each request would wait for the calls of all others with the key.
        async with time_limit(), in_flight.lock:
            record, is_new = await self._database.call(
                self._records.claim, resource_id, key, digest, seed, in_flight.owner
            )
            in_flight.created_record |= is_new
        return record, is_new

    @asynccontextmanager
    async def _joined(self, resource_id: str, key: str) -> AsyncIterator[InFlightKey]:
        in_flight = self._in_flight.setdefault((resource_id, key), InFlightKey())
        in_flight.num_requests += 1
        is_refused = False
        try:
            yield in_flight
        except (InvalidRequestError, RateLimitError, UnavailableError):
            is_refused = True
            raise
        finally:
            in_flight.keeps_record |= not is_refused
            in_flight.num_requests -= 1
            try:
                if not in_flight.num_requests:
                    await self._clear(in_flight, resource_id, key)
            finally:
                if not in_flight.num_requests:  # no request has joined during the await
                    self._in_flight.pop((resource_id, key), None)

    async def _clear(self, in_flight: InFlightKey, resource_id: str, key: str) -> None:
        """Cancels the job, and releases the record if all requests were refused."""
        job, in_flight.job = in_flight.job, None
        if job:
            await job.cancel()
        async with in_flight.lock:
            is_unused = in_flight.created_record and not in_flight.keeps_record
            if is_unused and not in_flight.num_requests:
                # A release that the database delays must not delete the next record.
                owner, in_flight.owner = in_flight.owner, secrets.token_hex(8)
                in_flight.created_record = False
                with suppress(UnavailableError):  # the record will expire
                    await self._database.call(self._records.release, resource_id, key, owner)


async def _with_heartbeats(
    events: AsyncIterator[Event], interval_s: float
) -> AsyncGenerator[Event | None, None]:
    """The events, and None after each `interval_s` without one."""
    while True:
        next_event = asyncio.ensure_future(anext(events))
        try:
            while not (await asyncio.wait((next_event,), timeout=interval_s))[0]:
                yield None
            yield next_event.result()
        finally:
            next_event.cancel()
            await asyncio.gather(next_event, return_exceptions=True)
