"""Spans of requests: one for the request, and below it one for each stage.

All but the first are made when the request has ended, from the timings that it has anyway. Names
and attributes follow the semantic conventions for HTTP servers and for generative AI; attributes of
daguerre begin with `daguerre.`. None contains a prompt, a key, a query or an error message.
"""

from __future__ import annotations

import asyncio
import threading
import time

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.datastructures import Headers
from starlette.types import Scope

from daguerre.server.http.middleware import PROBES
from daguerre.server.http.request_context import (
    CLIENT_CLOSED_REQUEST,
    MAX_PATH_CHARS,
    METHODS,
    UNROUTED,
    RequestContext,
)
from daguerre.server.tracing.stages import stages
from daguerre.version import __version__

FLUSH_S = 5.0
_LOGGED = ("request_id", "resource", "param", "size", "steps")


class Tracing:
    """Starts the traces of one server. `provider` exports the spans."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("daguerre", __version__)
        self._propagator = TraceContextTextMapPropagator()

    def start(self, scope: Scope) -> RequestSpan | None:
        """The span of a request, as a child of its `traceparent`; None for a probe."""
        if scope["path"] in PROBES:
            return None
        headers = Headers(scope=scope)
        parents = headers.getlist("traceparent")
        carrier = {"traceparent": parents, "tracestate": headers.getlist("tracestate")}
        span = self._tracer.start_span(
            _method(scope["method"]) or "HTTP",
            # Several parents count as none (W3C Trace Context, 3.2).
            self._propagator.extract(carrier) if len(parents) == 1 else None,
            SpanKind.SERVER,
            {
                "url.scheme": scope["scheme"],
                "network.protocol.version": scope["http_version"],
            },
        )
        return RequestSpan(self._tracer, span) if span.get_span_context().is_valid else None

    async def close(self) -> None:
        """Sends the last spans, for at most `FLUSH_S`."""
        # A daemon: the process can end while a collector does not respond.
        thread = threading.Thread(target=self._provider.shutdown, daemon=True)
        thread.start()
        await asyncio.to_thread(thread.join, FLUSH_S)


class RequestSpan:
    """The span of one request, and the ID of its trace."""

    def __init__(self, tracer: Tracer, span: Span) -> None:
        self._tracer, self._span = tracer, span
        self._clock_offset_ns = time.time_ns() - time.monotonic_ns()
        context = span.get_span_context()
        self.trace_id = f"{context.trace_id:032x}"
        ids = f"{self.trace_id}-{context.span_id:016x}"
        # As `traceparent`, with the ID of this span (draft of W3C Trace Context, level 3).
        self.response_header = f"00-{ids}-{context.trace_flags:02x}"

    def end(self, context: RequestContext) -> None:
        """Ends the span of a request that has ended, and makes those of its stages."""
        span = self._span
        if not span.is_recording():  # not sampled
            return
        ended = context.started + context.total_s()
        if context.route != UNROUTED:
            span.update_name(f"{_method(context.method) or 'HTTP'} {context.route}")
        span.set_attributes(_attributes(context))
        self._set_status(span, context)
        parent = set_span_in_context(span)
        for stage in stages(context, ended):
            begin_ns = self._unix_ns(stage.begin)
            child = self._tracer.start_span(stage.name, parent, start_time=begin_ns)
            if context.error and context.accepted is None:  # only the admission
                self._set_status(child, context)
            child.end(self._unix_ns(stage.end))
        span.end(self._unix_ns(ended))

    def _set_status(self, span: Span, context: RequestContext) -> None:
        if context.error:
            span.set_attribute("error.type", type(context.error).__name__)
        elif context.status == CLIENT_CLOSED_REQUEST:
            span.set_attribute("error.type", "ClientDisconnect")
        if context.status >= 500:  # a client's error leaves the status unset
            span.set_status(StatusCode.ERROR)

    def _unix_ns(self, time_s: float) -> int:
        return round(time_s * 1e9) + self._clock_offset_ns


def _attributes(context: RequestContext) -> dict[str, str | int]:
    fields = context.log_fields()
    attributes: dict[str, str | int] = {
        "http.request.method": _method(context.method) or "_OTHER",
        "url.path": context.path[:MAX_PATH_CHARS],
        **{f"daguerre.{name}": fields[name] for name in _LOGGED if fields.get(name, "-") != "-"},
    }
    if context.client:
        attributes["client.address"] = context.client
    if context.route != UNROUTED:
        attributes["http.route"] = context.route
    if context.status != CLIENT_CLOSED_REQUEST:
        attributes["http.response.status_code"] = context.status
    if context.cache:
        attributes["daguerre.cache"] = context.cache
    if context.params:
        attributes |= {
            "gen_ai.operation.name": "generate_content",
            "gen_ai.provider.name": "daguerre",
            "gen_ai.output.type": "image",
            "gen_ai.request.model": context.params.model,
            "gen_ai.request.seed": context.params.seed,
        }
    return attributes


def _method(sent: str) -> str:
    """The method, or an empty string for one that is not known."""
    return sent if sent in METHODS else ""
