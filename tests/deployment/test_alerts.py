"""deploy/alerts.yaml, deploy/prometheus.yaml and the dashboard, checked by promtool."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from deployment.files import DEPLOY, read_yaml

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None,
    reason="promtool is not installed; run `make test-deps` as root",
)
ALERTS = [rule for group in read_yaml(DEPLOY / "alerts.yaml")["groups"] for rule in group["rules"]]


@needs_promtool
@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "rules", "alerts.yaml"),
        ("check", "config", "prometheus.yaml"),
        ("test", "rules", "alerts_test.yaml"),
    ],
    ids=" ".join,
)
def test_promtool(arguments: tuple[str, ...]) -> None:
    """The rules and the configuration are valid, and each alert fires when it must."""
    done = subprocess.run(["promtool", *arguments], cwd=DEPLOY, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_dashboard(tmp_path: Path) -> None:
    """Each expression of the dashboard is valid, with a value for each variable of Grafana."""
    dashboard = json.loads((DEPLOY / "grafana" / "daguerre.json").read_text(encoding="utf-8"))
    values = {"$__rate_interval": "1m", "$instance": ".*", "$model": ".*"}
    targets = [target for panel in dashboard["panels"] for target in panel.get("targets", ())]
    expressions = [target["expr"] for target in targets]
    for name, value in values.items():
        expressions = [expression.replace(name, value) for expression in expressions]
    assert expressions and not any("$" in expression for expression in expressions)
    rules = [{"record": f"panel:{n}", "expr": expr} for n, expr in enumerate(expressions)]
    (tmp_path / "rules.yaml").write_text(json.dumps({"groups": [{"name": "x", "rules": rules}]}))
    done = subprocess.run(
        ["promtool", "check", "rules", tmp_path / "rules.yaml"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_tested() -> None:
    """Each alert fires in a test of alerts_test.yaml."""
    tests = read_yaml(DEPLOY / "alerts_test.yaml")["tests"]
    fired = {
        case["alertname"]
        for each in tests
        for case in each.get("alert_rule_test", ())
        if case["exp_alerts"]
    }
    assert [rule["alert"] for rule in ALERTS if rule["alert"] not in fired] == []


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_alerts_say_what_to_do(rule: dict[str, dict[str, str]]) -> None:
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert rule["annotations"]["summary"] and rule["annotations"]["description"].endswith(".")
