"""GET /metrics: request and engine metrics for Prometheus.

Each app has its own registry. No label value is chosen by a client, and every metric has a bounded
number of series.
"""

from __future__ import annotations

import functools
import time
from collections import Counter as CountOf
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import TypeAlias

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    Metric,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily as CounterFamily
from prometheus_client.core import GaugeMetricFamily as GaugeFamily
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response

from daguerre.engine.interface import Engine, WorkerStats
from daguerre.server.http.middleware import RequestContext
from daguerre.version import __version__

# Rendering costs ten times another request, and needs no key.
MAX_AGE_S = 1.0
_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS_S = (0.005, 0.02, 0.1, 0.5, 1, 2, 5, 10, 20, 40, 60, 120, 300, 600)

Family: TypeAlias = GaugeFamily | CounterFamily
_RESTARTS = "Times the worker was replaced: crash, hang or failed start."
_MISMATCHED = "Models that the worker does not serve, because their fingerprint differs."
_WORKER_METRICS: tuple[tuple[type[Family], str, str, Callable[[WorkerStats], float]], ...] = (
    (GaugeFamily, "up", "1 if the worker is ready.", lambda w: w.is_ready),
    (GaugeFamily, "jobs", "Jobs assigned to the worker and not finished.", lambda w: w.num_jobs),
    (CounterFamily, "restarts", _RESTARTS, lambda w: w.num_restarts),
    (GaugeFamily, "mismatched_models", _MISMATCHED, lambda w: len(w.mismatched_models)),
)


class Metrics:
    """Observes requests and serves the metrics, which are rendered at most once a second."""

    def __init__(self, engine: Engine, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._text, self._rendered_s = b"", float("-inf")
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._registry.register(_EngineCollector(engine))
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
            ("stage",),
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
        if context.cache:
            self._image_store.labels(context.cache).inc()
        if context.cache == "hit":  # no stage ran
            return
        for stage, duration_ms in stages_ms(context).items():
            self._stage_durations.labels(stage).observe(duration_ms / 1000)

    async def show(self, request: Request) -> Response:
        now_s = self._clock()
        if now_s - self._rendered_s >= MAX_AGE_S:
            self._text, self._rendered_s = generate_latest(self._registry), now_s
        return Response(self._text, headers={"content-type": _CONTENT_TYPE})


def stages_ms(context: RequestContext) -> dict[str, float]:
    """Stage -> milliseconds, in chronological order."""
    if context.timings is None:
        return {}
    stages = {name.removesuffix("_ms"): ms for name, ms in asdict(context.timings).items()}
    return {**stages, "file": context.file_ms}


class _EngineCollector(Collector):
    """Reads the engine's statistics at each scrape."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def collect(self) -> Iterator[Metric]:
        stats = self._engine.stats()
        yield _labelled(
            GaugeFamily, "build_info", "Version of the server.", "version", {__version__: 1}
        )
        yield _gauge("ready", "1 if the engine accepts jobs.", stats.is_ready)
        yield _gauge(
            "unavailable_models", "Models that could not be loaded.", len(stats.load_failures)
        )
        yield _gauge("jobs_queued", "Jobs that are accepted and not started.", stats.num_queued)
        yield _gauge("jobs_running", "Jobs that are started and not finished.", stats.num_running)
        yield _gauge(
            "job_service_time_seconds",
            "Recent mean time per job at full load, in seconds.",
            stats.job_interval_s,
        )
        outcomes = {
            "succeeded": stats.num_succeeded,
            "failed": stats.num_failed,
            "cancelled": stats.num_cancelled,
        }
        yield _labelled(
            CounterFamily,
            "jobs",
            "Ended jobs: succeeded, failed or cancelled.",
            "outcome",
            outcomes,
        )
        yield _counter("forward_passes", "Forward passes of all networks.", stats.num_forwards)
        yield _counter("batch_rows", "Rows in all forward passes.", stats.num_rows)
        certified = CountOf(stats.certificates.values())
        yield _labelled(
            GaugeFamily,
            "batch_certificates",
            "Batch configurations that were verified: exact or inexact.",
            "result",
            {"exact": certified[True], "inexact": certified[False]},
        )
        for kind, name, help, value in _WORKER_METRICS:
            values = {str(number): value(worker) for number, worker in enumerate(stats.workers)}
            yield _labelled(kind, f"worker_{name}", help, "worker", values)


def _gauge(name: str, help: str, value: float) -> Metric:
    return GaugeFamily(f"daguerre_{name}", help, value)


def _counter(name: str, help: str, value: float) -> Metric:
    return CounterFamily(f"daguerre_{name}", help, value)


def _labelled(
    kind: type[Family], name: str, help: str, label: str, values: Mapping[str, float]
) -> Metric:
    family = kind(f"daguerre_{name}", help, labels=[label])
    for value, number in values.items():
        family.add_metric([value], number)
    return family
