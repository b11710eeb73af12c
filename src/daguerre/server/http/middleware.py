"""One request and its answer, seen from outside: id, failure of last resort, log line, counting.

`RequestContextMiddleware` stands around every endpoint, so all of that happens in one place.
`RequestContext` gathers what the endpoints learn about a request. Knows no field of any body, and
no key.
"""

from __future__ import annotations

import asyncio
import logging
import math
import re
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from daguerre.errors import DaguerreError, InternalError, NotReadyError, RequestTimeoutError
from daguerre.params import BatchingMode, ImageParams, JobContext, Timings
from daguerre.server.access.rate_limiter import LOADING_RETRY_AFTER_S, RateLimiter
from daguerre.server.http.errors import error_response
from daguerre.server.http.security_headers import add_security_headers
from daguerre.storage.api_keys import Resource

# The client is gone: nothing is sent, the number is for the log and the metrics alone.
CLIENT_CLOSED_REQUEST = 499
UNROUTED = "other"
# How long an answered sender may go on sending before the connection is cut.
LINGER_S = 2.0
# So much of a refused body is dropped on the way to the next request; for more, a new connection
# costs less.
MAX_DROPPED_BYTES = 64 * 1024
STOPPING = NotReadyError("the server is stopping", retry_after_s=LOADING_RETRY_AFTER_S)
_SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
# Any other word is one that a stranger chose, as long as a head may be.
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_ORIGIN = re.compile(rb"^https?://[^/]*", re.IGNORECASE)
_PROBES = ("/healthz", "/readyz", "/metrics")

logger = logging.getLogger("daguerre.requests")


def request_id(headers: Headers) -> str:
    """The caller's own id where it is a plain word, else a new one."""
    sent = headers.get("x-request-id", "")
    return sent if _SANE_ID.fullmatch(sent) else uuid.uuid4().hex


@dataclass(slots=True)
class RequestContext:
    """What is known of one request; filled in along its way and read at its end."""

    request_id: str
    method: str
    started: float = field(default_factory=time.monotonic)
    ended: float | None = None
    route: str = UNROUTED
    status: int = CLIENT_CLOSED_REQUEST
    timeout_s: float = math.inf
    exit_stack: ExitStack = field(default_factory=ExitStack)  # what it holds of limits
    resource: Resource | None = None
    params: ImageParams | None = None
    batching: BatchingMode = "exact"
    num_steps: int = 0
    timings: Timings | None = None
    file_ms: float = 0.0
    cache: str = ""  # hit or miss, where files that are kept have a part in it

    @classmethod
    def of(cls, request: Request) -> RequestContext:
        context = request.state.context
        assert isinstance(context, cls), "an endpoint outside the middleware. This is a bug."
        return context

    def total_s(self) -> float:
        return (time.monotonic() if self.ended is None else self.ended) - self.started

    def remaining_s(self) -> float:
        """Until its time is over."""
        return self.timeout_s - self.total_s()

    def job_context(self, *, wants_progress: bool) -> JobContext:
        """What the engine is told of it."""
        assert self.resource, "work for a stranger. This is a bug."
        return JobContext(self.resource.id, self.request_id, self.remaining_s(), wants_progress)

    def log_line(self) -> str:
        return " ".join(f"{name}={value}" for name, value in self.log_fields().items())

    def log_fields(self) -> dict[str, str | int]:
        """Never the prompt, never the key."""
        words: dict[str, str | int] = {
            "id": self.request_id,
            "alias": self.resource.alias if self.resource else "-",
            "method": self.method if self.method in _METHODS else "-",
            "route": self.route,
            "status": self.status,
            "total_ms": round(self.total_s() * 1000),
        }
        if self.params:
            words |= {"size": f"{self.params.width}x{self.params.height}", "steps": self.num_steps}
        if self.timings:
            run_ms = self.timings.encode_ms + self.timings.denoise_ms + self.timings.decode_ms
            words |= {"queue_ms": round(self.timings.queue_ms), "run_ms": round(run_ms)}
        return words


