"""GET /metrics: metrics of requests, the server and the engine for Prometheus.

Each app has its own registry. No label value is chosen by a client, and every metric has a bounded
number of series.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from starlette.requests import Request
from starlette.responses import Response

from daguerre.engine.interface import Engine
from daguerre.server.http.http_stats import HttpStats
from daguerre.server.http.request_context import RequestContext
from daguerre.server.routes.engine_metrics import EngineCollector
from daguerre.server.routes.server_metrics import ServerCollector

# Rendering costs ten times another request, and needs no key.
MAX_AGE_S = 1.0
_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS_S = (0.005, 0.02, 0.1, 0.5, 1, 2, 5, 10, 20, 40, 60, 120, 300, 600)


class Metrics:
    """Observes requests and serves the metrics, which are rendered at most once a second."""

    def __init__(
        self,
        engine: Engine,
        http_stats: Callable[[], HttpStats] = HttpStats,
        stored_bytes: Callable[[], float] = lambda: 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._text, self._rendered_s = b"", float("-inf")
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._registry.register(EngineCollector(engine))
        self._registry.register(ServerCollector(http_stats, stored_bytes))
        counter = functools.partial(Counter, registry=self._registry)
        histogram = functools.partial(Histogram, buckets=_BUCKETS_S, registry=self._registry)
        self._requests = counter(
            "daguerre_http_requests",
            "HTTP requests. Route 'other': no endpoint. Status 499: the client disconnected. A"
            " stream that failed has the status of its error event.",
            ("route", "status"),
        )
        self._durations = histogram(
            "daguerre_http_request_duration_seconds",
            "Time from the head of a request to the end of its response.",
            ("route",),
        )
        self._stage_durations = histogram(
            "daguerre_stage_duration_seconds",
            "Time of an image in each stage: queue, encode, denoise, decode or file.",
            ("model", "stage"),
        )
        self._errors = counter(
            "daguerre_http_errors",
            "HTTP requests that ended with an error, by the exception of the page on errors.",
            ("error_type",),
        )
        self._image_store = counter(
            "daguerre_image_store_requests",
            "Image store lookups by replays and cached requests: hit or miss.",
            ("result",),
        )

    def observe(self, context: RequestContext) -> None:
        """Counts a finished request."""
        self._requests.labels(context.route, str(context.status)).inc()
        self._durations.labels(context.route).observe(context.total_s())
        if context.error:
            self._errors.labels(type(context.error).__name__).inc()
        if context.cache:
            self._image_store.labels(context.cache).inc()
        if context.cache == "hit" or context.params is None:  # no stage ran
            return
        for stage, duration_ms in context.stages_ms().items():
            self._stage_durations.labels(context.params.model, stage).observe(duration_ms / 1000)

    async def show(self, request: Request) -> Response:
        now_s = self._clock()
        if now_s - self._rendered_s >= MAX_AGE_S:
            self._text, self._rendered_s = generate_latest(self._registry), now_s
        return Response(self._text, headers={"content-type": _CONTENT_TYPE})
