"""The response to `stream: true`: server-sent events with progress, previews and the image.

An error before the first byte is an ordinary error response. A later error is an event, because the
status has been sent.
"""

from __future__ import annotations

import asyncio
import base64
import functools
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, aclosing

from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from daguerre.engine.interface import Engine
from daguerre.errors import DaguerreError
from daguerre.imagefile.encoding import encode_preview
from daguerre.params import (
    Event,
    GeneratedImage,
    ImageParams,
    JobFailed,
    JobQueued,
    JobSucceeded,
    StepCompleted,
)
from daguerre.server.http.deadline import run_with_deadline
from daguerre.server.http.middleware import SHUTTING_DOWN, RequestContext, internal_error
from daguerre.server.idempotency.replay import IdempotentRequest
from daguerre.server.routes import sse

# Proxies close a connection without traffic after 30 s or more.
HEARTBEAT_S = 10.0
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
        permit: AbstractContextManager[None],
        idempotent: AbstractAsyncContextManager[IdempotentRequest],
        *,
        quality: str | None,
    ) -> None:
        self._engine, self._context, self._quality = engine, context, quality
        self._permit, self._idempotent = permit, idempotent
        self._has_started = False
        self._num_previews = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            with self._permit:
                async with self._idempotent as request:
                    self._context.params = request.params
                    await run_with_deadline(self._send(send, request), self._context, receive)
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

    async def _send(self, send: Send, request: IdempotentRequest) -> None:
        render = functools.partial(self._render, send, request)
        image, started = await request.load_or_render(self._context, render)
        await self._start(send, request)
        # In a thread, because base64 of megabytes would block all other requests.
        b64_json = await asyncio.to_thread(base64.b64encode, image.file)
        last = sse.image_event(
            sse.COMPLETED, request.params, self._quality, b64_json, usage=sse.USAGE
        )
        self._context.file_ms = (time.monotonic() - started) * 1000
        await _write(send, last, is_last=True)

    async def _render(self, send: Send, request: IdempotentRequest) -> GeneratedImage:
        # Closing the stream cancels the job, unless other requests share it.
        job_context = self._context.job_context(wants_progress=True)
        start = functools.partial(self._engine.generate, request.params, job_context)
        async with (
            aclosing(request.events(start)) as events,
            aclosing(_with_heartbeats(events, HEARTBEAT_S)) as beats,
        ):
            async for event in beats:
                if isinstance(event, JobSucceeded):
                    return event.image
                content = await self._encode(event, request.params)
                await self._start(send, request)  # not earlier: a full queue is a 503
                await _write(send, content)
        raise AssertionError("a job ended without JobSucceeded or JobFailed. This is a bug.")

    async def _encode(self, event: Event | None, params: ImageParams) -> bytes:
        """The bytes of an event before the last; None is a heartbeat."""
        match event:
            case None:
                return sse.comment("waiting")
            case JobQueued(position=position):
                return sse.comment(f"queued {position}")
            case StepCompleted(index=index, total=total, preview=preview):
                self._context.num_steps = index
                progress = sse.comment(f"step {index}/{total}")
                if preview is None:
                    return progress
                file = await asyncio.to_thread(
                    encode_preview, preview, params.output_format, params.compression_quality
                )
                number, self._num_previews = self._num_previews, self._num_previews + 1
                b64_json = base64.b64encode(file)
                return progress + sse.image_event(
                    sse.PARTIAL_IMAGE, params, self._quality, b64_json, partial_image_index=number
                )
            case JobFailed(error=error):
                raise error
        raise AssertionError(f"{event} is not an event before the last. This is a bug.")

    async def _start(self, send: Send, request: IdempotentRequest) -> None:
        """Starts the response, once."""
        if self._has_started:
            return
        self._has_started = True
        headers = {**_HEADERS, "x-seed": str(request.params.seed), **request.headers()}
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": 200, "headers": raw})

    async def _fail(self, error: DaguerreError, send: Send) -> None:
        """Sends the error as an event if the response has started."""
        if self._has_started:
            self._context.status = error.status  # for the log and the metrics
            await _write(send, sse.failed(error), is_last=True)


async def _write(send: Send, body: bytes, *, is_last: bool = False) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": not is_last})


async def _with_heartbeats(
    events: AsyncIterator[Event], interval_s: float
) -> AsyncGenerator[Event | None, None]:
    """The events, and None after each `interval_s` without one."""
    while True:
        next_event = asyncio.ensure_future(anext(events))
        try:
            while not (await asyncio.wait((next_event,), timeout=interval_s))[0]:
                yield None
            yield next_event.result()
        finally:
            next_event.cancel()
            await asyncio.gather(next_event, return_exceptions=True)
