"""The `openai` package against the server."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import openai
import pytest
from conftest import MODEL, RunningServer, wait_until
from openai.types import ImageGenCompletedEvent, ImageGenPartialImageEvent

from daguerre.errors import InternalError, QueueFullError


@pytest.fixture
def client(server: RunningServer) -> Iterator[openai.OpenAI]:
    address = server.settings.public_base_url() + "/v1"
    with openai.OpenAI(base_url=address, api_key=server.key, max_retries=0) as client:
        yield client


def test_default_call(client: openai.OpenAI, server: RunningServer) -> None:
    """A call without optional arguments returns an image."""
    answer = client.images.generate(model=MODEL, prompt="a red fox")
    assert answer.data and answer.data[0].b64_json and answer.created > 1_700_000_000
    assert base64.b64decode(answer.data[0].b64_json).startswith(b"\x89PNG")
    assert answer.data[0].revised_prompt == "" and answer.data[0].url is None
    assert server.engine.params[0].prompt == "a red fox"


def test_extra_body(client: openai.OpenAI, server: RunningServer) -> None:
    """Fields that OpenAI does not have are sent in `extra_body`."""
    extra = {"seed": 123, "negative_prompt": "crowded", "aspect_ratio": "16:9"}
    client.images.generate(model=MODEL, prompt="x", extra_body=extra)
    params = server.engine.params[0]
    assert (params.seed, params.negative_prompt) == (123, "crowded")
    assert (params.width, params.height) == (1344, 768)


def test_default_arguments_of_applications(client: openai.OpenAI) -> None:
    """The arguments that applications send by default are accepted."""
    client.images.generate(
        model=MODEL,
        prompt="x",
        n=1,
        size="1024x1024",
        quality="standard",
        style="vivid",
        background="auto",
        moderation="auto",
        response_format="b64_json",
        output_format="jpeg",
        output_compression=80,
        user="someone",
    )


def test_raw_headers(client: openai.OpenAI) -> None:
    """The package gives access to the seed and the request ID."""
    raw = client.images.with_raw_response.generate(model=MODEL, prompt="x")
    assert int(raw.headers["x-seed"]) >= 1
    assert raw.parse()._request_id == raw.headers["x-request-id"]


def test_models(client: openai.OpenAI) -> None:
    """The list and a single model parse as the package's types."""
    assert [model.id for model in client.models.list()] == [MODEL]
    assert client.models.retrieve(MODEL).owned_by == "daguerre"


def test_wrong_key(client: openai.OpenAI) -> None:
    """401 is `AuthenticationError` with the server's message."""
    with pytest.raises(openai.AuthenticationError, match="the key is unknown") as caught:
        client.with_options(api_key="inf-wrong").images.generate(model=MODEL, prompt="x")
    assert caught.value.type == "authentication_error"


def test_other_model(client: openai.OpenAI) -> None:
    """403 is `PermissionDeniedError`."""
    with pytest.raises(openai.PermissionDeniedError, match="do not have access to that model"):
        client.images.generate(model="dall-e-3", prompt="x")


def test_bad_field(client: openai.OpenAI) -> None:
    """400 is `BadRequestError` with message, type, param and code."""
    with pytest.raises(openai.BadRequestError, match="size is") as caught:
        client.images.generate(model=MODEL, prompt="x", size="512x512")
    assert (caught.value.param, caught.value.type) == ("size", "invalid_request_error")
    assert str(caught.value.code) == "400" and caught.value.request_id


def test_stream(client: openai.OpenAI, server: RunningServer) -> None:
    """Previews and the image parse as the package's events."""
    extra = {"seed": 5, "aspect_ratio": "16:9"}
    with client.images.generate(
        model=MODEL, prompt="x", stream=True, partial_images=2, quality="low", extra_body=extra
    ) as stream:
        *partials, last = stream
    assert [type(event) for event in partials] == [ImageGenPartialImageEvent] * 2
    assert isinstance(last, ImageGenCompletedEvent)
    for event in (*partials, last):
        type(event).model_validate(event.model_dump())  # the package itself does not validate
        assert (event.size, event.quality, event.background) == ("1344x768", "low", "opaque")
        assert not event.model_extra
    plain = client.images.generate(model=MODEL, prompt="x", extra_body=extra)
    assert plain.data and plain.data[0].b64_json == last.b64_json


def test_stream_error(client: openai.OpenAI, server: RunningServer) -> None:
    """An error event raises the package's error with the server's message."""
    server.engine.failure = InternalError("the image could not be generated")
    with pytest.raises(openai.APIError, match="the image could not be generated") as caught:
        list(client.images.generate(model=MODEL, prompt="x", stream=True))
    assert caught.value.type == "server_error"


def test_closed_stream(client: openai.OpenAI, server: RunningServer) -> None:
    """Closing the stream cancels the job."""
    server.engine.is_held = True
    stream = client.images.generate(model=MODEL, prompt="x", stream=True)
    wait_until(lambda: server.engine.num_running == 1)
    stream.close()
    wait_until(lambda: server.engine.num_cancelled == 1)


def test_rate_limit(client: openai.OpenAI, server: RunningServer) -> None:
    """429 is `RateLimitError`."""
    limited = client.with_options(api_key=server.limited(1))
    limited.images.generate(model=MODEL, prompt="x")
    with pytest.raises(openai.RateLimitError):
        limited.images.generate(model=MODEL, prompt="x")


def test_full_queue(client: openai.OpenAI, server: RunningServer) -> None:
    """503 is `InternalServerError` with `Retry-After`."""
    server.engine.refusal = QueueFullError("the queue is full", retry_after_s=1)
    with pytest.raises(openai.InternalServerError) as caught:
        client.images.generate(model=MODEL, prompt="x")
    assert caught.value.status_code == 503
    assert caught.value.response.headers["retry-after"] == "1"


def test_client_timeout(server: RunningServer) -> None:
    """A timeout of the package closes the connection and cancels the job."""
    server.engine.is_held = True
    address = server.settings.public_base_url() + "/v1"
    with openai.OpenAI(base_url=address, api_key=server.key, max_retries=0, timeout=0.3) as client:
        with pytest.raises(openai.APITimeoutError):
            client.images.generate(model=MODEL, prompt="x")
    wait_until(lambda: server.engine.num_cancelled == 1)
