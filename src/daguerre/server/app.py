"""The ASGI app: routes, middleware, error handlers and lifespan.

Paths of the API exist with and without /v1, because clients differ in their base URL.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Lifespan

from daguerre.config import Settings
from daguerre.engine.interface import Engine
from daguerre.engine.workers.cpu_affinity import threads_per_worker
from daguerre.errors import DaguerreError, SettingsError, UnavailableError
from daguerre.models.catalog import FILE_NAME as CATALOG_FILE
from daguerre.server.access.rate_limiter import RateLimiter, retry_after_s
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
    image_store, signer = _image_store(settings), _url_signer(settings)
    replays = IdempotencyCoordinator(
        IdempotencyStore(resources.database),
        image_store,
        _environment(settings),
        outages,
        cache_seeded_requests=settings.cache_seeded_requests,
        embed_prompt=settings.embed_prompt,
    )
    openapi = OpenApi(settings.public_base_url())
    images = ImageGenerations(
        _generation_config(settings), engine, resources, limiter, replays, signer
    )
    routes = [
        *_api_routes(images, FileEndpoints(image_store, signer), Models(engine, resources)),
        *_other_routes(Health(engine), metrics, openapi, one_time_login or OneTimeLogin()),
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
        return error_response(error, _retry_after(error, engine))

    origins = settings.cors_origin_list()
    app = Starlette(
        routes=routes,
        middleware=[
            Middleware(
                RequestContextMiddleware, limiter=limiter, routes=names, observe=metrics.observe
            ),
            *([Middleware(JsonCORSMiddleware, origins=origins)] if origins else []),
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


def _api_routes(images: ImageGenerations, files: FileEndpoints, models: Models) -> Iterator[Route]:
    for prefix in ("", PREFIX):
        yield Route(f"{prefix}/images/generations", images.create, methods=["POST"])
        yield Route(f"{prefix}/images/files/{{name}}", files.show)
        yield Route(f"{prefix}/models", models.list)
        yield Route(f"{prefix}/models/{{model_id:path}}", models.show)
    yield Route("/available-models", models.list_available)


def _other_routes(
    health: Health, metrics: Metrics, openapi: OpenApi, one_time_login: OneTimeLogin
) -> Iterator[Route]:
    playground = Playground()
    yield Route("/healthz", health.alive)
    yield Route("/readyz", health.ready)
    yield Route("/metrics", metrics.show)
    yield Route("/openapi.json", openapi.document)
    yield Route("/docs", openapi.page)
    yield Route("/", playground.page)
    yield Route("/playground/sign-in", one_time_login.redeem, methods=["POST"])
    yield Route("/playground/{name}", playground.file)


def _retry_after(error: DaguerreError, engine: Engine) -> dict[str, str]:
    """`Retry-After` of a 503 without its own, estimated from the queue.

    A failed engine gets none, because it does not recover.
    """
    stats = engine.stats()
    if error.status != UnavailableError.status or error.retry_after_s or stats.failure:
        return {}
    return {"Retry-After": str(retry_after_s(stats))}


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
