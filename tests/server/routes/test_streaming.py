"""Streams: events, comments, their order, errors and disconnects."""

from __future__ import annotations

import base64
import io
import json
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from conftest import MODEL, PATH, RunningServer, error_of, running, wait_until
from PIL import Image

from daguerre.errors import (
    InternalError,
    InvalidRequestError,
    NotReadyError,
    QueueFullError,
    RateLimitError,
)
from daguerre.server.idempotency import requests


@dataclass(frozen=True)
class Block:
    """A block of a stream: a comment, or an event with its data."""

    comment: str = ""
    event: str = ""
    data: str = ""

    @property
    def fields(self) -> dict[str, Any]:
        fields: dict[str, Any] = json.loads(self.data)
        return fields

    @property
    def image(self) -> Image.Image:
        return Image.open(io.BytesIO(base64.b64decode(self.fields["b64_json"], validate=True)))


def blocks(text: str) -> Iterator[Block]:
    """Parses the exact form that the server writes."""
    assert text.endswith("\n\n")
    for block in text[:-2].split("\n\n"):
        lines = block.split("\n")
        if lines[0].startswith(":"):
            assert len(lines) == 1
            yield Block(comment=lines[0].removeprefix(": "))
        else:
            event, data = lines
            yield Block("", event.removeprefix("event: "), data.removeprefix("data: "))


def stream(server: RunningServer, **fields: object) -> list[Block]:
    response = server.generate(stream=True, **fields)
    assert response.status_code == 200, response.text
    return list(blocks(response.text))


def test_order(server: RunningServer) -> None:
    """Queue position, steps, each preview after its step, and the image."""
    received = stream(server, partial_images=3)
    assert [one.comment or one.event for one in received] == [
        "queued 0",
        "step 1/4",
        "image_generation.partial_image",
        "step 2/4",
        "image_generation.partial_image",
        "step 3/4",
        "image_generation.partial_image",
        "step 4/4",
        "image_generation.completed",
    ]
    previews = [one for one in received if one.event.endswith("partial_image")]
    assert [one.fields["partial_image_index"] for one in previews] == [0, 1, 2]
    assert [np.asarray(one.image).max() for one in previews] == [1, 2, 3]


def test_headers(server: RunningServer) -> None:
    """The headers disable buffering and caching, and contain seed and request ID."""
    response = server.generate(stream=True)
    headers = response.headers
    assert headers["content-type"] == "text/event-stream"
    assert headers["cache-control"] == "no-cache" and headers["x-accel-buffering"] == "no"
    assert headers["transfer-encoding"] == "chunked" and headers["x-request-id"]
    assert headers["x-seed"] == str(server.engine.params[0].seed)


def test_event_fields(server: RunningServer) -> None:
    """Events have exactly OpenAI's fields, with values of OpenAI's types."""
    started = int(time.time())
    received = stream(server, partial_images=1, size="1344x768", quality="hd", output_format="jpeg")
    preview, last = (one.fields for one in received if one.event)
    common = {"type", "b64_json", "created_at", "size", "quality", "background", "output_format"}
    assert set(preview) == common | {"partial_image_index"}
    assert set(last) == common | {"usage"}
    for fields in (preview, last):
        assert (fields["size"], fields["output_format"]) == ("1344x768", "jpeg")
        assert (fields["quality"], fields["background"]) == ("auto", "opaque")
        assert started <= fields["created_at"] <= time.time()
    assert preview["type"] == "image_generation.partial_image"
    assert last["type"] == "image_generation.completed"
    assert last["usage"]["input_tokens_details"] == {"image_tokens": 0, "text_tokens": 0}


@pytest.mark.parametrize("output_format", ["png", "jpeg"])
def test_previews_change_nothing(server: RunningServer, output_format: str) -> None:
    """The image of a stream with previews has the bytes of one without a stream."""
    plain = server.generate(seed=3, output_format=output_format).json()["data"][0]["b64_json"]
    for count in range(4):
        received = stream(server, seed=3, output_format=output_format, partial_images=count)
        assert received[-1].fields["b64_json"] == plain
        previews = [one.image for one in received if one.event.endswith("partial_image")]
        assert len(previews) == count
        assert {(image.format, image.size) for image in previews} <= {
            (output_format.upper(), (64, 64))
        }


def test_few_steps(server: RunningServer) -> None:
    """The number of previews is limited by the number of steps."""
    server.engine.num_steps = 2
    events = [one.event for one in stream(server, partial_images=3) if one.event]
    assert events == ["image_generation.partial_image", "image_generation.completed"]


@pytest.mark.parametrize("fields", [{"partial_images": 2}, {"partial_images": 1, "stream": False}])
def test_previews_need_a_stream(server: RunningServer, fields: dict[str, object]) -> None:
    """`partial_images` without `stream` is an error that names the field."""
    response = server.generate(**fields)
    assert error_of(response)["param"] == "partial_images" and response.status_code == 400


@pytest.mark.parametrize("error", [QueueFullError("full"), NotReadyError("loading")])
def test_error_before_the_start(server: RunningServer, error: Exception) -> None:
    """An error before the first event is an ordinary response with status and Retry-After."""
    server.engine.refusal = error
    response = server.generate(stream=True)
    assert error_of(response)["message"] == str(error)
    assert response.status_code == 503 and 1 <= int(response.headers["retry-after"]) <= 59


