"""POST /images/generations: from the request to the bytes of the answer.

The order is the contract's: key, body, fields, access, permit, image. Ends the job when the client
leaves or the time is over. Knows nothing of networks, pixels or files; those are the engine's and
`encoding`'s.
"""

from __future__ import annotations

import asyncio
import base64
import functools
import time
from contextlib import aclosing

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from daguerre.config import Settings
from daguerre.encoding import encode
from daguerre.engine.interface import Engine
from daguerre.errors import DeadlineExceeded
from daguerre.params import Done, Failed, GeneratedImage, Step, Timings
from daguerre.resources import ResourceStore
from daguerre.results import Result
from daguerre.server.auth import authenticate, check_access
from daguerre.server.body import parse_object, read_body
from daguerre.server.exchange import Exchange
from daguerre.server.limits import RateLimiter
from daguerre.server.metrics import stages_ms
from daguerre.server.models import find_model
from daguerre.server.parsing import parse_request
from daguerre.server.protocol import images_response
from daguerre.server.replay import Replay, Replays


class ImageGenerations:
    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        resources: ResourceStore,
        limiter: RateLimiter,
        replays: Replays,
    ) -> None:
        self._settings, self._engine = settings, engine
        self._resources, self._limiter, self._replays = resources, limiter, replays

    async def create(self, request: Request) -> Response:
        exchange = Exchange.of(request)
        resource = exchange.resource = await authenticate(request.headers, self._resources)
        body = await read_body(
            request, self._settings.max_body_bytes, self._settings.body_timeout_s
        )
        asked = parse_request(parse_object(body))
        params = exchange.params = asked.to_image_params()
        check_access(resource, params.model)
        info = find_model(self._engine, params.model)
        with self._limiter.permit(resource):
            async with self._replays.of(resource, request.headers, asked, params, info) as replay:
                exchange.params = replay.params
                content = await self._content_in_time(request, exchange, replay)
        return Response(content, 200, _headers(exchange, replay), "application/json")

    async def _content_in_time(self, request: Request, exchange: Exchange, replay: Replay) -> bytes:
        """Whatever comes first ends the others: the answer, the client's leaving, the deadline."""
        timeout_s = self._settings.request_timeout_s
        work = asyncio.create_task(self._content(exchange, replay))
        leaving = asyncio.create_task(_leaving(request))
        try:
            await asyncio.wait(
                (work, leaving),
                timeout=max(0.0, timeout_s - exchange.total_s()),
                return_when=asyncio.FIRST_COMPLETED,
            )
            if work.done():
                return work.result()
            if leaving.done():
                raise ClientDisconnect
            raise DeadlineExceeded(f"the image was not done {timeout_s:g} s after the request came")
        finally:
            await _end(work, leaving)

    async def _content(self, exchange: Exchange, replay: Replay) -> bytes:
        started, timings = time.monotonic(), Timings()
        result = await replay.stored()
        if result is None:
            image = await self._image(exchange, replay)
            started, timings = time.monotonic(), image.timings
            made = await asyncio.to_thread(_result, image, self._settings.prompt_in_file)
            result = await replay.keep(made)
        exchange.timings = timings
        content = await asyncio.to_thread(_body, result)
        exchange.file_ms = (time.monotonic() - started) * 1000
        exchange.cache = replay.cache
        return content

    async def _image(self, exchange: Exchange, replay: Replay) -> GeneratedImage:
        # Closing is what cancels the job, where nobody else waits for it.
        start = functools.partial(self._engine.generate, replay.params)
        async with aclosing(replay.events(start)) as events:
            async for event in events:
                match event:
                    case Step(index=index):
                        exchange.num_steps = index
                    case Done(image=image):
                        return image
                    case Failed(error=error):
                        raise error
        raise AssertionError("the engine ended a job without Done or Failed. This is a bug.")


def _result(image: GeneratedImage, with_prompt: bool) -> Result:
    """Runs in a thread, as the next does: compression and base64 of megabytes would hold up every
    other request."""
    return Result(encode(image, with_prompt=with_prompt), int(time.time()))


def _body(result: Result) -> bytes:
    return images_response(result.created, base64.b64encode(result.file))


async def _leaving(request: Request) -> None:
    """Returns when the client has closed the connection; the body has been read before."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _end(*tasks: asyncio.Task[object]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _headers(exchange: Exchange, replay: Replay) -> dict[str, str]:
    stages = (f"{stage};dur={ms:.1f}" for stage, ms in stages_ms(exchange).items())
    return {
        "x-seed": str(replay.params.seed),
        "server-timing": ", ".join(stages),
        **replay.headers(),
    }
