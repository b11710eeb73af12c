"""The middleware alone: cancelled and failing apps, and the log line."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from daguerre.server.http.middleware import RequestContextMiddleware
from daguerre.server.http.request_context import CLIENT_CLOSED_REQUEST, RequestContext


def run_request(
    app: ASGIApp, *, cancel: bool = False
) -> tuple[list[Message], list[RequestContext]]:
    """The messages sent and the requests observed for one GET."""
    sent: list[Message] = []
    observed: list[RequestContext] = []
    layer = RequestContextMiddleware(app, lambda resource: {}, {}, observed.append)
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
    return sent, observed


async def hangs(scope: Scope, receive: Receive, send: Send) -> None:
    await asyncio.Event().wait()


async def fails_after_start(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    raise RuntimeError("after the start")


async def disconnects(scope: Scope, receive: Receive, send: Send) -> None:
    raise ClientDisconnect


def test_cancelled() -> None:
    """A request that is cancelled at shutdown gets 503 with Retry-After."""
    sent, observed = run_request(hangs, cancel=True)
    headers = dict(sent[0]["headers"])
    assert sent[0]["status"] == observed[0].status == 503
    assert headers[b"retry-after"] and headers[b"x-request-id"]
    assert json.loads(sent[1]["body"])["error"]["message"] == "the server is shutting down"


def test_failure_after_the_start(caplog: pytest.LogCaptureFixture) -> None:
    """A response that has started is not started again; the log has the traceback."""
    sent, observed = run_request(fails_after_start)
    assert [message["type"] for message in sent] == ["http.response.start"]
    [record] = [r for r in caplog.records if r.levelno == logging.ERROR]
    assert observed[0].request_id in record.getMessage() and record.exc_info


def test_disconnect() -> None:
    """A client that disconnects gets nothing and is observed with status 499."""
    sent, observed = run_request(disconnects)
    assert sent == [] and observed[0].status == CLIENT_CLOSED_REQUEST


def test_method_in_the_log() -> None:
    """An unknown method may be long and is not logged."""
    assert "method=GET" in RequestContext("id", "GET").log_line()
    assert len(RequestContext("id", "A" * 60_000).log_line()) < 100
