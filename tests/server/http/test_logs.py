"""Log formats and throttled log lines."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from datetime import UTC, datetime

import pytest
from conftest import MODEL, RunningServer, wait_until

from daguerre.server.http import logs
from daguerre.server.http.logs import (
    MAX_RECORD_CHARS,
    THROTTLE_S,
    ConsoleFormatter,
    JsonFormatter,
    ThrottledLogger,
)


def record(message: str, *args: object, **extra: object) -> logging.LogRecord:
    return logging.getLogger("daguerre.x").makeRecord(
        "daguerre.x", logging.WARNING, "x.py", 1, message, args, None, extra=extra
    )


def test_json_line() -> None:
    """A record is one JSON object on one line, even if its message has several."""
    line = JsonFormatter().format(record("two\nlines of %s", "猫\u2028"))
    assert "\n" not in line and line.isascii()
    found = json.loads(line)
    assert datetime.fromisoformat(found.pop("time")).tzinfo == UTC
    assert found == {
        "level": "warning",
        "logger": "daguerre.x",
        "message": "two\nlines of 猫\u2028",
    }


def test_number_of_the_worker() -> None:
    """The record of a worker names it, in both formats."""
    sent = record("loaded", worker=1, prefix="worker 1: ")
    assert json.loads(JsonFormatter().format(sent))["worker"] == 1
    assert ConsoleFormatter().format(sent).endswith(" WARNING daguerre.x worker 1: loaded")
    assert ConsoleFormatter().format(record("loaded")).endswith(" WARNING daguerre.x loaded")


def test_json_traceback() -> None:
    """A traceback is a value of the object, on the same line."""
    try:
        raise ValueError("broken")
    except ValueError:
        failed = record("it failed")
        failed.exc_info = sys.exc_info()
    line = JsonFormatter().format(failed)
    assert "\n" not in line
    assert "ValueError: broken" in json.loads(line)["traceback"]


@pytest.mark.parametrize("formatter", [ConsoleFormatter(), JsonFormatter()])
def test_long_records_are_truncated(formatter: logging.Formatter) -> None:
    """A long record is truncated and states its length."""
    line = formatter.format(record("x" * 100_000))
    assert len(line) < MAX_RECORD_CHARS + 200
    assert "(100" in line and "characters)" in line


def test_request(server: RunningServer, caplog: pytest.LogCaptureFixture) -> None:
    """A request is logged as one record, without prompt or key."""
    caplog.set_level(logging.INFO)
    body = {"model": MODEL, "prompt": "unspeakable", "size": "1344x768"}
    assert server.post(body, x_request_id="req-1").status_code == 200
    wait_until(lambda: any("req-1" in r.getMessage() for r in caplog.records))
    (logged,) = [r for r in caplog.records if "req-1" in r.getMessage()]
    found = json.loads(JsonFormatter().format(logged))
    assert found.pop("time") and found.pop("total_ms") >= 0
    assert found == {
        "level": "info",
        "logger": "daguerre.requests",
        "request_id": "req-1",
        "client": "127.0.0.1",
        "resource": "DIFFUSION",
        "method": "POST",
        "route": "/v1/images/generations",
        "status": 200,
        "size": "1344x768",
        "steps": 4,
        "queue_ms": 2,
        "inference_ms": 36,
    }
    console = ConsoleFormatter().format(logged)
    assert datetime.fromisoformat(console.split()[0]).tzinfo == UTC
    assert " daguerre.requests request_id=req-1 client=127.0.0.1 resource=DIFFUSION " in console
    assert " size=1344x768 steps=4 queue_ms=2 inference_ms=36" in console


def test_throttled_logger(caplog: pytest.LogCaptureFixture) -> None:
    """A frequent event is logged once per interval, with the number of events."""
    now_s = [0.0]
    log = ThrottledLogger(logging.getLogger("daguerre.x"), "%d times: %s", clock=lambda: now_s[0])
    for text in ("a", "b", "c"):
        log.log(text)
    now_s[0] += THROTTLE_S
    log.log("d")
    assert caplog.messages == ["1 times: a", "3 times: d"]


def test_throttled_events_are_not_lost(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Events of an interval are logged at its end, even if no event follows."""
    monkeypatch.setattr(logs, "THROTTLE_S", 0.01)

    async def main() -> None:
        log = ThrottledLogger(logging.getLogger("daguerre.x"), "%d times: %s")
        for text in ("a", "b", "c"):
            log.log(text)
        while len(caplog.messages) < 2:
            await asyncio.sleep(0.001)

    asyncio.run(main())
    assert caplog.messages == ["1 times: a", "2 times: c"]


@pytest.mark.parametrize("form", ["console", "json"])
def test_setting(
    form: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The setting selects the format of standard error."""
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(root, "level", root.level)
    logs.configure("info", form)
    root.warning("hello")
    line = capsys.readouterr().err
    assert (json.loads(line)["message"] if form == "json" else line.split()[-1]) == "hello"


def test_configured_logging_is_unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    """An embedding program that has configured logging keeps its handlers."""
    own = logging.NullHandler()
    monkeypatch.setattr(logging.getLogger(), "handlers", [own])
    logs.configure("info", "json")
    assert logging.getLogger().handlers == [own]
