"""The end of a request's work: it is done, the client has left, or its time is over.

Whatever comes first ends the others, so that no work goes on for nobody. Knows nothing of images.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from daguerre.errors import DeadlineExceeded
from daguerre.server.exchange import Exchange

T = TypeVar("T")


async def in_time(
    work: Coroutine[Any, Any, T], exchange: Exchange, receive: Receive, timeout_s: float
) -> T:
    """What the work returns. Raises `ClientDisconnect` or `DeadlineExceeded`, and then it has been
    cancelled. The body of the request has been read before."""
    working = asyncio.create_task(work)
    leaving = asyncio.create_task(_leaving(receive))
    try:
        await asyncio.wait(
            (working, leaving),
            timeout=max(0.0, timeout_s - exchange.total_s()),
            return_when=asyncio.FIRST_COMPLETED,
        )
        if working.done():
            return working.result()
        if leaving.done():
            raise ClientDisconnect
        raise DeadlineExceeded(f"the image was not done {timeout_s:g} s after the request came")
    finally:
        await _end(working, leaving)


async def _leaving(receive: Receive) -> None:
    """Returns when the client has closed the connection."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _end(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
