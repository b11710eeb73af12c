"""POST /images/generations: from the request to the bytes of the answer.

The order is the contract's: key, body, fields, access, permit, image. Ends the job when the client
leaves or the time is over. Knows nothing of networks, pixels or files; those are the engine's and
`encoding`'s. A stream is `streaming`'s.
"""

from __future__ import annotations

import asyncio
import base64
import functools
import time
from contextlib import aclosing

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from daguerre.config import Settings
from daguerre.engine.interface import Engine
from daguerre.params import GeneratedImage, JobFailed, JobSucceeded, StepCompleted
from daguerre.protocol.parsing import parse_request
from daguerre.protocol.request import LINK
from daguerre.protocol.response import images_response, link_response
from daguerre.server.access.auth import Authenticator, check_access
from daguerre.server.access.rate_limiter import ConcurrencyLimiter, RateLimiter
from daguerre.server.http.body import parse_object, read_body
from daguerre.server.http.deadline import parse_timeout_header, run_with_deadline
from daguerre.server.http.middleware import RequestContext
from daguerre.server.idempotency.render import finished
from daguerre.server.idempotency.replay import IdempotencyCoordinator, IdempotentRequest
from daguerre.server.routes.files import FileEndpoints
from daguerre.server.routes.metrics import stages_ms
from daguerre.server.routes.models import find_model
from daguerre.server.routes.sse import EventMetadata
from daguerre.server.routes.streaming import ImageStream
from daguerre.storage.result_cache import CachedImage


class ImageGenerations:
    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        keys: Authenticator,
        limiter: RateLimiter,
        replays: IdempotencyCoordinator,
        files: FileEndpoints,
    ) -> None:
        self._settings, self._engine, self._files = settings, engine, files
        self._keys, self._limiter, self._replays = keys, limiter, replays
        self._parallel = ConcurrencyLimiter(settings.max_concurrent_requests_per_key)

    async def create(self, request: Request) -> ASGIApp:
        context = RequestContext.of(request)
        resource = context.resource = await self._keys.authenticate(request)
        context.exit_stack.enter_context(self._parallel.hold(resource, self._engine.stats()))
        context.timeout_s = parse_timeout_header(request.headers, self._settings.request_timeout_s)
        body = await read_body(
            request, self._settings.max_request_body_bytes, self._settings.request_read_timeout_s
        )
        asked = parse_request(parse_object(body))
        params = context.params = asked.to_image_params()
        check_access(resource, params.model)
        info = find_model(self._engine, params.model)
        context.batching = info.batching
        permit = self._limiter.permit(resource)
        repeats = self._replays.of(resource, request.headers, asked, params, info)
        if asked.stream:
            facts = EventMetadata.of(params, asked.quality)
            return ImageStream(self._settings, self._engine, context, facts, permit, repeats)
        with permit:
            wanted = asked.response_format or self._settings.default_response_format
            async with repeats as replay:
                context.params = replay.params
                work = self._content(context, replay, is_link=wanted == LINK)
                content = await run_with_deadline(work, context, request.receive)
        return Response(content, 200, _headers(context, replay), "application/json")

    async def _content(
        self, context: RequestContext, replay: IdempotentRequest, *, is_link: bool
    ) -> bytes:
        make = functools.partial(self._image, context, replay)
        result, started = await finished(context, replay, make, self._settings.embed_prompt)
        if is_link:
            url = await self._files.add(result.file, replay.params.output_format)
            content = link_response(result.created, url)
        else:
            content = await asyncio.to_thread(_inline, result)
        context.file_ms = (time.monotonic() - started) * 1000
        return content

    async def _image(self, context: RequestContext, replay: IdempotentRequest) -> GeneratedImage:
        # Closing is what cancels the job, where nobody else waits for it.
        terms = context.job_context(wants_progress=replay.may_be_joined)
        start = functools.partial(self._engine.generate, replay.params, terms)
        async with aclosing(replay.events(start)) as events:
            async for event in events:
                match event:
                    case StepCompleted(index=index):
                        context.num_steps = index
                    case JobSucceeded(image=image):
                        return image
                    case JobFailed(error=error):
                        raise error
        raise AssertionError("the engine ended a job without Done or Failed. This is a bug.")


def _inline(result: CachedImage) -> bytes:
    """Runs in a thread: base64 of megabytes would hold up every other request."""
    return images_response(result.created, base64.b64encode(result.file))


def _headers(context: RequestContext, replay: IdempotentRequest) -> dict[str, str]:
    stages = (f"{stage};dur={ms:.1f}" for stage, ms in stages_ms(context).items())
    return {
        "x-seed": str(replay.params.seed),
        "server-timing": ", ".join(stages),
        **replay.headers(),
    }
