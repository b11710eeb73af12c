"""The response to `stream: true`: server-sent events with progress, previews and the image.

An error before the first byte is an ordinary error response. A later error is an event, because the
status has been sent.
"""

from __future__ import annotations

import asyncio
import base64
import functools
from contextlib import AbstractAsyncContextManager

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from daguerre.engine.interface import Engine
from daguerre.errors import DaguerreError
from daguerre.imagefile.encoding import encode_pixels
from daguerre.params import (
    Event,
    ImageParams,
    JobQueued,
    StepCompleted,
)
from daguerre.server.http.deadline import run_with_deadline
from daguerre.server.http.middleware import SHUTTING_DOWN, internal_error
from daguerre.server.http.request_context import RequestContext
from daguerre.server.idempotency.requests import ImageRequest
from daguerre.server.routes import sse

_HEADERS = {
    "content-type": sse.MEDIA_TYPE,
    "cache-control": "no-cache",
    "x-accel-buffering": "no",  # disables buffering in nginx
}


class ImageStream:
    """The ASGI app that responds to one request."""

    def __init__(
        self,
        engine: Engine,
        context: RequestContext,
        charge: AbstractAsyncContextManager[None],
        opening: AbstractAsyncContextManager[ImageRequest],
        *,
        quality: str | None,
    ) -> None:
        self._engine, self._context, self._quality = engine, context, quality
        self._charge, self._opening = charge, opening
        self._has_started = False
        self._num_previews = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with self._charge:
                await run_with_deadline(self._respond(send), self._context, receive)
        except ClientDisconnect:
            raise
        except DaguerreError as error:
            if not self._has_started:
                raise
            await self._fail(error, send)
        except asyncio.CancelledError:
            await self._fail(SHUTTING_DOWN, send)
            raise
        except Exception:  # the middleware logs it
            await self._fail(internal_error(self._context), send)
            raise

    async def _respond(self, send: Send) -> None:
        async with self._opening as image_request:
            self._context.params = image_request.params
            await self._send(send, image_request)

    async def _send(self, send: Send, image_request: ImageRequest) -> None:
        on_event = functools.partial(self._on_event, send, image_request)
        image = await image_request.load_or_generate(self._engine, self._context, on_event)
        await self._start_once(send, image_request)
        # In a thread, because base64 of megabytes would block all other requests.
        b64_json = await asyncio.to_thread(base64.b64encode, image.data)
        last = sse.image_event(
            sse.COMPLETED, image_request.params, self._quality, b64_json, usage=sse.USAGE
        )
        self._context.end_file()
        await _write(send, last, is_last=True)

    async def _on_event(self, send: Send, image_request: ImageRequest, event: Event | None) -> None:
        match event:
            case JobQueued(position=position):
                data = sse.comment(f"queued {position}")
            case StepCompleted():
                data = await self._encode_step(event, image_request.params)
            case _:
                data = sse.comment("waiting")
        await self._start_once(send, image_request)  # not earlier: a full queue is a 503
        await _write(send, data)

    async def _encode_step(self, step: StepCompleted, params: ImageParams) -> bytes:
        progress = sse.comment(f"step {step.index}/{step.total}")
        if step.preview is None:
            return progress
        file = await asyncio.to_thread(
            encode_pixels, step.preview, params.output_format, params.compression_quality
        )
        index, self._num_previews = self._num_previews, self._num_previews + 1
        return progress + sse.image_event(
            sse.PARTIAL_IMAGE,
            params,
            self._quality,
            base64.b64encode(file),
            partial_image_index=index,
        )

    async def _start_once(self, send: Send, image_request: ImageRequest) -> None:
        if self._has_started:
            return
        self._has_started = True
        headers = {**_HEADERS, "x-seed": str(image_request.params.seed), **image_request.headers()}
        await send({"type": "http.response.start", "status": 200, "headers": Headers(headers).raw})

    async def _fail(self, error: DaguerreError, send: Send) -> None:
        """Sends the error as an event if the response has started."""
        if self._has_started:
            # For the log and the metrics.
            self._context.status, self._context.error = error.status, error
            await _write(send, sse.failed(error), is_last=True)


async def _write(send: Send, body: bytes, *, is_last: bool = False) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": not is_last})
