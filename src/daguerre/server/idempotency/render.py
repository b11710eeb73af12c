"""The file of a finished image, as it is answered and as it is kept for those that ask again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from daguerre.imagefile.encoding import encode
from daguerre.params import GeneratedImage, Timings
from daguerre.server.http.middleware import RequestContext
from daguerre.server.idempotency.replay import IdempotentRequest
from daguerre.storage.result_cache import CachedImage


async def finished(
    context: RequestContext,
    replay: IdempotentRequest,
    make: Callable[[], Awaitable[GeneratedImage]],
    with_prompt: bool,
) -> tuple[CachedImage, float]:
    """The file that is kept, or else the one of the image that `make` waits for; and when work on
    the file began, by the monotonic clock."""
    started, timings = time.monotonic(), Timings()
    result = await replay.stored()
    if result is None:
        image = await make()
        started, timings = time.monotonic(), image.timings
        # In a thread: compression of megabytes would hold up every other request.
        fresh = await asyncio.to_thread(_encoded, image, with_prompt)
        result = await replay.keep(fresh)
    context.timings, context.cache = timings, replay.cache
    return result, started


def _encoded(image: GeneratedImage, with_prompt: bool) -> CachedImage:
    return CachedImage(encode(image, with_prompt=with_prompt), int(time.time()))
