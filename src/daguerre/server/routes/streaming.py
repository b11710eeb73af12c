"""The answer to `stream: true`: events while the image is made, and the image in the last one.

What fails before the first byte is answered like any other request; what fails later is an event,
because a status cannot be taken back. Knows no field of the request, and nothing of how a preview
is drawn.
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

from daguerre.config import Settings
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
from daguerre.server.idempotency.render import load_or_render
from daguerre.server.idempotency.replay import IdempotentRequest
from daguerre.server.routes import sse
from daguerre.server.routes.sse import EventMetadata
from daguerre.storage.image_store import CachedImage

# Proxies close a connection on which nothing has come for half a minute or more.
HEARTBEAT_S = 10.0
_HEADERS = {
    "content-type": sse.MEDIA_TYPE,
    "cache-control": "no-cache",
    "x-accel-buffering": "no",  # nginx passes events on as they come
}


class ImageStream:
    """An ASGI app, as every response of Starlette is one; answers one request."""

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        context: RequestContext,
        facts: EventMetadata,
        permit: AbstractContextManager[None],
        repeats: AbstractAsyncContextManager[IdempotentRequest],
    ) -> None:
        self._settings, self._engine, self._context = settings, engine, context
        self._facts, self._permit, self._repeats = facts, permit, repeats
        self._has_started = False
        self._num_previews = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            with self._permit:
                async with self._repeats as replay:
                    self._context.params = replay.params
                    await run_with_deadline(self._tell(send, replay), self._context, receive)
        except ClientDisconnect:
            raise
        except DaguerreError as error:
            if not self._has_started:
                raise
            await self._fail(error, send)
        except asyncio.CancelledError:
            await self._fail(SHUTTING_DOWN, send)
            raise
        except Exception:  # told to the client here, and to the log by the middleware
            await self._fail(internal_error(self._context), send)
            raise

    async def _tell(self, send: Send, replay: IdempotentRequest) -> None:
        context, with_prompt = self._context, self._settings.embed_prompt
        make = functools.partial(self._image, send, replay)
        result, started = await load_or_render(context, replay, make, embed_prompt=with_prompt)
        if not self._has_started:  # the file was kept from before
            await self._start(send, replay)
        last = await asyncio.to_thread(self._completed, result)
        context.file_ms = (time.monotonic() - started) * 1000
        await _write(send, last, is_last=True)

    async def _image(self, send: Send, replay: IdempotentRequest) -> GeneratedImage:
        # Closing is what cancels the job, where nobody else waits for it.
        terms = self._context.job_context(wants_progress=True)
        start = functools.partial(self._engine.generate, replay.params, terms)
        async with aclosing(replay.events(start)) as told:
            first = await anext(told)  # before the answer begins: a full queue is a 503
            await self._start(send, replay)
            await _write(send, self._progress(first))
            async with aclosing(_paced(told, HEARTBEAT_S)) as paced:
                async for event in paced:
                    if isinstance(event, JobSucceeded):
                        return event.image
                    await _write(send, await self._part(event, replay.params))
        raise AssertionError("the engine ended a job without Done or Failed. This is a bug.")

    async def _part(self, event: Event | None, params: ImageParams) -> bytes:
        """What is sent for anything but the end."""
        if event is None:
            return sse.comment("waiting")
        if isinstance(event, JobFailed):
            raise event.error
        if isinstance(event, StepCompleted) and event.preview is not None:
            file = await asyncio.to_thread(encode_preview, event.preview, params)
            preview = sse.partial_image(self._facts, base64.b64encode(file), self._num_previews)
            self._num_previews += 1
            return self._progress(event) + preview
        return self._progress(event)

    def _progress(self, event: Event) -> bytes:
        if isinstance(event, JobQueued):
            return sse.comment(f"queued {event.position}")
        if isinstance(event, StepCompleted):
            self._context.num_steps = event.index
            return sse.comment(f"step {event.index}/{event.total}")
        raise AssertionError(f"{event} is no progress. This is a bug.")

    def _completed(self, result: CachedImage) -> bytes:
        """Runs in a thread: base64 of megabytes would hold up others."""
        return sse.completed(self._facts, base64.b64encode(result.file))

    async def _start(self, send: Send, replay: IdempotentRequest) -> None:
        self._has_started = True
        headers = {**_HEADERS, "x-seed": str(replay.params.seed), **replay.headers()}
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": 200, "headers": raw})

    async def _fail(self, error: DaguerreError, send: Send) -> None:
        """Nothing where the answer has not begun: then whoever called answers."""
        if self._has_started:
            self._context.status = error.status  # in the log and the metrics
            await _write(send, sse.failed(error), is_last=True)


async def _write(send: Send, body: bytes, *, is_last: bool = False) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": not is_last})


async def _paced(told: AsyncIterator[Event], seconds: float) -> AsyncGenerator[Event | None, None]:
    """The events, and None whenever none has come for so long."""
    while True:
        coming = asyncio.ensure_future(anext(told))
        try:
            while not (await asyncio.wait((coming,), timeout=seconds))[0]:
                yield None
            yield coming.result()
        finally:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)
