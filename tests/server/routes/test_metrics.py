"""What /metrics has, and how often it is rendered."""

from __future__ import annotations

import asyncio
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

from conftest import (
    FakeEngine,
    ManualClock,
    RunningServer,
    read_answer,
    running,
    wait_until,
)
from prometheus_client import CollectorRegistry
from starlette.requests import Request

from daguerre.engine.interface import Engine, EngineStats, LoadStats, WorkerStats
from daguerre.errors import QueueTooLongError
from daguerre.params import ModelInfo
from daguerre.server.http.http_stats import HttpStats
from daguerre.server.routes.engine_metrics import EngineCollector
from daguerre.server.routes.metrics import Metrics
from daguerre.server.routes.server_metrics import ServerCollector


def test_rendered_once_a_second() -> None:
    """However many clients ask, the metrics are rendered once a second."""
    engine, clock = FakeEngine(), ManualClock(100.0)
    metrics, request = Metrics(engine, clock=clock), cast(Request, None)

    async def num_queued() -> list[bytes]:
        responses = await asyncio.gather(*[metrics.show(request) for _ in range(3)])
        lines = [line for response in responses for line in bytes(response.body).splitlines()]
        return [line.split()[1] for line in lines if line.startswith(b"daguerre_jobs_queued{")]

    expected = [(0.0, b"0.0"), (0.9, b"0.0"), (0.1, b"2.0"), (0.9, b"2.0"), (5.0, b"4.0")]
    for number, (elapsed_s, value) in enumerate(expected):
        clock.now += elapsed_s
        engine.num_queued = number
        assert asyncio.run(num_queued()) == [value] * 3


def test_page_of_metrics_has_each_metric(server: RunningServer) -> None:
    """The reference page lists exactly what /metrics has, with its type."""
    server.generate(n=2)
    types = re.findall(r"^# TYPE (daguerre_\w+) (\w+)$", server.client.get("/metrics").text, re.M)
    page = Path(__file__).parents[3] / "docs" / "reference" / "metrics.md"
    listed = re.findall(r"^\| `(daguerre_\w+)` \| (\w+) \|", page.read_text(), re.MULTILINE)
    assert listed and sorted(types) == sorted(listed)


def test_metrics_of_models() -> None:
    """Each served model has its jobs, loads and memory, and each worker what it has loaded."""
    worker = WorkerStats(True, 0, {"crash": 0, "hang": 2}, loaded_models=("a",), resident_bytes=9)
    stats = EngineStats(
        queued={"a": 2},
        running={"b": 1},
        ended={"a": {"succeeded": 3, "failed": 0, "cancelled": 1}},
        loads={"a": LoadStats(2, 1, total_s=5.5, num_bytes=100)},
        workers=(worker, replace(worker, loaded_models=("a", "b"))),
    )
    infos = [ModelInfo(name, weights_sha256="", created=0) for name in ("a", "b")]
    engine = SimpleNamespace(stats=lambda: stats, models=lambda: infos)
    registry = CollectorRegistry()
    registry.register(EngineCollector(cast(Engine, engine)))

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"daguerre_{name}", labels)

    assert [value("jobs_queued", model=one) for one in "ab"] == [2, 0]
    assert [value("jobs_running", model=one) for one in "ab"] == [0, 1]
    assert value("jobs_total", model="a", outcome="cancelled") == 1
    assert [value("model_loads_total", model="a", outcome=o) for o in ("succeeded", "failed")] == [
        *(2, 1)
    ]
    assert [value("model_load_seconds_total", model=one) for one in "ab"] == [5.5, 0]
    assert [value("model_memory_bytes", model=one) for one in "ab"] == [100, 0]
    assert [value("model_loaded", model="b", worker=number) for number in "01"] == [0, 1]
    assert value("worker_restarts_total", worker="0", reason="hang") == 2
    assert value("worker_resident_memory_bytes", worker="1") == 9


def test_metrics_of_connections() -> None:
    """The statistics of the HTTP server and the size of the image store have metrics."""
    registry = CollectorRegistry()
    stats = HttpStats(3, 2, {"max_connections": 5, "max_connections_per_ip": 4}, num_malformed=6)
    registry.register(ServerCollector(lambda: stats, lambda: 1000))

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"daguerre_{name}", labels)

    assert (value("http_connections"), value("http_requests_in_flight")) == (3, 2)
    assert value("http_connections_rejected_total", limit="max_connections_per_ip") == 4
    assert value("http_malformed_requests_total") == 6
    assert value("image_store_bytes") == 1000


def test_metrics_of_a_server(tmp_path: Path) -> None:
    """A server counts its requests, connections, stored images and malformed requests."""
    with running(tmp_path) as server:

        def value(name: str) -> float:
            text = server.client.get("/metrics").text
            found = re.search(rf"^daguerre_{name} (\S+)$", text, re.MULTILINE)
            assert found, name
            return float(found.group(1))

        server.engine.is_held, server.engine.num_queued = True, 2
        with ThreadPoolExecutor() as threads:
            sent = threads.submit(server.generate, response_format="url")
            # The held request and the one for the metrics; each has a connection.
            wait_until(lambda: value("http_requests_in_flight") == 2)
            assert value("http_connections") == 2
            wait_until(lambda: value("expected_wait_seconds") == 3 * server.engine.job_interval_s)
            server.engine.is_held = False
            assert sent.result().status_code == 200
        with server.connection() as connection:
            connection.sendall(b"nonsense\r\n\r\n")
            assert read_answer(connection)[0] == 400
        wait_until(lambda: value("http_malformed_requests_total") == 1)
        wait_until(lambda: value("image_store_bytes") > 0)


def test_errors_are_counted_by_exception(server: RunningServer) -> None:
    """Rejected requests are counted by the exception that the log names, too."""

    def count(name: str) -> float:
        text = server.client.get("/metrics").text
        found = re.search(rf'daguerre_http_errors_total{{error_type="{name}"}} (\S+)', text)
        return float(found.group(1)) if found else 0.0

    name = "QueueTooLongError"
    before = count(name)
    server.engine.refusal = QueueTooLongError("5 jobs are queued ahead")
    assert server.generate().status_code == 503
    wait_until(lambda: count(name) == before + 1)
