"""Numbers for Prometheus: what the exchanges were like, and what the engine says of itself.

One registry for each app, so two apps in one process do not mix. Labels are routes, statuses and
stages, never anything that a caller chooses.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response

from daguerre.engine.interface import Engine, WorkerStats
from daguerre.server.http.middleware import RequestContext

_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS_S = (0.005, 0.02, 0.1, 0.5, 1, 2, 5, 10, 20, 40, 60, 120, 300, 600)


class Metrics:
    def __init__(self, engine: Engine) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_EngineCollector(engine))
        self._requests = Counter(
            "daguerre_requests",
            "Requests answered; status 499 is a client that went away.",
            ("route", "status"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "daguerre_request_seconds",
            "Time from the head of a request to the end of its answer.",
            ("route",),
            buckets=_BUCKETS_S,
            registry=self._registry,
        )
        self._stage_seconds = Histogram(
            "daguerre_stage_seconds",
            "Time that an image spent in each stage of its making.",
            ("stage",),
            buckets=_BUCKETS_S,
            registry=self._registry,
        )

        self._results = Counter(
            "daguerre_results",
            "Answers from a file that was kept (hit), and files that were kept (miss).",
            ("outcome",),
            registry=self._registry,
        )

    def observe(self, context: RequestContext) -> None:
        self._requests.labels(context.route, str(context.status)).inc()
        self._seconds.labels(context.route).observe(context.total_s())
        if context.cache:
            self._results.labels(context.cache).inc()
        if context.cache == "hit":  # it was made before
            return
        for stage, duration_ms in stages_ms(context).items():
            self._stage_seconds.labels(stage).observe(duration_ms / 1000)

    async def show(self, request: Request) -> Response:
        return Response(generate_latest(self._registry), headers={"content-type": _CONTENT_TYPE})


def stages_ms(context: RequestContext) -> dict[str, float]:
    """Stage -> milliseconds, in the order in which an image passes them."""
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
    """Reads `stats()` when it is asked, so nothing is counted twice."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        stats = self._engine.stats()
        yield _gauge("ready", "1 when the model is loaded.", float(stats.is_ready))
        yield _gauge("jobs_waiting", "Jobs accepted and not begun.", stats.num_queued)
        yield _gauge("jobs_running", "Jobs begun and not ended.", stats.num_running)
        yield _gauge(
            "seconds_per_job",
            "Mean of late between the ends of two jobs, with all workers at work.",
            stats.service_times.mean_service_time_s,
        )
        jobs = CounterMetricFamily("daguerre_jobs", "Jobs ended.", labels=["outcome"])
        jobs.add_metric(["done"], stats.num_succeeded)
        jobs.add_metric(["failed"], stats.num_failed)
        jobs.add_metric(["cancelled"], stats.num_cancelled)
        yield jobs
        yield CounterMetricFamily(
            "daguerre_forwards", "Evaluations of any network.", value=stats.num_forwards
        )
        yield CounterMetricFamily(
            "daguerre_rows", "Rows in those evaluations.", value=stats.num_rows
        )
        yield CounterMetricFamily(
            "daguerre_engine_restarts",
            "Times that a process of the engine ended unasked and was replaced.",
            value=stats.num_restarts,
        )
        yield from _of_workers(stats.workers)
        certificates = GaugeMetricFamily(
            "daguerre_certificate",
            "1 where sharing this evaluation was proved to change no bit, 0 where it does.",
            labels=["evaluation"],
        )
        for name, is_held in stats.certificates.items():
            certificates.add_metric([name], float(is_held))
        yield certificates


def _of_workers(
    workers: Sequence[WorkerStats],
) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
    is_up = GaugeMetricFamily(
        "daguerre_worker_up", "1 where this process of the engine works.", labels=["worker"]
    )
    jobs = GaugeMetricFamily("daguerre_worker_jobs", "Jobs that it has.", labels=["worker"])
    restarts = CounterMetricFamily(
        "daguerre_worker_restarts",
        "Times that it ended unasked and was replaced.",
        labels=["worker"],
    )
    unlike = GaugeMetricFamily(
        "daguerre_worker_unlike",
        "Models that it has and does not serve, since it would draw other bits than the others.",
        labels=["worker"],
    )
    for number, worker in enumerate(workers):
        is_up.add_metric([str(number)], float(worker.is_ready))
        jobs.add_metric([str(number)], worker.num_jobs)
        restarts.add_metric([str(number)], worker.num_restarts)
        unlike.add_metric([str(number)], len(worker.mismatched_models))
    yield from (is_up, jobs, restarts, unlike)


def _gauge(name: str, help: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"daguerre_{name}", help, value=value)
