"""The ASGI app: routes, middleware, error handlers and lifespan.

Paths of the API exist with and without /v1, because clients differ in their base URL.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator
from contextlib import asynccontextmanager
from typing import TypeAlias

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Lifespan

from daguerre.config import Settings
from daguerre.engine.interface import Engine
from daguerre.engine.workers.cpu_affinity import threads_per_worker
from daguerre.errors import DaguerreError, SettingsError, UnavailableError
from daguerre.models.catalog import FILE_NAME as CATALOG_FILE
from daguerre.server.access.auth import Authenticator
from daguerre.server.access.rate_limiter import RateLimiter, clamp_retry_after, retry_after_s
from daguerre.server.http.errors import OutageLog, error_response, unrouted_response
from daguerre.server.http.middleware import RequestContextMiddleware
from daguerre.server.http.security_headers import JsonCORSMiddleware
from daguerre.server.idempotency.environment import EnvironmentFingerprint
from daguerre.server.idempotency.replay import IdempotencyCoordinator
from daguerre.server.playground.one_time_login import OneTimeLogin
from daguerre.server.playground.page import Playground
from daguerre.server.routes.files import FileEndpoints
from daguerre.server.routes.generations import GenerationConfig, ImageGenerations
from daguerre.server.routes.health import Health
from daguerre.server.routes.metrics import Metrics
from daguerre.server.routes.models import Models
from daguerre.server.routes.openapi import OpenApi
from daguerre.server.routes.signed_urls import UrlSigner
from daguerre.storage.api_keys import ResourceStore
from daguerre.storage.idempotency_keys import IdempotencyStore
from daguerre.storage.image_store import DIR_NAME, ImageStore

Endpoint: TypeAlias = Callable[[Request], Awaitable[ASGIApp]]
PREFIX = "/v1"
SWEEP_S = 60.0


def create_app(
    settings: Settings,
    engine: Engine,
    resources: ResourceStore,
    one_time_login: OneTimeLogin | None = None,
) -> Starlette:
    """The app of one server. It starts and stops the engine."""
    limiter, metrics, outages = RateLimiter(), Metrics(engine), OutageLog()
    keys = Authenticator(resources)
    image_store, signer = _image_store(settings), _url_signer(settings)
    replays = IdempotencyCoordinator(
        IdempotencyStore(resources.database),
        image_store,
        _environment(settings),
        outages,
        cache_seeded_requests=settings.cache_seeded_requests,
    )
    files = FileEndpoints(image_store, signer)
    images = ImageGenerations(_generation_config(settings), engine, keys, limiter, replays, signer)
    models, health = Models(engine, keys), Health(engine)
    routes = [
        *_routes(images, files, models, health, metrics, OpenApi(settings.public_base_url())),
        *_playground_routes(Playground(), one_time_login or OneTimeLogin()),
    ]
    paths = [route.path for route in routes]
    # The label of an endpoint in log and metrics is its last path, the one with the prefix.
    names = {route.endpoint: route.path for route in routes}

    async def on_unrouted(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return unrouted_response(request, error, paths)

    async def on_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, DaguerreError)
        if isinstance(error, SettingsError):  # only for the operator, because it may name files
            raise error
        outages.record(error)
        return error_response(_with_retry_after(error, engine))

    app = Starlette(
        routes=routes,
        middleware=[
            Middleware(
                RequestContextMiddleware, limiter=limiter, routes=names, observe=metrics.observe
            ),
            *_cors(settings.cors_origin_list()),
        ],
        exception_handlers={HTTPException: on_unrouted, DaguerreError: on_error},
        lifespan=_lifespan(engine, image_store, outages),
    )
    # Many clients repeat a redirected POST as a GET. The 404 suggests the path instead.
    app.router.redirect_slashes = False
    return app


def _generation_config(settings: Settings) -> GenerationConfig:
    return GenerationConfig(
        max_concurrent_requests_per_key=settings.max_concurrent_requests_per_key,
        max_request_body_bytes=settings.max_request_body_bytes,
        request_read_timeout_s=settings.request_read_timeout_s,
        request_timeout_s=settings.request_timeout_s,
        default_response_format=settings.default_response_format,
        embed_prompt=settings.embed_prompt,
        stores_images=settings.image_store_max_bytes > 0,
    )


def _image_store(settings: Settings) -> ImageStore:
    location = settings.image_store or str(settings.data_dir() / DIR_NAME)
    return ImageStore(location, settings.image_store_max_bytes, settings.signed_url_ttl_s)


def _url_signer(settings: Settings) -> UrlSigner:
    return UrlSigner(
        settings.public_base_url(),
        settings.signed_url_ttl_s,
        settings.signed_url_secret,
        settings.data_dir(),
    )


def _environment(settings: Settings) -> EnvironmentFingerprint:
    return EnvironmentFingerprint(
        settings.catalog or settings.data_dir() / CATALOG_FILE,
        precision=settings.embedded_precision,
        steps=settings.embedded_steps,
        embed_prompt=settings.embed_prompt,
        threads=threads_per_worker(settings.workers, settings.threads_per_worker),
    )


def _routes(
    images: ImageGenerations,
    files: FileEndpoints,
    models: Models,
    health: Health,
    metrics: Metrics,
    openapi: OpenApi,
) -> list[Route]:
    api: list[tuple[str, Endpoint, str]] = [
        ("/images/generations", images.create, "POST"),
        ("/images/files/{name}", files.show, "GET"),
        ("/models", models.list, "GET"),
        ("/models/{model_id:path}", models.show, "GET"),
    ]
    unversioned: list[tuple[str, Endpoint, str]] = [
        ("/available-models", models.list_available, "GET"),
        ("/healthz", health.alive, "GET"),
        ("/readyz", health.ready, "GET"),
        ("/metrics", metrics.show, "GET"),
        ("/openapi.json", openapi.document, "GET"),
        ("/docs", openapi.page, "GET"),
    ]
    prefixed = [(PREFIX + path, endpoint, method) for path, endpoint, method in api]
    routes = [*api, *prefixed, *unversioned]
    return [Route(path, endpoint, methods=[method]) for path, endpoint, method in routes]


def _cors(origins: Collection[str]) -> Iterator[Middleware]:
    if origins:
        yield Middleware(JsonCORSMiddleware, origins=origins)


def _playground_routes(playground: Playground, one_time_login: OneTimeLogin) -> list[Route]:
    return [
        Route("/", playground.page, methods=["GET"]),
        Route("/playground/sign-in", one_time_login.redeem, methods=["POST"]),
        Route("/playground/{name}", playground.file, methods=["GET"]),
    ]


def _with_retry_after(error: DaguerreError, engine: Engine) -> DaguerreError:
    """Adds `Retry-After` to a 503, estimated from the queue unless the error has its own.

    A failed engine gets none, because it does not recover.
    """
    if not isinstance(error, UnavailableError):
        return error
    stats, given = engine.stats(), error.retry_after_s
    if given is None and stats.failure:
        return error
    seconds = retry_after_s(stats) if given is None else clamp_retry_after(given)
    return type(error)(error.message, param=error.param, retry_after_s=seconds)


def _lifespan(engine: Engine, images: ImageStore, outages: OutageLog) -> Lifespan[Starlette]:
    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        await engine.start()
        sweeping = asyncio.create_task(_sweep(images, outages))
        try:
            yield
        finally:
            sweeping.cancel()
            await asyncio.gather(sweeping, return_exceptions=True)
            await engine.stop()

    return lifespan


async def _sweep(images: ImageStore, outages: OutageLog) -> None:
    """Images expire on an idle server, too."""
    while True:
        try:
            await images.sweep()
        except DaguerreError as error:
            outages.record(error)
        await asyncio.sleep(SWEEP_S)
