"""The outermost layer alone: what happens when an app is cancelled or fails halfway."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from daguerre.server.access.rate_limiter import RateLimiter
from daguerre.server.http.middleware import (
    CLIENT_CLOSED_REQUEST,
    RequestContext,
    RequestContextMiddleware,
)


def seen_of(app: ASGIApp, *, cancel: bool = False) -> tuple[list[Message], list[RequestContext]]:
    """The messages that go out, and the exchanges that are counted, for one GET."""
    sent: list[Message] = []
    counted: list[RequestContext] = []
    layer = RequestContextMiddleware(app, RateLimiter(), {}, counted.append)
    scope: dict[str, Any] = {"type": "http", "method": "GET", "path": "/", "headers": []}

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    async def run() -> None:
        task = asyncio.ensure_future(layer(scope, receive, send))
        await asyncio.sleep(0)
        if cancel:
            task.cancel()
        await asyncio.gather(task, return_exceptions=cancel)

    asyncio.run(run())
    return sent, counted


async def hangs(scope: Scope, receive: Receive, send: Send) -> None:
    await asyncio.Event().wait()


async def fails_halfway(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    raise RuntimeError("halfway")


async def never_answers(scope: Scope, receive: Receive, send: Send) -> None:
    raise ClientDisconnect


def test_cancelled() -> None:
    """A request that the stopping server cuts off is told so: 503, with a Retry-After."""
    sent, counted = seen_of(hangs, cancel=True)
    headers = dict(sent[0]["headers"])
    assert sent[0]["status"] == counted[0].status == 503
    assert headers[b"retry-after"] and headers[b"x-request-id"]
    assert json.loads(sent[1]["body"])["error"]["message"] == "the server is stopping"


def test_failure_halfway(caplog: pytest.LogCaptureFixture) -> None:
    """An answer that has begun is not begun again; the reason is in the log, under its id."""
    sent, counted = seen_of(fails_halfway)
    assert [message["type"] for message in sent] == ["http.response.start"]
    [record] = [r for r in caplog.records if r.levelno == logging.ERROR]
    assert counted[0].request_id in record.getMessage() and record.exc_info


def test_gone() -> None:
    """To a client that left nothing is sent, and it is counted as gone."""
    sent, counted = seen_of(never_answers)
    assert sent == [] and counted[0].status == CLIENT_CLOSED_REQUEST


def test_method_in_the_log() -> None:
    """A method that is none is a word of any length, and is left out."""
    assert "method=GET" in RequestContext("id", "GET").log_line()
    assert len(RequestContext("id", "A" * 60_000).log_line()) < 100
