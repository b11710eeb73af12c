"""POST /images/generations: from the request to the bytes of the answer.

The order is the contract's: key, body, fields, access, permit, image. Ends the job when the client
leaves or the time is over. Knows nothing of networks, pixels or files; those are the engine's and
`encoding`'s. A stream is `streaming`'s.
"""

from __future__ import annotations

import asyncio
import base64
import time
from contextlib import aclosing

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from daguerre.config import Settings
from daguerre.encoding import encode
from daguerre.engine.interface import Engine
from daguerre.params import Done, Failed, GeneratedImage, ImageParams, Step
from daguerre.resources import ResourceStore
from daguerre.server.auth import authenticate, check_access
from daguerre.server.body import parse_object, read_body
from daguerre.server.deadline import in_time
from daguerre.server.events import ImageFacts
from daguerre.server.exchange import Exchange
from daguerre.server.files import Files
from daguerre.server.limits import RateLimiter
from daguerre.server.metrics import stages_ms
from daguerre.server.models import find_model
from daguerre.server.parsing import parse_request
from daguerre.server.protocol import LINK, images_response, link_response
from daguerre.server.streaming import ImageStream


class ImageGenerations:
    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        resources: ResourceStore,
        limiter: RateLimiter,
        files: Files,
    ) -> None:
        self._settings, self._engine, self._files = settings, engine, files
        self._resources, self._limiter = resources, limiter

    async def create(self, request: Request) -> ASGIApp:
        exchange = Exchange.of(request)
        resource = exchange.resource = await authenticate(request.headers, self._resources)
        body = await read_body(
            request, self._settings.max_body_bytes, self._settings.body_timeout_s
        )
        asked = parse_request(parse_object(body))
        params = exchange.params = asked.to_image_params()
        check_access(resource, params.model)
        find_model(self._engine, params.model)
        permit = self._limiter.permit(resource)
        if asked.stream:
            facts = ImageFacts.of(params, asked.quality)
            return ImageStream(self._settings, self._engine, exchange, params, facts, permit)
        with permit:
            wanted = asked.response_format or self._settings.response_format
            content = await in_time(
                self._content(exchange, params, is_link=wanted == LINK),
                exchange,
                request.receive,
                self._settings.request_timeout_s,
            )
        return Response(content, 200, _headers(exchange, params), "application/json")

    async def _content(self, exchange: Exchange, params: ImageParams, *, is_link: bool) -> bytes:
        image = await self._image(exchange, params)
        exchange.timings = image.timings
        started = time.monotonic()
        content = await (self._linked(image) if is_link else self._encoded(image))
        exchange.file_ms = (time.monotonic() - started) * 1000
        return content

    async def _encoded(self, image: GeneratedImage) -> bytes:
        # In a thread: compression and base64 of megabytes would hold up every other request.
        return await asyncio.to_thread(_inline, image, self._settings.prompt_in_file)

    async def _linked(self, image: GeneratedImage) -> bytes:
        file = await asyncio.to_thread(encode, image, with_prompt=self._settings.prompt_in_file)
        url = await self._files.add(file, image.params.output_format)
        return link_response(int(time.time()), url)

    async def _image(self, exchange: Exchange, params: ImageParams) -> GeneratedImage:
        # Closing is what cancels the job.
        async with aclosing(self._engine.generate(params)) as events:
            async for event in events:
                match event:
                    case Step(index=index):
                        exchange.num_steps = index
                    case Done(image=image):
                        return image
                    case Failed(error=error):
                        raise error
        raise AssertionError("the engine ended a job without Done or Failed. This is a bug.")


def _inline(image: GeneratedImage, with_prompt: bool) -> bytes:
    file = encode(image, with_prompt=with_prompt)
    return images_response(int(time.time()), base64.b64encode(file))


def _headers(exchange: Exchange, params: ImageParams) -> dict[str, str]:
    stages = (f"{stage};dur={ms:.1f}" for stage, ms in stages_ms(exchange).items())
    return {"x-seed": str(params.seed), "server-timing": ", ".join(stages)}
