"""GET /metrics: request and engine metrics for Prometheus.

Each app has its own registry. No label value is chosen by a client, and every metric has a bounded
number of series.
"""

from __future__ import annotations

from collections import Counter as CountOf
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeAlias

from prometheus_client import CollectorRegistry, Counter, Histogram, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response

from daguerre.engine.interface import Engine, WorkerStats
from daguerre.server.http.middleware import RequestContext

_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS_S = (0.005, 0.02, 0.1, 0.5, 1, 2, 5, 10, 20, 40, 60, 120, 300, 600)
Family: TypeAlias = GaugeMetricFamily | CounterMetricFamily
_WORKER_METRICS: tuple[tuple[type[Family], str, str, Callable[[WorkerStats], float]], ...] = (
    (GaugeMetricFamily, "up", "1 if the worker is ready.", lambda worker: worker.is_ready),
    (GaugeMetricFamily, "jobs", "Jobs sent to the worker.", lambda worker: worker.num_jobs),
    (
        CounterMetricFamily,
        "restarts",
        "Restarts after a crash or a hang.",
        lambda worker: worker.num_restarts,
    ),
    (
        GaugeMetricFamily,
        "mismatched_models",
        "Models that the worker does not serve, because their fingerprint differs.",
        lambda worker: len(worker.mismatched_models),
    ),
)


class Metrics:
    """Observes requests and serves the metrics."""

    def __init__(self, engine: Engine) -> None:
        registry = self._registry = CollectorRegistry()
        registry.register(_EngineCollector(engine))
        self._requests = Counter(
            "daguerre_http_requests",
            "HTTP requests. Status 499: the client disconnected.",
            ("route", "status"),
            registry=registry,
        )
        self._durations = Histogram(
            "daguerre_http_request_duration_seconds",
            "Time from the head of a request to the end of its response.",
            ("route",),
            buckets=_BUCKETS_S,
            registry=registry,
        )
        self._stage_durations = Histogram(
            "daguerre_stage_duration_seconds",
            "Time of an image in each stage.",
            ("stage",),
            buckets=_BUCKETS_S,
            registry=registry,
        )
        self._image_store = Counter(
            "daguerre_image_store_requests",
            "Responses from the image store (hit) and new images stored in it (miss).",
            ("result",),
            registry=registry,
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
        return Response(generate_latest(self._registry), headers={"content-type": _CONTENT_TYPE})


def stages_ms(context: RequestContext) -> dict[str, float]:
    """Stage -> milliseconds, in chronological order."""
    timings = context.timings
    if timings is None:
        return {}
    return {
        "queue": timings.queue_ms,
        "encode": timings.encode_ms,
        "denoise": timings.denoise_ms,
        "decode": timings.decode_ms,
        "file": context.file_ms,
    }


class _EngineCollector(Collector):
    """Reads the engine's statistics at each scrape."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def collect(self) -> Iterator[Metric]:
        stats = self._engine.stats()
        yield _gauge("ready", "1 if the engine accepts jobs.", float(stats.is_ready))
        yield _gauge("jobs_queued", "Jobs that are accepted and not started.", stats.num_queued)
        yield _gauge("jobs_running", "Jobs that are started and not finished.", stats.num_running)
        yield _gauge(
            "job_service_time_seconds",
            "Recent mean time between two finished jobs while all workers are busy.",
            stats.service_times.mean_service_time_s,
        )
        outcomes = {
            "succeeded": stats.num_succeeded,
            "failed": stats.num_failed,
            "cancelled": stats.num_cancelled,
        }
        yield _labelled(
            CounterMetricFamily("daguerre_jobs", "Finished jobs.", labels=["outcome"]), outcomes
        )
        yield _counter("forward_passes", "Forward passes of all networks.", stats.num_forwards)
        yield _counter("batch_rows", "Rows of these forward passes.", stats.num_rows)
        yield from _worker_metrics(stats.workers)
        certified = CountOf(stats.certificates.values())
        yield _labelled(
            GaugeMetricFamily(
                "daguerre_batch_certificates",
                "Batch configurations whose results were verified to be exact, or found inexact.",
                labels=["result"],
            ),
            {"exact": certified[True], "inexact": certified[False]},
        )


def _worker_metrics(workers: Sequence[WorkerStats]) -> Iterator[Metric]:
    for family, name, help, value in _WORKER_METRICS:
        values = {str(number): value(worker) for number, worker in enumerate(workers)}
        yield _labelled(family(f"daguerre_worker_{name}", help, labels=["worker"]), values)


def _gauge(name: str, help: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"daguerre_{name}", help, value=value)


def _counter(name: str, help: str, value: float) -> CounterMetricFamily:
    return CounterMetricFamily(f"daguerre_{name}", help, value=value)


def _labelled(family: Family, values: Mapping[str, float]) -> Metric:
    for label, value in values.items():
        family.add_metric([label], value)
    return family
