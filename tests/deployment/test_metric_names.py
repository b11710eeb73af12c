"""Every metric that an alert, the dashboard or the autoscaler names is in /metrics."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import RunningServer
from prometheus_client.parser import text_string_to_metric_families

from deployment.files import DEPLOY, read_yaml

DASHBOARD = DEPLOY / "grafana" / "daguerre.json"
FILES = (
    *(DASHBOARD, DEPLOY / "alerts.yaml", DEPLOY / "alerts_test.yaml"),
    DEPLOY / "kubernetes" / "horizontalpodautoscaler.yaml",
    DEPLOY / "kubernetes" / "prometheus-adapter.yaml",
)
# `by (...)`, `{...}` and templates name labels and settings; strings have their values.
_METRIC = re.compile(r"\b(?:daguerre|process)_[a-z0-9_]+\b")
_SELECTOR = re.compile(r"\b(daguerre_[a-z0-9_]+)\{([^{}]*)\}")
_ADDED_LABELS = {"instance", "job", "namespace", "pod"}  # by Prometheus, for each target


@pytest.fixture(scope="module")
def samples(request: pytest.FixtureRequest) -> dict[str, set[str]]:
    """Name of each sample in /metrics -> its labels, after a request of each kind."""
    server: RunningServer = request.getfixturevalue("_shared_server")
    assert server.generate(seed=1).status_code == 200
    assert server.generate(n=2).status_code == 400
    assert server.client.post("/v1/images/generations").status_code == 401
    text = server.client.get("/metrics").text
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    # Counters and gauges without a sample so far are known by their type.
    for name, kind in re.findall(r"^# TYPE (daguerre_\w+) (\w+)$", text, re.MULTILINE):
        found.setdefault(name if kind != "histogram" else f"{name}_bucket", set())
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_metrics_exist(path: Path, samples: dict[str, set[str]]) -> None:
    named = {*_METRIC.findall(path.read_text(encoding="utf-8"))}
    assert named and named - {*samples} == set()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_labels_exist(path: Path, samples: dict[str, set[str]]) -> None:
    """A selector on a label that a metric does not have would match nothing."""
    unknown = {
        (name, label)
        for name, selector in _SELECTOR.findall(path.read_text(encoding="utf-8"))
        for label in re.findall(r"(\w+)!?=~?\\?[\"']", selector)
        if samples[name] and label not in samples[name] | _ADDED_LABELS
    }
    assert unknown == set()


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from strings(each)


def test_dashboard() -> None:
    """Each panel has a title, an expression and its own place, and uses the chosen servers."""
    dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    for panel in panels:
        assert panel["title"] and panel["targets"]
        assert all("$instance" in target["expr"] for target in panel["targets"]), panel["title"]
        assert {target["refId"] for target in panel["targets"]} <= {*"ABCDEFG"}
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels]
    assert len({*places}) == len(places)
    sources = {text for text in strings(dashboard) if text.startswith("$") and "source" in text}
    assert sources == {"${datasource}"}


def test_provisioning() -> None:
    """Compose mounts the dashboard and the rules where Grafana and Prometheus look for them."""
    services = read_yaml(DEPLOY / "compose.yaml")["services"]
    mounted = dict(volume.split(":")[:2] for volume in services["grafana"]["volumes"])
    provider = read_yaml(DEPLOY / "grafana" / "dashboards.yaml")["providers"][0]
    assert mounted["./grafana/daguerre.json"].startswith(provider["options"]["path"])
    source = read_yaml(DEPLOY / "grafana" / "datasources.yaml")["datasources"][0]
    assert source["url"] == "http://prometheus:9090"
    prometheus = read_yaml(DEPLOY / "prometheus.yaml")
    mounted = dict(volume.split(":")[:2] for volume in services["prometheus"]["volumes"])
    assert mounted[f"./{prometheus['rule_files'][0]}"] == "/etc/prometheus/alerts.yaml"
    job = prometheus["scrape_configs"][0]
    assert job["job_name"] == "daguerre" and job["static_configs"][0]["targets"][0] == (
        "daguerre:8000"
    )
