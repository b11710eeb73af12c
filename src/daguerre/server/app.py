"""The ASGI app: routes, middleware, error handlers and lifespan.

Paths of the API exist with and without /v1, because clients differ in their base URL.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from daguerre.config import Settings
from daguerre.engine.interface import Engine
from daguerre.errors import DaguerreError, SettingsError
from daguerre.imagefile import open_credentials
from daguerre.imagefile.encoding import encode
from daguerre.server.access.auth import Authenticator
from daguerre.server.access.rate_limiter import (
    ConcurrencyLimiter,
    RateLimiter,
    rate_limit_headers,
)
from daguerre.server.agreed_engine import AgreedEngine
from daguerre.server.http.errors import OutageLog, error_response, retry_after_s, unrouted_response
from daguerre.server.http.http_stats import HttpStats
from daguerre.server.http.middleware import RequestContextMiddleware
from daguerre.server.http.request_context import RequestContext
from daguerre.server.http.request_url import API_PREFIX, BaseUrl, RequestUrlMiddleware
from daguerre.server.http.security_headers import JsonCORSMiddleware
from daguerre.server.http.trusted_proxies import TrustedProxies
from daguerre.server.idempotency.environment_fingerprint import EnvironmentFingerprint
from daguerre.server.idempotency.requests import ImageRequests
from daguerre.server.membership import Membership
from daguerre.server.playground.one_time_login import OneTimeLogin
from daguerre.server.playground.page import Playground
from daguerre.server.routes.files import FileEndpoints
from daguerre.server.routes.generations import GenerationConfig, ImageGenerations
from daguerre.server.routes.health import Health
from daguerre.server.routes.metrics import Metrics
from daguerre.server.routes.models import Models
from daguerre.server.routes.openapi_page import OpenAPI
from daguerre.server.routes.signed_urls import UrlSigner
from daguerre.server.tracing import open_tracing
from daguerre.storage.database_threads import DatabaseThreads
from daguerre.storage.idempotency_keys import IdempotencyStore
from daguerre.storage.image_store import DIR_NAME, ImageStore
from daguerre.storage.rate_limits import RateLimits
from daguerre.storage.resources import ResourceStore
from daguerre.storage.server_leases import ServerLeases

if TYPE_CHECKING:
    from daguerre.imagefile.content_credentials import ContentCredentials
    from daguerre.server.tracing.spans import Tracing

FILES_PATH = "/images/files"
SWEEP_S = 60.0


def create_app(
    settings: Settings,
    engine: Engine,
    resources: ResourceStore,
    one_time_login: OneTimeLogin | None = None,
    is_shutting_down: Callable[[], bool] = lambda: False,
    http_stats: Callable[[], HttpStats] = HttpStats,
) -> Starlette:
    """The app of one server, which starts and stops the engine; see `factory.resolve`.

    Its `state.engine` is the engine with the models that other servers draw differently refused.
    """
    tracing = open_tracing() if settings.tracing else None
    credentials = open_credentials(settings.c2pa_certificate, settings.c2pa_private_key)
    database, environment = resources.database, _environment(settings, credentials)
    leases, outages = ServerLeases(database), OutageLog()
    membership = Membership(leases, DatabaseThreads(database, num_threads=1), outages)
    engine = AgreedEngine(engine, membership, environment.words)
    image_store, signer = _image_store(settings), _url_signer(settings)
    metrics = Metrics(engine, http_stats, lambda: image_store.num_bytes)
    if settings.image_store:
        image_store.prepare()
    if image_store.is_enabled:
        signer.prepare(is_shared=image_store.is_bucket)
    reads, writes = DatabaseThreads(database), DatabaseThreads(database)
    image_requests = ImageRequests(
        IdempotencyStore(database),
        writes,
        image_store,
        environment,
        outages,
        encode=partial(encode, with_prompt=settings.embed_prompt, credentials=credentials),
        cache_seeded_requests=settings.cache_seeded_requests,
    )
    config = _generation_config(settings, image_store)
    limits = RateLimits(database)
    authenticator = Authenticator(resources, limits, reads)
    base_url = BaseUrl(
        settings.public_url.rstrip("/"), settings.root_path, settings.public_base_url()
    )
    concurrency = ConcurrencyLimiter(
        settings.max_concurrent_requests_per_key, membership.num_servers
    )
    limiter = RateLimiter(limits, writes)
    images = ImageGenerations(
        config, engine, authenticator, concurrency, limiter, image_requests, signer, base_url
    )
    files, models = FileEndpoints(image_store, signer), Models(engine, authenticator)
    playground, login = Playground(), one_time_login or OneTimeLogin()
    health, openapi = Health(engine, is_shutting_down, outages), OpenAPI(base_url)
    routes = [
        *_versioned("/images/generations", images.create, ["POST"]),
        *_versioned(FILES_PATH + "/{name}", files.show),
        *_versioned("/models", models.list),
        *_versioned("/models/{model_id:path}", models.show),
        Route("/available-models", models.list_available),
        Route("/health", health.alive),
        Route("/healthz", health.alive),
        Route("/readyz", health.ready),
        Route("/metrics", metrics.show),
        Route("/openapi.json", openapi.json),
        Route("/docs", openapi.page),
        Route("/", playground.file),
        Route("/playground/sign-in", login.redeem, methods=["POST"]),
        Route("/playground/{name}", playground.file),
    ]
    # The label of an endpoint in log and metrics is its last path.
    labels = {route.endpoint: route.path for route in routes}
    middleware = [
        Middleware(
            RequestUrlMiddleware,
            settings.path_prefix(),
            TrustedProxies(settings.trusted_proxy_list()),
        ),
        Middleware(
            RequestContextMiddleware,
            rate_limit_headers,
            labels,
            metrics.observe,
            _cors(settings),
            tracing.start if tracing else lambda scope: None,
        ),
    ]
    app = Starlette(
        routes=routes,
        middleware=middleware,
        exception_handlers=_error_handlers(engine, outages, [route.path for route in routes]),
        lifespan=lambda app: _lifespan(engine, image_store, outages, (reads, writes), tracing),
    )
    app.router.redirect_slashes = False  # see `RequestUrlMiddleware`
    app.state.engine = engine
    return app


def _cors(settings: Settings) -> Callable[[ASGIApp], ASGIApp]:
    origins = settings.cors_origin_list()
    return lambda app: JsonCORSMiddleware(app, origins) if origins else app


def _generation_config(settings: Settings, images: ImageStore) -> GenerationConfig:
    return GenerationConfig(
        max_request_body_bytes=settings.max_request_body_bytes,
        request_read_timeout_s=settings.request_read_timeout_s,
        request_timeout_s=settings.request_timeout_s,
        default_response_format=settings.default_response_format,
        stores_images=images.is_enabled,
    )


def _image_store(settings: Settings) -> ImageStore:
    location = settings.image_store or str(settings.data_dir() / DIR_NAME)
    return ImageStore(location, settings.image_store_max_bytes, settings.signed_url_ttl_s)


def _url_signer(settings: Settings) -> UrlSigner:
    return UrlSigner(
        API_PREFIX + FILES_PATH,
        settings.signed_url_ttl_s,
        settings.signed_url_secret,
        settings.data_dir(),
    )


def _environment(
    settings: Settings, credentials: ContentCredentials | None
) -> EnvironmentFingerprint:
    return EnvironmentFingerprint(
        certificate=credentials.digest if credentials else "",
        precision=settings.embedded_precision,
        steps=settings.embedded_steps,
        embed_prompt=settings.embed_prompt,
        threads=settings.threads_per_worker,
    )


def _versioned(
    path: str, endpoint: Callable[..., Any], methods: list[str] | None = None
) -> tuple[Route, Route]:
    return Route(path, endpoint, methods=methods), Route(
        API_PREFIX + path, endpoint, methods=methods
    )


def _error_handlers(
    engine: Engine, outages: OutageLog, paths: Collection[str]
) -> dict[Any, Callable[..., Any]]:
    async def on_unrouted(request: Request, error: HTTPException) -> Response:
        return unrouted_response(request, error, paths)

    async def on_error(request: Request, error: DaguerreError) -> Response:
        if isinstance(error, SettingsError):  # only for the operator, because it may name files
            raise error
        RequestContext.of(request).error = error
        outages.record(error)
        headers = {}
        if error.status == 503 and not error.retry_after_s:
            stats = engine.stats()
            if not stats.failure:  # a failed engine does not recover
                headers["Retry-After"] = str(retry_after_s(stats))
        return error_response(error, headers)

    return {HTTPException: on_unrouted, DaguerreError: on_error}


@asynccontextmanager
async def _lifespan(
    engine: Engine,
    images: ImageStore,
    outages: OutageLog,
    databases: Collection[DatabaseThreads],
    tracing: Tracing | None,
) -> AsyncIterator[None]:
    await engine.start()
    sweeping = asyncio.create_task(_sweep(images, outages))
    try:
        with suppress(asyncio.CancelledError):  # uvicorn does so after a second signal
            yield
    finally:
        sweeping.cancel()
        await asyncio.gather(sweeping, return_exceptions=True)
        await engine.stop()
        for database in databases:
            database.close()
        if tracing:
            await tracing.close()


async def _sweep(images: ImageStore, outages: OutageLog) -> None:
    """Deletes expired images, on an idle server, too."""
    while True:
        try:
            await images.sweep()
        except DaguerreError as error:
            outages.record(error)
        await asyncio.sleep(SWEEP_S)
