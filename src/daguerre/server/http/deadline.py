"""The end of a request's work: it is done, the client has left, or its time is over.

Whatever comes first ends the others, so that no work goes on for nobody. Knows nothing of images.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from daguerre.errors import DeadlineExceededError
from daguerre.server.http.middleware import RequestContext

T = TypeVar("T")


async def run_with_deadline(
    work: Coroutine[Any, Any, T], exchange: RequestContext, receive: Receive
) -> T:
    """What the work returns. Raises `ClientDisconnect` or `DeadlineExceededError`, and then it has
    been cancelled. The body of the request has been read before."""
    if exchange.left_s() <= 0:
        work.close()
        raise _late(exchange)
    working = asyncio.create_task(work)
    leaving = asyncio.create_task(_leaving(receive))
    try:
        await asyncio.wait(
            (working, leaving),
            timeout=max(0.0, exchange.left_s()),
            return_when=asyncio.FIRST_COMPLETED,
        )
        if working.done():
            return working.result()
        if leaving.done():
            raise ClientDisconnect
        raise _late(exchange)
    finally:
        await _end(working, leaving)


def _late(exchange: RequestContext) -> DeadlineExceededError:
    return DeadlineExceededError(
        f"the image was not done {exchange.timeout_s:g} s after the request came"
    )


async def _leaving(receive: Receive) -> None:
    """Returns when the client has closed the connection."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _end(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
