"""The outermost middleware around every endpoint.

It assigns the request ID, answers unhandled exceptions, adds common headers, closes the connection
cleanly, writes one log line, updates the metrics and ends the trace.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, TypeAlias

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from daguerre.errors import DaguerreError, InternalError, NotReadyError, RequestTimeoutError
from daguerre.server.http.errors import LOADING_RETRY_AFTER_S, error_response
from daguerre.server.http.request_context import (
    CLIENT_CLOSED_REQUEST,
    UNROUTED,
    VALID_ID,
    RequestContext,
    RequestTrace,
)
from daguerre.server.http.security_headers import add_security_headers

# How long a client may send after its response before the connection is closed.
LINGER_S = 2.0
# A rejected body up to this size is discarded to keep the connection open.
MAX_DISCARDED_BYTES = 64 * 1024
SHUTTING_DOWN = NotReadyError("the server is shutting down", retry_after_s=LOADING_RETRY_AFTER_S)
PROBES = ("/healthz", "/readyz", "/metrics")

logger = logging.getLogger("daguerre.requests")


def request_id(headers: Headers) -> str:
    """The client's `x-request-id` if it is valid, else a new one."""
    sent = headers.get("x-request-id", "")
    return sent if VALID_ID.fullmatch(sent) else uuid.uuid4().hex


# Further headers of a response.
ContextHeaders: TypeAlias = Callable[[RequestContext], Mapping[str, str]]


class _ResponseSender:
    """Sends the response with the common headers, and closes the connection if necessary.

    A response that precedes the end of a large request body closes the connection. Received data is
    discarded for a moment before, because the kernel would otherwise reset the connection and the
    client would lose the response.
    """

    def __init__(
        self,
        context: RequestContext,
        context_headers: ContextHeaders,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        self._has_started = False
        self._context, self._context_headers = context, context_headers
        self._scope, self._receive, self._send = scope, receive, send
        headers = Headers(scope=scope)
        is_chunked, length = "transfer-encoding" in headers, int(headers.get("content-length", 0))
        self._is_body_complete = not is_chunked and length == 0
        # A client that waits for "100 Continue" may never send the body.
        self._can_discard_body = (
            not is_chunked and length <= MAX_DISCARDED_BYTES and "expect" not in headers
        )
        self._must_close = False

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            self._is_body_complete = True
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._begin(message)
            await self._send(message)
        elif message.get("more_body", False) or not self._must_close:
            await self._send(message)
        else:
            await self._send({**message, "more_body": True})
            self._context.ended = time.monotonic()
            await self._linger()
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    def _begin(self, message: Message) -> None:
        self._has_started = True
        context = self._context
        context.status = message["status"]
        headers = MutableHeaders(scope=message)
        headers["x-request-id"] = context.request_id
        if context.trace:
            headers["traceresponse"] = context.trace.response_header
        add_security_headers(headers)
        if context.batching != "exact":  # the same seed may produce other bytes
            headers["x-batching-mode"] = context.batching
        headers.update(self._context_headers(context))
        self._must_close = not self._is_body_complete and (
            context.status == RequestTimeoutError.status or not self._can_discard_body
        )
        if self._must_close:
            headers["connection"] = "close"

    async def fail(self, error: DaguerreError, wrap: Callable[[ASGIApp], ASGIApp]) -> None:
        """Sends the error unless the response has started; then uvicorn closes the connection."""
        self._context.error = error
        if not self._has_started:
            await wrap(error_response(error))(self._scope, self.receive, self.send)

    async def _linger(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER_S):
                while not self._is_body_complete:
                    await self.receive()


class RequestContextMiddleware:
    """See the module. `routes` maps endpoints to documented paths.

    `cors` wraps an app in the CORS middleware, here also the response for an unhandled error.
    `start_trace` returns the trace of a request, if it has one.
    """

    def __init__(
        self,
        app: ASGIApp,
        context_headers: ContextHeaders,
        routes: Mapping[Any, str],
        observe: Callable[[RequestContext], None],
        cors: Callable[[ASGIApp], ASGIApp] = lambda app: app,
        start_trace: Callable[[Scope], RequestTrace | None] = lambda scope: None,
    ) -> None:
        self._start_trace = start_trace
        self._app, self._cors, self._observe = cors(app), cors, observe
        self._context_headers = context_headers
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        trace = self._start_trace(scope)
        context = RequestContext(request_id(Headers(scope=scope)), scope["method"], trace=trace)
        context.client = (scope.get("client") or [""])[0]
        context.path = scope.get("raw_path", b"").decode("ascii", "replace")
        scope.setdefault("state", {})["context"] = context
        sender = _ResponseSender(context, self._context_headers, scope, receive, send)
        try:
            await self._app(scope, sender.receive, sender.send)
        except ClientDisconnect:
            context.status = CLIENT_CLOSED_REQUEST  # even if the response has started
        except asyncio.CancelledError:
            # A second signal. uvicorn would log a re-raised exception as this request's failure.
            await sender.fail(SHUTTING_DOWN, self._cors)
        except Exception:
            logger.exception("request_id=%s failed", context.request_id)
            await sender.fail(internal_error(context), self._cors)
        finally:
            context.exit_stack.close()
            context.route = self._routes.get(scope.get("endpoint"), UNROUTED)
            level = logging.DEBUG if context.route in PROBES else logging.INFO
            logger.log(level, "%s", context.log_line(), extra={"fields": context.log_fields()})
            self._observe(context)
            if context.trace:
                context.trace.end(context)


def internal_error(context: RequestContext) -> InternalError:
    return InternalError(
        f"internal server error; see request ID {context.request_id} in the server's log"
    )
