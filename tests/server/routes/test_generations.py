"""POST /images/generations: the response, its headers, and its failures."""

from __future__ import annotations

import base64
import io
import re
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from conftest import PATH, RunningServer, error_of, flat_colour, running, wait_until
from PIL import Image

from daguerre.errors import InternalError, NotReadyError, QueueFullError, SettingsError
from daguerre.params import SIZES


def test_response_body(server: RunningServer) -> None:
    """The body is `created` and `data`: one PNG with the pixels, and an empty revised_prompt."""
    before = int(time.time())
    response = server.generate(seed=7)
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    assert list(body) == ["created", "data"] and type(body["created"]) is int
    assert before <= body["created"] <= time.time()
    [entry] = body["data"]
    assert list(entry) == ["b64_json", "revised_prompt"] and entry["revised_prompt"] == ""
    image = Image.open(io.BytesIO(base64.b64decode(entry["b64_json"], validate=True)))
    assert (image.format, image.size, image.mode) == ("PNG", (1024, 1024), "RGB")
    assert image.getpixel((500, 500)) == flat_colour(server.engine.params[0])


@pytest.mark.parametrize("ratio", SIZES)
def test_size_of_the_file(server: RunningServer, ratio: str) -> None:
    """The file has the requested size in pixels."""
    data = server.generate(aspect_ratio=ratio, output_format="jpeg").json()["data"]
    image = Image.open(io.BytesIO(base64.b64decode(data[0]["b64_json"])))
    assert (image.format, image.size) == ("JPEG", SIZES[ratio])


def test_seed_header(server: RunningServer) -> None:
    """x-seed is the engine's seed; a request with it gets the same bytes."""
    drawn = server.generate()
    seed = int(drawn.headers["x-seed"])
    assert seed == server.engine.params[0].seed
    again = server.generate(seed=seed)
    assert again.headers["x-seed"] == str(seed)
    assert again.json()["data"] == drawn.json()["data"]
    assert server.generate(seed=seed % 1000 + 1).json()["data"] != drawn.json()["data"]


