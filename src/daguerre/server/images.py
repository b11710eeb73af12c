"""POST /images/generations: from the request to the bytes of the answer.

The order is the contract's: key, body, fields, access, permit, image. Ends the job when the client
leaves or the time is over. Knows nothing of networks, pixels or files; those are the engine's and
`encoding`'s.
"""

from __future__ import annotations

import asyncio
import base64
import time
from contextlib import aclosing

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from daguerre.config import Settings
from daguerre.encoding import encode
from daguerre.engine.interface import Engine
from daguerre.errors import DeadlineExceeded
from daguerre.params import Done, Failed, GeneratedImage, ImageParams, Step
from daguerre.server.auth import Authenticator, check_access
from daguerre.server.body import parse_object, read_body
from daguerre.server.exchange import Exchange
from daguerre.server.limits import Parallel, RateLimiter
from daguerre.server.metrics import stages_ms
from daguerre.server.models import find_model
from daguerre.server.parsing import parse_request
from daguerre.server.protocol import images_response
from daguerre.server.timeout import timeout_s


class ImageGenerations:
    def __init__(
        self, settings: Settings, engine: Engine, keys: Authenticator, limiter: RateLimiter
    ) -> None:
        self._settings, self._engine = settings, engine
        self._keys, self._limiter = keys, limiter
        self._parallel = Parallel(settings.max_parallel_per_key)

    async def create(self, request: Request) -> Response:
        exchange = Exchange.of(request)
        resource = exchange.resource = await self._keys.authenticate(request)
        exchange.until_its_end.enter_context(self._parallel.hold(resource, self._engine.stats()))
        exchange.timeout_s = timeout_s(request.headers, self._settings.request_timeout_s)
        body = await read_body(
            request, self._settings.max_body_bytes, self._settings.body_timeout_s
        )
        params = parse_request(parse_object(body)).to_image_params()
        exchange.params = params
        check_access(resource, params.model)
        find_model(self._engine, params.model)
        with self._limiter.permit(resource):
            content = await self._content_in_time(request, exchange, params)
        return Response(content, 200, _headers(exchange, params), "application/json")

    async def _content_in_time(
        self, request: Request, exchange: Exchange, params: ImageParams
    ) -> bytes:
        """Whatever comes first ends the others: the answer, the client's leaving, the deadline."""
        if exchange.left_s() <= 0:
            raise _late(exchange)
        work = asyncio.create_task(self._content(exchange, params))
        leaving = asyncio.create_task(_leaving(request))
        try:
            await asyncio.wait(
                (work, leaving),
                timeout=max(0.0, exchange.left_s()),
                return_when=asyncio.FIRST_COMPLETED,
            )
            if work.done():
                return work.result()
            if leaving.done():
                raise ClientDisconnect
            raise _late(exchange)
        finally:
            await _end(work, leaving)

    async def _content(self, exchange: Exchange, params: ImageParams) -> bytes:
        image = await self._image(exchange, params)
        exchange.timings = image.timings
        started = time.monotonic()
        content = await asyncio.to_thread(_encoded, image, self._settings.prompt_in_file)
        exchange.file_ms = (time.monotonic() - started) * 1000
        return content

    async def _image(self, exchange: Exchange, params: ImageParams) -> GeneratedImage:
        # Closing is what cancels the job.
        async with aclosing(self._engine.generate(params, exchange.terms())) as events:
            async for event in events:
                match event:
                    case Step(index=index):
                        exchange.num_steps = index
                    case Done(image=image):
                        return image
                    case Failed(error=error):
                        raise error
        raise AssertionError("the engine ended a job without Done or Failed. This is a bug.")


def _late(exchange: Exchange) -> DeadlineExceeded:
    return DeadlineExceeded(
        f"the image was not done {exchange.timeout_s:g} s after the request came"
    )


def _encoded(image: GeneratedImage, with_prompt: bool) -> bytes:
    """Runs in a thread: compression and base64 of megabytes would hold up every other request."""
    file = encode(image, with_prompt=with_prompt)
    return images_response(int(time.time()), base64.b64encode(file))


async def _leaving(request: Request) -> None:
    """Returns when the client has closed the connection; the body has been read before."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _end(*tasks: asyncio.Task[object]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _headers(exchange: Exchange, params: ImageParams) -> dict[str, str]:
    stages = (f"{stage};dur={ms:.1f}" for stage, ms in stages_ms(exchange).items())
    return {"x-seed": str(params.seed), "server-timing": ", ".join(stages)}
