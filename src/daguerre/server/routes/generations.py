"""POST /images/generations: from the request to the bytes of the response.

The order of checks is the contract's: key, body, fields, access, rate limit, image.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from daguerre.engine.interface import Engine, find_model, served_models
from daguerre.errors import InvalidRequestError
from daguerre.params import ModelInfo
from daguerre.protocol.parsing import parse_request
from daguerre.protocol.request import URL_FORMAT
from daguerre.protocol.response import images_response, url_response
from daguerre.server.access.auth import Authenticator, check_access
from daguerre.server.access.rate_limiter import ConcurrencyLimiter, RateLimiter
from daguerre.server.http.body import parse_object, read_body
from daguerre.server.http.deadline import parse_timeout_header, run_with_deadline
from daguerre.server.http.request_context import RequestContext
from daguerre.server.http.request_url import BaseUrl
from daguerre.server.idempotency.requests import ImageRequest, ImageRequests
from daguerre.server.routes.signed_urls import UrlSigner
from daguerre.server.routes.streaming import ImageStream
from daguerre.storage.resources import Resource


@dataclass(frozen=True, slots=True)
class GenerationConfig:
    """Settings of the endpoint. See `daguerre.config.Settings`."""

    max_request_body_bytes: int
    request_read_timeout_s: float
    request_timeout_s: float
    default_response_format: str
    stores_images: bool


class ImageGenerations:
    """Endpoint of image generations."""

    def __init__(
        self,
        config: GenerationConfig,
        engine: Engine,
        authenticator: Authenticator,
        concurrency: ConcurrencyLimiter,
        limiter: RateLimiter,
        image_requests: ImageRequests,
        signer: UrlSigner,
        base_url: BaseUrl,
    ) -> None:
        self._config, self._engine = config, engine
        self._signer, self._base_url = signer, base_url
        self._authenticator, self._image_requests = authenticator, image_requests
        self._concurrency, self._limiter = concurrency, limiter

    async def create(self, request: Request) -> ASGIApp:
        context = RequestContext.of(request)
        resource = await self._authenticator.authenticate(request)
        engine = context.exit_stack.enter_context(self._engine.hold())
        context.exit_stack.enter_context(self._concurrency.permit(resource, engine.stats()))
        context.timeout_s = parse_timeout_header(request.headers, self._config.request_timeout_s)
        data = await read_body(
            request, self._config.max_request_body_bytes, self._config.request_read_timeout_s
        )
        models = served_models(engine)
        body = parse_request(parse_object(data), _extra_sizes(models, resource))
        params = context.params = body.to_image_params()
        check_access(resource, params.model)
        info = find_model(params.model, models)
        context.batching = info.batching
        wants_url = not body.stream and self._wants_url(body.response_format)
        base_url = self._base_url.of(request) if wants_url else ""
        charge = self._limiter.charge(resource, context)
        opening = self._image_requests.open(resource, request.headers, body, params, info)
        if body.stream:
            return ImageStream(engine, context, charge, opening, quality=body.quality)
        async with charge:
            work = self._respond(engine, context, opening, base_url)
            return await run_with_deadline(work, context, request.receive)

    def _wants_url(self, response_format: str | None) -> bool:
        wanted = response_format or self._config.default_response_format
        if wanted == URL_FORMAT and not self._config.stores_images:
            raise InvalidRequestError(
                "response_format is 'url', but this server stores no images"
                " (image_store_max_bytes is 0); send 'b64_json'",
                param="response_format",
            )
        return wanted == URL_FORMAT

    async def _respond(
        self,
        engine: Engine,
        context: RequestContext,
        opening: AbstractAsyncContextManager[ImageRequest],
        base_url: str,
    ) -> Response:
        async with opening as image_request:
            context.params = image_request.params
            body = await self._response_body(engine, context, image_request, base_url)
        return Response(body, 200, _headers(context, image_request), "application/json")

    async def _response_body(
        self, engine: Engine, context: RequestContext, image_request: ImageRequest, base_url: str
    ) -> bytes:
        """The body with the image, or with its signed URL if there is a `base_url`."""
        image = await image_request.load_or_generate(engine, context, must_store=bool(base_url))
        if base_url:
            url = self._signer.sign(base_url, image_request.object_name)
            body = url_response(image.created, url)
        else:
            # In a thread, because base64 of megabytes would block all other requests.
            b64_json = await asyncio.to_thread(base64.b64encode, image.data)
            body = images_response(image.created, b64_json)
        context.end_file()
        return body


def _extra_sizes(models: Iterable[ModelInfo], resource: Resource) -> dict[str, tuple[str, ...]]:
    """The sizes of the key's model alone, because it has access to no other."""
    return {info.id: info.extra_sizes for info in models if info.id == resource.model}


def _headers(context: RequestContext, image_request: ImageRequest) -> dict[str, str]:
    stages = (f"{stage};dur={ms:.1f}" for stage, ms in context.stages_ms().items())
    headers = {"x-seed": str(image_request.params.seed), "server-timing": ", ".join(stages)}
    return headers | image_request.headers()
