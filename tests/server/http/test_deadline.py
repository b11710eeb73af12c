"""Deadlines of requests and the `x-request-timeout` header."""

from __future__ import annotations

import json
import time

import pytest
from conftest import MODEL, PATH, RunningServer, error_of, wait_until

from daguerre.errors import QueueFullError

BODY = {"model": MODEL, "prompt": "a red fox"}


def test_job_context(server: RunningServer) -> None:
    """The engine receives the tenant, the request ID and the remaining time."""
    answer = server.post(BODY, x_request_timeout="30", x_request_id="abc")
    assert answer.status_code == 200
    (terms,) = server.engine.contexts
    assert (terms.tenant, terms.request_id) == (server.resource.id, "abc")
    assert terms.timeout_s is not None and 0 < terms.timeout_s < 30
    server.post(BODY)
    assert (server.engine.contexts[1].timeout_s or 0) > 30


def test_deadline_passes(server: RunningServer) -> None:
    """A 504 names the timeout, and the job is cancelled."""
    server.engine.is_held = True
    error = error_of(server.post(BODY, x_request_timeout="0.2"))
    assert (error["code"], error["type"]) == (504, "server_error")
    assert "0.2 s" in error["message"]
    wait_until(lambda: server.engine.num_running == 0)
    assert server.engine.num_cancelled == 1


def test_deadline_passes_before_the_job(server: RunningServer) -> None:
    """A body that arrives after the deadline starts no job."""
    body = json.dumps(BODY).encode()
    with server.connection() as connection:
        connection.sendall(server.head(len(body), extra="x-request-timeout: 0.1\r\n") + body[:5])
        time.sleep(0.3)
        connection.sendall(body[5:])
        assert connection.recv(65536).startswith(b"HTTP/1.1 504 ")
    assert server.engine.params == []


@pytest.mark.parametrize("value", ["", "0", "-1", "1e3", "nan", "inf", "601", "10s", "0.01", "٣"])
def test_invalid_values(server: RunningServer, value: str) -> None:
    """An invalid or too long timeout is refused, not clamped; the message names the range."""
    raw = [
        (b"authorization", f"Bearer {server.key}".encode()),
        (b"x-request-timeout", value.encode()),
    ]
    answer = server.client.post(PATH, json=BODY, headers=raw)
    error = error_of(answer)
    assert (error["code"], error["param"]) == (400, "x-request-timeout")
    assert "a number of seconds from 0.05 to 600" in error["message"]
    assert server.engine.params == []


def test_two_headers(server: RunningServer) -> None:
    """Two headers are refused even if they agree."""
    sent = [("authorization", f"Bearer {server.key}"), *[("x-request-timeout", "9")] * 2]
    assert error_of(server.client.post(PATH, json=BODY, headers=sent))["code"] == 400


def test_retry_after_of_the_engine(server: RunningServer) -> None:
    """`Retry-After` is the time that the engine gives."""
    server.engine.refusal = QueueFullError("too late", retry_after_s=7)
    answer = server.post(BODY)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "7")