@pytest.mark.parametrize(
    "error", [InternalError("broken"), InvalidRequestError("too long", param="prompt")]
)
def test_failure(server: RunningServer, caplog: pytest.LogCaptureFixture, error: Any) -> None:
    """An error of the job is the last event, and its status is logged."""
    caplog.set_level(logging.INFO, "daguerre.requests")
    server.engine.failure = error
    *_, last = stream(server)
    assert last.event == "error"
    assert last.fields == {
        "error": {
            "code": error.status,
            "message": error.message,
            "type": error.type,
            "param": error.param,
        }
    }
    wait_until(lambda: f"status={error.status}" in caplog.text)


def test_internal_error(server: RunningServer, caplog: pytest.LogCaptureFixture) -> None:
    """The event of an internal error has the request ID and no details; the log has both."""
    server.engine.failure = RuntimeError("secret detail")
    response = server.generate(stream=True)
    *_, last = blocks(response.text)
    request_id = response.headers["x-request-id"]
    assert request_id in last.fields["error"]["message"] and "secret" not in response.text
    wait_until(lambda: "secret detail" in caplog.text)
    server.engine.reset()
    assert server.generate().status_code == 200


def test_deadline(tmp_path: Path) -> None:
    """A stream that exceeds its deadline ends with a 504 as an event."""
    with running(tmp_path, request_timeout_s=0.3) as server:
        server.engine.is_held = True
        *_, last = stream(server)
        assert (last.event, last.fields["error"]["code"]) == ("error", 504)
        assert (server.engine.num_cancelled, server.engine.num_running) == (1, 0)


def test_heartbeats(server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream without progress sends comments, and continues afterwards."""
    monkeypatch.setattr(requests, "HEARTBEAT_S", 0.02)
    server.engine.is_held = True
    body = {"model": MODEL, "prompt": "x", "stream": True}
    headers = {"authorization": f"Bearer {server.key}"}
    with server.client.stream("POST", PATH, json=body, headers=headers) as response:
        text = ""
        for part in response.iter_text():
            text += part
            if text.count(": waiting\n\n") >= 3:
                server.engine.is_held = False
    received = [one.comment or one.event for one in blocks(text)]
    assert received[:4] == ["queued 0", "waiting", "waiting", "waiting"]
    assert received[-2:] == ["step 4/4", "image_generation.completed"]
    assert server.engine.num_cancelled == 0


def test_disconnect(server: RunningServer, caplog: pytest.LogCaptureFixture) -> None:
    """A disconnect cancels the job and is logged as status 499."""
    caplog.set_level(logging.INFO, "daguerre.requests")
    server.engine.is_held = True
    body = json.dumps({"model": MODEL, "prompt": "x", "stream": True}).encode()
    with server.connection() as connection:
        connection.sendall(server.head(len(body)) + body)
        wait_until(lambda: server.engine.num_running == 1)
        assert connection.recv(100).startswith(b"HTTP/1.1 200 OK")
    wait_until(lambda: server.engine.num_cancelled == 1)
    wait_until(lambda: "status=499" in caplog.text)


def test_rate_limit(server: RunningServer) -> None:
    """A stream uses one permit; one that fails returns it."""
    key = server.limited(1)
    body = {"model": MODEL, "prompt": "x", "stream": True}
    server.engine.failure = InternalError("broken")
    assert "event: error" in server.post(body, key=key).text
    server.engine.failure = None
    assert server.post(body, key=key).headers["x-ratelimit-remaining-requests"] == "0"
    refused = server.post(body, key=key)
    assert error_of(refused)["type"] == RateLimitError.type and refused.status_code == 429


def test_keep_alive(server: RunningServer) -> None:
    """The connection serves another request after a stream."""
    with httpx.Client(base_url=server.settings.public_base_url(), timeout=30) as client:
        headers = {"authorization": f"Bearer {server.key}"}
        body = {"model": MODEL, "prompt": "x"}
        for extra in ({"stream": True}, {}, {"stream": True}):
            response = client.post(PATH, json={**body, **extra}, headers=headers)
            assert response.status_code == 200
            assert "connection" not in response.headers


def test_shutdown(tmp_path: Path) -> None:
    """After a second signal the streams end with an error event."""
    with running(tmp_path) as server:
        server.engine.is_held = True
        body = json.dumps({"model": MODEL, "prompt": "x", "stream": True}).encode()
        with server.connection() as connection:
            connection.sendall(server.head(len(body)) + body)
            wait_until(lambda: server.engine.num_running == 1)
            server.stop_at_once()
            data = b""
            while part := connection.recv(65536):
                data += part
    assert b"event: error" in data and b"the server is shutting down" in data


def test_queue_position(server: RunningServer) -> None:
    """The queue position is sent again whenever it changes."""
    server.engine.is_held, server.engine.place = True, 2
    body = {"model": MODEL, "prompt": "x", "stream": True}
    headers = {"authorization": f"Bearer {server.key}"}
    with server.client.stream("POST", PATH, json=body, headers=headers) as response:
        text = ""
        for part in response.iter_text():
            text += part
            if f"queued {server.engine.place}\n" not in text:
                continue
            if server.engine.place:
                server.engine.place -= 1
            else:
                server.engine.is_held = False
    received = [one.comment or one.event for one in blocks(text)]
    assert received[:4] == ["queued 2", "queued 1", "queued 0", "step 1/4"]


@pytest.mark.parametrize(
    ("fields", "headers", "wants_progress"),
    [({}, {}, False), ({"stream": True}, {}, True), ({}, {"idempotency_key": "place-1"}, True)],
)
def test_wants_progress(
    server: RunningServer, fields: dict[str, bool], headers: dict[str, str], wants_progress: bool
) -> None:
    """Streams request progress, and so do jobs that a stream may join."""
    body = {"model": MODEL, "prompt": "x", **fields}
    assert server.post(body, **headers).status_code == 200
    assert server.engine.contexts[-1].wants_progress == wants_progress
