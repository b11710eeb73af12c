"""Paths, methods, probes, log lines and metrics."""

from __future__ import annotations

import asyncio
import logging
import re
import sqlite3
import sys
from pathlib import Path

import httpx
import pytest
from conftest import (
    MODEL,
    PATH,
    PATIENCE_S,
    FakeEngine,
    RunningServer,
    error_of,
    read_answer,
    running,
    wait_until,
)

from daguerre import __version__
from daguerre.config import Settings
from daguerre.errors import QueueFullError, UnavailableError
from daguerre.server.app import create_app
from daguerre.server.http.errors import RECENT_S, OutageLog
from daguerre.server.http.logs import THROTTLE_S
from daguerre.server.routes import metrics
from daguerre.storage.image_store import ImageStore
from daguerre.storage.resources import ResourceStore


@pytest.mark.parametrize(
    ("path", "near"),
    [
        ("/v1", None),
        ("/v1/image/generations", PATH),
        ("/v2/images/generations", PATH),
        ("/v1/v1", None),
        ("/v1/v1/", None),
        ("/v1/chat/completions", None),
        ("/%0d%0a%ff/%00", None),
        ("/" + "x" * 5000, None),
        ("//images/generation", "/images/generations"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_unknown_path(server: RunningServer, method: str, path: str, near: str | None) -> None:
    """An unknown path is a 404 that suggests a similar path."""
    response = server.client.request(method, str(server.client.base_url) + path)
    error = error_of(response)
    assert (response.status_code, error["type"]) == (404, "invalid_request_error")
    assert len(error["message"]) < 300
    assert f'the path "{path[:50]}' in error["message"]
    if near:
        assert f"did you mean '{near}'" in error["message"]


@pytest.mark.parametrize(
    "path",
    [
        "//v1/images/generations",
        "/v1//images/generations",
        "/v1/images/generations/",
        "/v1/v1/images/generations",
        "//v1/v1/v1///images//generations//",
        "/images/generations/",
        "/%2Fv1/images/generations%2F",
    ],
)
def test_normalized_path(
    server: RunningServer, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Extra slashes and prefixes have no effect, and the log names the route."""
    caplog.set_level(logging.INFO)
    url = str(server.client.base_url) + path
    headers = {"authorization": f"Bearer {server.key}", "x-request-id": "normalized"}
    response = server.client.post(url, json={"model": MODEL, "prompt": "x"}, headers=headers)
    assert response.status_code == 200, response.text
    line = f"request_id=normalized client=127.0.0.1 resource=DIFFUSION method=POST route={PATH} "
    wait_until(lambda: line in caplog.text)


@pytest.mark.parametrize(
    "path",
    [
        *("/v1/images/edits", "/images/variations/", "/v1/chat/completions", "/v1/embeddings"),
        *("/v1/audio/speech", "/sdapi/v1/txt2img", "/api/generate"),
        "/openai/deployments/dall-e-3/images/generations",
    ],
)
def test_path_of_another_api(server: RunningServer, path: str) -> None:
    """The error for a path of a known API that is not served says what is."""
    message = error_of(server.client.post(path))["message"]
    assert message.endswith(f"; this server only generates images, with POST {PATH}")


@pytest.mark.parametrize(
    ("path", "same"),
    [("/health", "/healthz"), ("/v1/models/", "/v1/models"), ("//models//", "/models")],
)
def test_same_response(server: RunningServer, path: str, same: str) -> None:
    """Two paths of one endpoint have the same response."""
    headers = {"authorization": f"Bearer {server.key}"}
    first, second = (
        server.client.get(str(server.client.base_url) + each, headers=headers)
        for each in (path, same)
    )
    assert (first.status_code, first.content) == (200, second.content)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", PATH, "POST"),
        ("PUT", PATH, "POST"),
        ("BREW", PATH, "POST"),
        ("POST", "/v1/models", "GET, HEAD"),
        ("DELETE", "/healthz", "GET, HEAD"),
        ("POST", "/metrics", "GET, HEAD"),
    ],
)
def test_wrong_method(server: RunningServer, method: str, path: str, allowed: str) -> None:
    """A wrong method is a 405 that names the allowed ones, also in the Allow header."""
    response = server.client.request(method, path)
    error = error_of(response)
    assert (response.status_code, error["type"]) == (405, "invalid_request_error")
    assert response.headers["allow"] == allowed
    assert allowed in error["message"] and method in error["message"]


def test_options_and_head(server: RunningServer) -> None:
    """OPTIONS lists the methods; HEAD is GET without the body, for errors too."""
    options = server.client.options(PATH)
    assert (options.status_code, options.headers["allow"]) == (204, "POST, OPTIONS")
    assert options.headers["x-request-id"] and options.content == b""
    assert error_of(server.client.options("/nowhere"))["code"] == 404
    head, got = server.client.head("/healthz"), server.client.get("/healthz")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == got.headers["content-length"]
    missing = server.client.head("/nowhere")
    assert (missing.status_code, missing.content) == (404, b"")
    assert server.client.head(PATH).status_code == 405


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("http://127.0.0.1/healthz", 200),
        ("HTTPS://other.example:8000/v1/models?x=1", 200),
        ("http://x/health%7A", 200),
        ("http://x", 200),
        ("http://x/nowhere", 404),
        ("ftp://x/healthz", 404),
        ("*", 404),
    ],
)
def test_absolute_form_target(server: RunningServer, target: str, status: int) -> None:
    """A request target in absolute form is routed by its path."""
    head = f"GET {target} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.key}\r\n\r\n"
    with server.connection() as connection:
        connection.sendall(head.encode())
        assert read_answer(connection)[0] == status


def test_probes(server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """/healthz is always 200; /readyz is 503 with Retry-After until the engine is ready."""
    assert server.client.get("/healthz").json() == {"status": "alive"}
    assert server.client.get("/readyz").json() == {
        "status": "ready",
        "worker_restarts": 0,
        "unavailable_models": [],
        "outages": [],
    }
    server.engine.load_failures = {"sd": "not enough memory"}
    body = server.client.get("/readyz").json()
    assert body["unavailable_models"] == [{"id": "sd", "reason": "not enough memory"}]
    monkeypatch.setattr(metrics, "MAX_AGE_S", 0.0)
    assert "daguerre_unavailable_models 1.0" in server.client.get("/metrics").text
    server.engine.is_ready = False
    assert server.client.get("/healthz").status_code == 200
    response = server.client.get("/readyz")
    error = error_of(response)
    assert (error["code"], "loading" in error["message"]) == (503, True)
    assert 1 <= int(response.headers["retry-after"]) <= 59


def test_draining(server: RunningServer) -> None:
    """While the server drains, /readyz and new requests get 503 with Retry-After."""
    server.engine.is_draining = True
    for response in (server.client.get("/readyz"), server.generate()):
        error = error_of(response)
        assert (error["code"], "shutting down" in error["message"]) == (503, True)
        assert 1 <= int(response.headers["retry-after"]) <= 59


def test_model_load_failure(tmp_path: Path) -> None:
    """After a load failure /readyz and requests get 503 without Retry-After."""
    engine, settings = FakeEngine(), Settings(home=tmp_path)
    engine.load_failure = "OSError: /secret/place"
    resources = ResourceStore.open(settings.database_url, settings.data_dir())
    _, key = resources.create(MODEL, "DIFFUSION")

    async def responses() -> list[httpx.Response]:
        transport = httpx.ASGITransport(create_app(settings, engine, resources))
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
            body, headers = {"model": MODEL, "prompt": "a fox"}, {"authorization": f"Bearer {key}"}
            return [
                await client.get("/readyz"),
                await client.post(PATH, json=body, headers=headers),
            ]

    for response in asyncio.run(responses()):
        error = error_of(response)
        assert (error["code"], "could not be loaded" in error["message"]) == (503, True)
        assert "retry-after" not in response.headers and "secret" not in response.text
    resources.close()


def test_database_outage_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Clients get 503, and the log has the cause once."""
    with running(tmp_path) as server:
        with sqlite3.connect(tmp_path / "daguerre.db") as database:
            database.execute("DROP TABLE daguerre_resources")
        database.close()
        for _ in range(2):
            response = server.generate()
            assert error_of(response)["code"] == 503
            assert 1 <= int(response.headers["retry-after"]) <= 59
    [record] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "cannot read the API keys" in record.getMessage()
    assert "no such table" in record.getMessage() and "SELECT" not in record.getMessage()


def test_outage_log(caplog: pytest.LogCaptureFixture) -> None:
    """A lasting outage is logged once per interval; a full queue is not an outage."""
    now_s = [0.0]
    outages, broken = OutageLog(lambda: now_s[0]), UnavailableError("cannot read the API keys")
    broken.__cause__ = OSError("gone")
    for moment_s in (0.0, THROTTLE_S - 0.1, THROTTLE_S, THROTTLE_S + 0.1):
        now_s[0] = moment_s
        outages.record(QueueFullError("full"))
        outages.record(broken)
    assert len(caplog.records) == 2
    other = UnavailableError("the image store is unavailable")
    other.__cause__ = broken.__cause__
    outages.record(other)  # another outage is logged at once
    assert len(caplog.records) == 3
    assert outages.recent() == [broken.message, other.message]
    now_s[0] += RECENT_S + 1
    assert outages.recent() == []


def samples(text: str) -> dict[str, float]:
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def test_metrics(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Requests are counted once, by route and status, next to the metrics of the engine."""
    with running(tmp_path_factory.mktemp("metrics")) as server:
        server.generate()
        server.client.post("/images/generations", headers={"authorization": f"Bearer {server.key}"})
        server.generate(n=2)
        server.client.get("/<script>")
        response = server.client.get("/metrics")
        assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
        found = samples(response.text)
    count = 'daguerre_http_requests_total{route="/v1/images/generations",status="%s"}'
    assert (found[count % "200"], found[count % "400"]) == (1, 2)
    assert found['daguerre_http_requests_total{route="other",status="404"}'] == 1
    assert "<script>" not in response.text and "_created" not in response.text
    assert found[f'daguerre_build_info{{version="{__version__}"}}'] == 1
    assert sys.platform != "linux" or found["process_open_fds"] > 0
    assert (
        found['daguerre_stage_duration_seconds_count{model="stable-image-ultra",stage="file"}'] == 1
    )
    duration = 'daguerre_stage_duration_seconds_sum{model="stable-image-ultra",stage="denoise"}'
    assert found[duration] == 0.03
    assert (
        found['daguerre_http_request_duration_seconds_count{route="/v1/images/generations"}'] == 3
    )
    assert found['daguerre_jobs_total{model="stable-image-ultra",outcome="succeeded"}'] == 1
    assert found['daguerre_http_errors_total{error_type="InvalidRequestError"}'] == 2
    assert (found["daguerre_forward_passes_total"], found["daguerre_batch_rows_total"]) == (7, 21)
    assert found["daguerre_ready"] == 1
    assert found['daguerre_worker_up{worker="0"}'] == 1
    assert found['daguerre_worker_restarts_total{reason="crash",worker="0"}'] == 0
    assert found['daguerre_worker_mismatched_models{worker="0"}'] == 0
    assert found['daguerre_batch_certificates{result="exact"}'] == 1
    assert found['daguerre_batch_certificates{result="inexact"}'] == 1


def request_records(caplog: pytest.LogCaptureFixture, count: int) -> list[logging.LogRecord]:
    """Waits for `count` records, because the last is written after its response."""

    def found() -> list[logging.LogRecord]:
        return [record for record in caplog.records if record.name == "daguerre.requests"]

    wait_until(lambda: len(found()) == count)
    return found()


def test_log_line(server: RunningServer, caplog: pytest.LogCaptureFixture) -> None:
    """Each request is logged in one line, without prompt or key."""
    caplog.set_level(logging.DEBUG)
    prompts = {"prompt": "unspeakable words", "negative_prompt": "worse words"}
    body = {"model": MODEL, "size": "1344x768", **prompts}
    server.post(body, x_request_id="good-1")
    server.post({**body, "n": 2}, x_request_id="bad-1")
    server.post(body, key="inf-stolen", x_request_id="bad-2")
    server.post({**body, "unspeakable field": 2}, x_request_id="bad-3")
    server.client.get(f"/nowhere%0A{'x' * 300}?query")
    lines = [record.getMessage() for record in request_records(caplog, 5)]
    pattern = (
        r"request_id=good-1 client=127\.0\.0\.1 resource=DIFFUSION method=POST"
        r" route=/v1/images/generations status=200 total_ms=\d+"
        r" size=1344x768 steps=4 queue_ms=2 inference_ms=36"
    )
    assert re.fullmatch(pattern, lines[0])
    assert (
        "request_id=bad-1 client=127.0.0.1 resource=DIFFUSION" in lines[1]
        and "status=400" in lines[1]
    )
    assert lines[1].endswith(" error_type=InvalidRequestError param=n")
    assert "request_id=bad-2 client=127.0.0.1 resource=-" in lines[2] and "status=401" in lines[2]
    assert lines[2].endswith(" error_type=AuthenticationError")
    assert lines[3].endswith(" error_type=InvalidRequestError")
    assert lines[4].endswith(f" path=/nowhere%0A{'x' * 189}")
    ours = [record.getMessage() for record in caplog.records if "daguerre" in record.name]
    for secret in ("unspeakable", "worse", server.key, "inf-stolen"):
        assert not [line for line in ours if secret in line]  # httpx logs the reason phrase


def test_probes_are_logged_at_debug(
    server: RunningServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Probes of load balancers do not fill the log."""
    caplog.set_level(logging.DEBUG)
    for path in ("/healthz", "/health", "/nowhere"):
        server.client.get(path)
    levels = [record.levelno for record in request_records(caplog, 3)]
    assert levels == [logging.DEBUG, logging.DEBUG, logging.INFO]


def test_engine_is_started_and_stopped(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The engine starts and stops once, with the app."""
    with running(tmp_path_factory.mktemp("lifespan")) as server:
        assert (server.engine.num_starts, server.engine.num_stops) == (1, 0)
    assert (server.engine.num_starts, server.engine.num_stops) == (1, 1)


def test_sweep_ends_before_the_engine_stops(
    store: ResourceStore, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At shutdown the sweep of the image store is cancelled, and its cleanup is awaited."""
    engine = FakeEngine()
    events: list[str] = []

    async def sweep(self: ImageStore) -> None:
        try:
            events.append("started")
            await asyncio.sleep(PATIENCE_S)
        finally:
            await asyncio.sleep(0)
            events.append("ended")

    async def main() -> None:
        app = create_app(settings, engine, store)
        async with app.router.lifespan_context(app):
            while not events:
                await asyncio.sleep(0)

    async def stop() -> None:
        events.append("stopped")

    monkeypatch.setattr(ImageStore, "sweep", sweep)
    monkeypatch.setattr(engine, "stop", stop)
    asyncio.run(main())
    assert events == ["started", "ended", "stopped"]


def test_long_method_is_truncated(server: RunningServer) -> None:
    """The error of a long method does not repeat all of it."""
    response = server.client.request("X" * 5000, PATH)
    assert response.status_code == 405
    assert len(response.content) < 500
