"""Metrics whose values are read at each scrape, with the prefix of daguerre."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily as CounterFamily
from prometheus_client.core import GaugeMetricFamily as GaugeFamily

# Values of the labels -> value of the metric.
Samples: TypeAlias = Mapping[tuple[str], float] | Mapping[tuple[str, str], float]


def gauge(name: str, help: str, value: float) -> Metric:
    return GaugeFamily(f"daguerre_{name}", help, value)


def counter(name: str, help: str, value: float) -> Metric:
    return CounterFamily(f"daguerre_{name}", help, value)


def family(
    kind: type[GaugeFamily] | type[CounterFamily],
    name: str,
    help: str,
    labels: Sequence[str],
    samples: Samples,
) -> Metric:
    metric = kind(f"daguerre_{name}", help, labels=labels)
    values: tuple[str, ...]
    for values, number in samples.items():
        metric.add_metric(values, number)
    return metric
