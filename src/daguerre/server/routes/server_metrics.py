"""The metrics of connections and of the image store, read at each scrape."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily as CounterFamily
from prometheus_client.registry import Collector

from daguerre.server.http.http_stats import HttpStats
from daguerre.server.routes.metric_families import counter, family, gauge


class ServerCollector(Collector):
    """Collects what the server counts besides its requests.

    `stored_bytes` returns the size of the image store.
    """

    def __init__(self, stats: Callable[[], HttpStats], stored_bytes: Callable[[], float]) -> None:
        self._stats, self._stored_bytes = stats, stored_bytes

    def collect(self) -> Iterator[Metric]:
        stats = self._stats()
        yield gauge("http_connections", "Open connections.", stats.num_connections)
        yield gauge(
            "http_requests_in_flight",
            "HTTP requests in progress, with the one for the metrics.",
            stats.num_requests,
        )
        yield family(
            CounterFamily,
            "http_connections_rejected",
            "Connections over a limit: the name of its setting.",
            ("limit",),
            {(limit,): number for limit, number in stats.num_rejected.items()},
        )
        yield counter(
            "http_malformed_requests",
            "Requests that are not valid HTTP/1.1; the other metrics of requests leave them out.",
            stats.num_malformed,
        )
        yield gauge(
            "image_store_bytes",
            "Size of the image store, in bytes; 0 before it is counted, a moment after the start.",
            self._stored_bytes(),
        )
