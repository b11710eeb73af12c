"""POST /images/generations: from the request to the bytes of the response.

The order of checks is the contract's: key, body, fields, access, rate limit, image.
"""

from __future__ import annotations

import asyncio
import base64
import time
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from daguerre.engine.interface import Engine
from daguerre.errors import InvalidRequestError
from daguerre.protocol.parsing import parse_request
from daguerre.protocol.request import LINK
from daguerre.protocol.response import images_response, link_response
from daguerre.server.access.auth import authenticate, check_access
from daguerre.server.access.rate_limiter import ConcurrencyLimiter, RateLimiter
from daguerre.server.http.body import parse_object, read_body
from daguerre.server.http.deadline import parse_timeout_header, run_with_deadline
from daguerre.server.http.middleware import RequestContext
from daguerre.server.idempotency.replay import IdempotencyCoordinator, IdempotentRequest
from daguerre.server.routes.metrics import stages_ms
from daguerre.server.routes.models import find_model
from daguerre.server.routes.signed_urls import UrlSigner
from daguerre.server.routes.streaming import ImageStream
from daguerre.storage.api_keys import ResourceStore


@dataclass(frozen=True, slots=True)
class GenerationConfig:
    """Settings of the endpoint. See `daguerre.config.Settings`."""

    max_concurrent_requests_per_key: int
    max_request_body_bytes: int
    request_read_timeout_s: float
    request_timeout_s: float
    default_response_format: str
    stores_images: bool


class ImageGenerations:
    """The endpoint."""

    def __init__(
        self,
        config: GenerationConfig,
        engine: Engine,
        resources: ResourceStore,
        limiter: RateLimiter,
        replays: IdempotencyCoordinator,
        signer: UrlSigner,
    ) -> None:
        self._config, self._engine, self._signer = config, engine, signer
        self._resources, self._limiter, self._replays = resources, limiter, replays
        self._concurrency = ConcurrencyLimiter(config.max_concurrent_requests_per_key)

    async def create(self, request: Request) -> ASGIApp:
        context = RequestContext.of(request)
        resource = await authenticate(request, self._resources)
        context.exit_stack.enter_context(self._concurrency.acquire(resource, self._engine.stats()))
        context.timeout_s = parse_timeout_header(request.headers, self._config.request_timeout_s)
        content = await read_body(
            request, self._config.max_request_body_bytes, self._config.request_read_timeout_s
        )
        body = parse_request(parse_object(content))
        params = context.params = body.to_image_params()
        check_access(resource, params.model)
        info = find_model(self._engine, params.model)
        context.batching = info.batching
        wants_url = not body.stream and self._wants_url(body.response_format)
        permit = self._limiter.permit(resource)
        replay = self._replays.begin(resource, request.headers, body, params, info)
        if body.stream:
            return ImageStream(self._engine, context, permit, replay, quality=body.quality)
        with permit:
            async with replay as idempotent:
                context.params = idempotent.params
                work = self._content(context, idempotent, wants_url=wants_url)
                content = await run_with_deadline(work, context, request.receive)
        return Response(content, 200, _headers(context, idempotent), "application/json")

    def _wants_url(self, response_format: str | None) -> bool:
        wanted = response_format or self._config.default_response_format
        if wanted == LINK and not self._config.stores_images:
            raise InvalidRequestError(
                "response_format is 'url', but this server stores no images"
                " (image_store_max_bytes is 0); send 'b64_json'",
                param="response_format",
            )
        return wanted == LINK

    async def _content(
        self, context: RequestContext, request: IdempotentRequest, *, wants_url: bool
    ) -> bytes:
        image, started = await request.load_or_render(self._engine, context, must_store=wants_url)
        if wants_url:
            content = link_response(image.created, self._signer.sign(request.object_name))
        else:
            # In a thread, because base64 of megabytes would block all other requests.
            b64_json = await asyncio.to_thread(base64.b64encode, image.file)
            content = images_response(image.created, b64_json)
        context.file_ms = (time.monotonic() - started) * 1000
        return content


def _headers(context: RequestContext, request: IdempotentRequest) -> dict[str, str]:
    stages = (f"{stage};dur={ms:.1f}" for stage, ms in stages_ms(context).items())
    return {
        "x-seed": str(request.params.seed),
        "server-timing": ", ".join(stages),
        **request.headers(),
    }
