"""The deadline of a request: the `x-request-timeout` header, and cancellation when time is up."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import Receive

from daguerre.errors import DeadlineExceededError, InvalidRequestError
from daguerre.protocol.messages import quote_for_message
from daguerre.server.http.request_context import RequestContext

T = TypeVar("T")
TIMEOUT_HEADER = "x-request-timeout"
MIN_TIMEOUT_S = 0.05
_NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")


def parse_timeout_header(headers: Headers, max_s: float) -> float:
    """Seconds from the arrival of the request; `max_s` without the header.

    Raises `InvalidRequestError` for a longer time, since the server would not keep it.
    """
    sent = headers.getlist(TIMEOUT_HEADER)
    if not sent:
        return max_s
    seconds = float(sent[0]) if len(sent) == 1 and _NUMBER.fullmatch(sent[0]) else 0.0
    min_s = min(MIN_TIMEOUT_S, max_s)
    if not min_s <= seconds <= max_s:
        raise InvalidRequestError(
            f"{TIMEOUT_HEADER} is {quote_for_message(', '.join(sent))}; it must be a number of"
            f" seconds from {min_s:g} to {max_s:g}",
            param=TIMEOUT_HEADER,
        )
    return seconds


async def run_with_deadline(
    work: Coroutine[Any, Any, T], context: RequestContext, receive: Receive
) -> T:
    """The result of `work`, which is cancelled if the client disconnects or the deadline passes.

    Raises `ClientDisconnect` or `DeadlineExceededError`. Read the request body first.
    """
    exceeded = DeadlineExceededError(
        f"the image was not finished within {context.timeout_s:g} s of the request's arrival"
    )
    if context.remaining_s() <= 0:
        work.close()
        raise exceeded
    working = asyncio.create_task(work)
    leaving = asyncio.create_task(_wait_for_disconnect(receive))
    try:
        await asyncio.wait(
            (working, leaving),
            timeout=context.remaining_s(),
            return_when=asyncio.FIRST_COMPLETED,
        )
        if working.done():
            return working.result()
        if leaving.done():
            raise ClientDisconnect
        raise exceeded
    finally:
        working.cancel()
        leaving.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
