"""A plugin of pytest that records the outcomes of each test function, and each failure at once."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from bench.cuda.results import Results

VARIABLE = "DAGUERRE_BENCH_RESULTS"
PART = "checkpoint_tests"
_outcomes: Counter[str] = Counter()
_current: list[str] = []  # the function whose parameters run


def _results() -> Results:
    return Results(Path(os.environ[VARIABLE]), PART)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    function = report.nodeid.partition("[")[0]
    if _current != [function]:
        _end_function()
        _current[:] = [function]
    if report.when == "call" or report.outcome != "passed":
        _outcomes[report.outcome] += 1
    if report.failed:
        message = getattr(report.longrepr, "reprcrash", None)
        reason = message.message if message else str(report.longrepr)
        _results().add("failures", test=report.nodeid, reason=" ".join(reason.split())[:400])


def pytest_collectreport(report: pytest.CollectReport) -> None:
    if report.failed:
        _results().add("failures", test=report.nodeid, reason=str(report.longrepr)[-400:])


def pytest_sessionfinish() -> None:
    _end_function()


def _end_function() -> None:
    if _current:
        counts = {name: _outcomes[name] for name in ("passed", "failed", "skipped")}
        _results().add("tests", test=_current[0], **counts)
    _outcomes.clear()