def test_mode_header(server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A header marks responses whose bytes may vary with batching."""
    assert "x-batching-mode" not in server.generate().headers
    infos = tuple(replace(info, batching="throughput") for info in server.engine.model_infos)
    monkeypatch.setattr(server.engine, "model_infos", infos)
    assert server.generate().headers["x-batching-mode"] == "throughput"


def test_server_timing(server: RunningServer) -> None:
    """server-timing contains the five stages in milliseconds."""
    found = re.findall(r"(\w+);dur=([\d.]+)", server.generate().headers["server-timing"])
    assert [name for name, _ in found] == ["queue", "encode", "denoise", "decode", "file"]
    assert [float(ms) for _, ms in found[:4]] == [1.5, 2.5, 30.0, 4.0]
    assert 0 < float(found[4][1]) < 10_000


@pytest.mark.parametrize(
    ("sent", "is_accepted"),
    [
        ("my-request_1.2", True),
        ("x" * 128, True),
        ("x" * 129, False),
        ("two words", False),
        ("<script>", False),
        ("", False),
        ("id;x=1", False),
    ],
)
def test_request_id(server: RunningServer, sent: str, is_accepted: bool) -> None:
    """A well-formed request ID of the client is returned; any other is replaced."""
    for path in ("/healthz", "/nowhere"):
        got = server.client.get(path, headers={"x-request-id": sent}).headers["x-request-id"]
        assert (got == sent) == is_accepted
        assert re.fullmatch(r"[A-Za-z0-9._-]{1,128}", got)


def test_request_ids_differ(server: RunningServer) -> None:
    """Requests without an ID get different ones."""
    ids = {server.client.get("/healthz").headers["x-request-id"] for _ in range(5)}
    assert len(ids) == 5


@pytest.mark.parametrize("path", ["/images/generations", PATH, PATH + "?api-version=2024"])
def test_paths(server: RunningServer, path: str) -> None:
    """The path works with and without /v1; a query is ignored."""
    body = {"model": server.resource.model, "prompt": "x"}
    headers = {"authorization": f"Bearer {server.key}"}
    assert server.client.post(path, json=body, headers=headers).status_code == 200


@pytest.mark.parametrize("fails_late", [False, True])
@pytest.mark.parametrize("error", [QueueFullError("the queue is full"), NotReadyError("draining")])
def test_unavailable(server: RunningServer, error: Exception, fails_late: bool) -> None:
    """A full queue or a server that is not ready is a 503 with a Retry-After from 1 to 59."""
    server.engine.failure, server.engine.refusal = (error, None) if fails_late else (None, error)
    response = server.generate()
    answer = error_of(response)
    assert (response.status_code, answer["type"]) == (503, "server_error")
    assert answer["message"] == str(error)
    assert 1 <= int(response.headers["retry-after"]) <= 59


@pytest.mark.parametrize(
    ("num_queued", "num_running", "job_interval_s", "expected"),
    [(8, 2, 3.0, 30), (0, 1, 3.0, 3), (64, 1, 30.0, 59), (5, 0, 0.1, 1), (9, 4, 4.1, 54)],
)
def test_retry_after_is_estimated(
    server: RunningServer,
    num_queued: int,
    num_running: int,
    job_interval_s: float,
    expected: int,
) -> None:
    """Retry-After is the total time of all accepted jobs, concurrent or not."""
    engine = server.engine
    engine.refusal = QueueFullError("the queue is full")
    engine.num_queued, engine.num_running = num_queued, num_running
    engine.job_interval_s = job_interval_s
    assert server.generate().headers["retry-after"] == str(expected)


def test_retry_after_of_the_engine(server: RunningServer) -> None:
    """A Retry-After from the engine is clamped to 1 to 59."""
    for said, expected in ((7, "7"), (0, "1"), (600, "59")):
        server.engine.refusal = QueueFullError("the queue is full", retry_after_s=said)
        assert server.generate().headers["retry-after"] == expected


def test_loading(server: RunningServer) -> None:
    """A model that is loading is a 503 with a Retry-After."""
    server.engine.is_ready = False
    response = server.generate()
    assert error_of(response)["code"] == 503
    assert 1 <= int(response.headers["retry-after"]) <= 59


@pytest.mark.parametrize("fails_late", [False, True])
@pytest.mark.parametrize("error", [RuntimeError("secret detail"), InternalError("broken")])
def test_engine_failure(
    server: RunningServer,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    fails_late: bool,
) -> None:
    """A fault is a 500 with the usual body; only the log has the traceback, with the request ID."""
    server.engine.failure, server.engine.refusal = (error, None) if fails_late else (None, error)
    response = server.generate()
    answer = error_of(response)
    assert (response.status_code, answer["type"]) == (500, "server_error")
    assert "secret" not in response.text and "Traceback" not in response.text
    if isinstance(error, RuntimeError):
        request_id = response.headers["x-request-id"]
        assert request_id in answer["message"]
        [record] = [r for r in caplog.records if r.exc_info]
        assert request_id in record.getMessage()
        assert "secret detail" in (record.exc_text or "")
    server.engine.reset()
    assert server.generate().status_code == 200


def test_deadline(tmp_path_factory: pytest.TempPathFactory) -> None:
    """An image that misses its deadline is a 504, and its job is cancelled."""
    with running(tmp_path_factory.mktemp("deadline"), request_timeout_s=1.0) as server:
        server.engine.is_held = True
        started = time.monotonic()
        response = server.generate()
        error = error_of(response)
        assert (response.status_code, error["type"]) == (504, "server_error")
        assert time.monotonic() - started > 0.9
        assert (server.engine.num_cancelled, server.engine.num_running) == (1, 0)
        server.engine.is_held = False
        assert server.generate().status_code == 200


def test_client_disconnects(server: RunningServer) -> None:
    """A client that closes its connection cancels its own job only."""
    server.engine.is_held = True
    body = b'{"model":"stable-image-ultra","prompt":"x"}'
    with server.connection() as stays:
        stays.sendall(server.head(len(body)) + body)
        with server.connection() as leaves:
            leaves.sendall(server.head(len(body)) + body)
            wait_until(lambda: server.engine.num_running == 2)
        wait_until(lambda: server.engine.num_cancelled == 1)
        assert server.engine.num_running == 1
        server.engine.is_held = False
        assert stays.recv(100).startswith(b"HTTP/1.1 200 OK")
    assert server.engine.num_cancelled == 1


def test_concurrent_requests(server: RunningServer) -> None:
    """Concurrent requests each get their own image."""
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda seed: server.generate(seed=seed), range(1, 17)))
    assert [answer.headers["x-seed"] for answer in answers] == [str(s) for s in range(1, 17)]
    assert len({answer.json()["data"][0]["b64_json"] for answer in answers}) == 16


def test_settings_error_is_not_sent(
    server: RunningServer, caplog: pytest.LogCaptureFixture
) -> None:
    """A `SettingsError`, which may name files, is logged and not sent to the client."""
    server.engine.refusal = SettingsError("/home/somebody/secret.db cannot be read")
    error = error_of(server.generate())
    assert (error["code"], "secret" in error["message"]) == (500, False)
    assert "secret.db" in caplog.text