class _ResponseSender:
    """Sends the answer with the headers that all have, and keeps the connection sound.

    Where the answer goes out before the body is in, the connection is closed, unless little is
    left. Closing at once would make the kernel throw the answer away, so what comes is first
    dropped for a moment.
    """

    def __init__(
        self,
        context: RequestContext,
        limiter: RateLimiter,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        self.has_started = False
        self._context, self._limiter = context, limiter
        self._receive, self._send = receive, send
        headers = Headers(scope=scope)
        is_chunked, length = "transfer-encoding" in headers, int(headers.get("content-length", 0))
        self._is_body_in = not is_chunked and length == 0
        # Who waits for "100 Continue" may never send the body at all.
        self._is_dropped_cheaply = (
            not is_chunked and length <= MAX_DROPPED_BYTES and "expect" not in headers
        )
        self._must_close = False

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            self._is_body_in = True
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
        self.has_started = True
        context = self._context
        context.status = message["status"]
        headers = MutableHeaders(scope=message)
        headers["x-request-id"] = context.request_id
        add_security_headers(headers)
        if context.batching != "exact":  # the seed does not promise the same bytes
            headers["x-batching-mode"] = context.batching
        if context.resource:
            headers.update(self._limiter.headers(context.resource))
        self._must_close = not self._is_body_in and (
            context.status == RequestTimeoutError.status or not self._is_dropped_cheaply
        )
        if self._must_close:
            headers["connection"] = "close"

    async def _linger(self) -> None:
        try:
            async with asyncio.timeout(LINGER_S):
                while not self._is_body_in:
                    await self.receive()
        except TimeoutError:
            pass


def to_origin_form(scope: Scope) -> Scope:
    """A target with scheme and host is the same as its path (RFC 9112, 3.2.2). This server has one
    name at most, so whose it is does not matter."""
    sent: bytes = scope.get("raw_path") or b""
    raw = _ORIGIN.sub(b"", sent)
    if raw == sent:
        return scope
    return {**scope, "raw_path": raw or b"/", "path": unquote(raw.decode("ascii")) or "/"}


class RequestContextMiddleware:
    """The outermost layer: every answer passes it, and every failure ends here."""

    def __init__(
        self,
        app: ASGIApp,
        limiter: RateLimiter,
        routes: Mapping[Any, str],
        observe: Callable[[RequestContext], None],
    ) -> None:
        self._app, self._limiter, self._observe = app, limiter, observe
        self._routes = routes  # endpoint -> path as the documentation has it

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope = to_origin_form(scope)
        context = RequestContext(request_id(Headers(scope=scope)), scope["method"])
        scope.setdefault("state", {})["context"] = context
        reply = _ResponseSender(context, self._limiter, scope, receive, send)
        try:
            await self._app(scope, reply.receive, reply.send)
        except ClientDisconnect:
            context.status = CLIENT_CLOSED_REQUEST  # also where the answer had begun
        except asyncio.CancelledError:
            # A server told twice to stop. Raised on, it would be logged as this request's fault.
            await self._fail(STOPPING, scope, reply)
        except Exception:
            # The server must survive any fault of one request.
            logger.exception("id=%s failed", context.request_id)
            await self._fail(internal_error(context), scope, reply)
        finally:
            context.exit_stack.close()
            context.route = self._routes.get(scope.get("endpoint"), UNROUTED)
            self._record(context)

    async def _fail(self, error: DaguerreError, scope: Scope, reply: _ResponseSender) -> None:
        # An answer that has begun cannot be taken back: the server cuts the connection.
        if not reply.has_started:
            await error_response(error)(scope, reply.receive, reply.send)

    def _record(self, context: RequestContext) -> None:
        level = logging.DEBUG if context.route in _PROBES else logging.INFO
        logger.log(level, "%s", context.log_line(), extra={"fields": context.log_fields()})
        self._observe(context)


def internal_error(context: RequestContext) -> InternalError:
    return InternalError(
        f"the server failed on this request; its log has the reason under {context.request_id}"
    )
