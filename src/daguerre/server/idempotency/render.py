"""The image file of a response: loaded from the image store, or rendered and stored."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from daguerre.imagefile.encoding import encode
from daguerre.params import GeneratedImage, Timings
from daguerre.server.http.middleware import RequestContext
from daguerre.server.idempotency.replay import IdempotentRequest
from daguerre.storage.image_store import CachedImage


async def load_or_render(
    context: RequestContext,
    request: IdempotentRequest,
    render: Callable[[], Awaitable[GeneratedImage]],
    *,
    embed_prompt: bool,
    must_store: bool = False,
) -> tuple[CachedImage, float]:
    """Returns the file, and when work on it began, by the monotonic clock.

    With `must_store`, an image that cannot be stored raises `UnavailableError`.
    """
    started, timings = time.monotonic(), Timings()
    stored = await request.load()
    if stored is None:
        image = await render()
        started, timings = time.monotonic(), image.timings
        # In a thread, because compressing megabytes would block all other requests.
        file = await asyncio.to_thread(encode, image, with_prompt=embed_prompt)
        stored = await request.save(CachedImage(file, int(time.time())), must_store=must_store)
    context.timings, context.cache = timings, request.cache
    return stored, started
