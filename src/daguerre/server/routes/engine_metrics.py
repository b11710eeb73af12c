"""The engine's metrics for Prometheus, read from its statistics at each scrape.

The label `model` has the served models only, and `worker` the numbers of the workers.
"""

from __future__ import annotations

from collections import Counter as CountOf
from collections.abc import Iterator, Sequence

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily as CounterFamily
from prometheus_client.core import GaugeMetricFamily as GaugeFamily
from prometheus_client.registry import Collector

from daguerre.engine.ended_jobs import OUTCOMES
from daguerre.engine.interface import Engine, EngineStats, LoadStats, WorkerStats
from daguerre.server.routes.metric_families import counter, family, gauge
from daguerre.version import __version__


class EngineCollector(Collector):
    """Collects the metrics of one engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def collect(self) -> Iterator[Metric]:
        stats = self._engine.stats()
        models = [info.id for info in self._engine.models()]
        version = {(__version__,): 1.0}
        yield family(GaugeFamily, "build_info", "Version of the server.", ("version",), version)
        yield gauge("ready", "1 if the engine accepts jobs.", stats.is_ready)
        yield from _job_metrics(stats, models)
        yield from _forward_metrics(stats)
        yield from _model_metrics(stats, models)
        yield from _worker_metrics(stats.workers, models)


def _job_metrics(stats: EngineStats, models: Sequence[str]) -> Iterator[Metric]:
    for name, help, numbers in (
        ("jobs_queued", "Jobs that are accepted and not started.", stats.queued),
        ("jobs_running", "Jobs that are started and not finished.", stats.running),
    ):
        samples = {(model,): numbers.get(model, 0) for model in models}
        yield family(GaugeFamily, name, help, ("model",), samples)
    ended: dict[tuple[str, str], float] = {
        (model, outcome): counts[outcome]
        for model, counts in stats.ended.items()
        for outcome in OUTCOMES
    }
    help = "Ended jobs: succeeded, failed or cancelled."
    yield family(CounterFamily, "jobs", help, ("model", "outcome"), ended)
    yield gauge(
        "job_service_time_seconds",
        "Recent mean time per job at full load, in seconds.",
        stats.job_interval_s,
    )
    yield gauge(
        "expected_wait_seconds",
        "Estimated time until all accepted jobs have ended, in seconds.",
        stats.backlog_s,
    )


def _forward_metrics(stats: EngineStats) -> Iterator[Metric]:
    yield counter("forward_passes", "Forward passes of all networks.", stats.num_forwards)
    yield counter("batch_rows", "Rows in all forward passes.", stats.num_rows)
    certified = CountOf(stats.certificates.values())
    yield family(
        GaugeFamily,
        "batch_certificates",
        "Batch configurations that were verified: exact or inexact.",
        ("result",),
        {("exact",): certified[True], ("inexact",): certified[False]},
    )


def _model_metrics(stats: EngineStats, models: Sequence[str]) -> Iterator[Metric]:
    num_failed = len(stats.load_failures)
    yield gauge(
        "unavailable_models",
        "Models that could not be loaded, or that other servers draw differently.",
        num_failed,
    )
    loads = {model: stats.loads.get(model, LoadStats()) for model in models}
    yield family(
        CounterFamily,
        "model_loads",
        "Loads of a model by all workers: succeeded or failed.",
        ("model", "outcome"),
        {(model, "succeeded"): each.num_succeeded for model, each in loads.items()}
        | {(model, "failed"): each.num_failed for model, each in loads.items()},
    )
    yield family(
        CounterFamily,
        "model_load_seconds",
        "Time of all loads of a model, in seconds.",
        ("model",),
        {(model,): each.total_s for model, each in loads.items()},
    )
    yield family(
        GaugeFamily,
        "model_memory_bytes",
        "Estimated memory of a loaded model in one worker; 0 before its first load, or unknown.",
        ("model",),
        {(model,): each.num_bytes for model, each in loads.items()},
    )


def _worker_metrics(workers: Sequence[WorkerStats], models: Sequence[str]) -> Iterator[Metric]:
    numbered = {str(number): worker for number, worker in enumerate(workers)}
    for name, help, values in (
        ("up", "1 if the worker is ready.", [w.is_ready for w in workers]),
        ("jobs", "Jobs assigned to the worker and not finished.", [w.num_jobs for w in workers]),
        (
            "mismatched_models",
            "Models that the worker does not serve, because their fingerprint differs.",
            [len(w.mismatched_models) for w in workers],
        ),
        (
            "resident_memory_bytes",
            "Resident memory of the worker, in bytes; 0 if unknown.",
            [w.resident_bytes for w in workers],
        ),
    ):
        samples = {(number,): value for number, value in zip(numbered, values, strict=True)}
        yield family(GaugeFamily, f"worker_{name}", help, ("worker",), samples)
    yield family(
        CounterFamily,
        "worker_restarts",
        "Times the worker was replaced: crash, hang, out_of_memory, or failed_start (before its"
        " models were loaded).",
        ("worker", "reason"),
        {
            (number, reason): count
            for number, worker in numbered.items()
            for reason, count in worker.restarts.items()
        },
    )
    yield family(
        GaugeFamily,
        "model_loaded",
        "1 if the worker has the model in memory.",
        ("model", "worker"),
        {
            (model, number): model in worker.loaded_models
            for model in models
            for number, worker in numbered.items()
        },
    )
