"""The packages for Node: `openai`, and the AI SDK with each provider that can reach this server.

`call.mjs` makes the calls. Two versions of the AI SDK are run, because their requests differ.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from conftest import MODEL, RunningServer

from clients.conftest import (
    HERE,
    PROMPT,
    TIMEOUT_S,
    Service,
    assert_picture,
    image,
    run,
    why_no_node,
)
from daguerre.errors import InternalError

NO_NODE = why_no_node()
pytestmark = [
    pytest.mark.timeout(TIMEOUT_S),
    pytest.mark.skipif(NO_NODE is not None, reason=NO_NODE or ""),
]
# Clients that forward unknown fields, and so can send a seed.
OPEN = [
    "openai",
    "openai-url",
    "openai-stream",
    "ai-7-compatible",
    "ai-7-heroku",
    "ai-6-compatible",
    "ai-6-heroku",
]
# OpenAI's provider sends OpenAI's fields only.
CLOSED = ["ai-7-openai", "ai-6-openai"]


def call(client: str, service: Service, folder: Path, **fields: object) -> Path:
    """Path of the image that the client wrote, or with `.refused` of the error message."""
    file = folder / "image"
    run(["node", str(HERE / "call.mjs"), client, str(file), json.dumps(fields)], service, folder)
    return file


def without_a_model(server: RunningServer) -> Service:
    """A server with an engine that can fail and draws previews."""
    url, key = server.settings.public_base_url(), server.key
    variables = {"DIFFUSION_URL": url, "DIFFUSION_KEY": key, "DIFFUSION_MODEL_ID": MODEL}
    return Service(url, key, MODEL, os.environ | variables)


@pytest.mark.parametrize("client", OPEN + CLOSED)
def test_default_call(client: str, service: Service, tmp_path: Path) -> None:
    """The minimal call returns an image of the default size."""
    assert_picture(call(client, service, tmp_path).read_bytes())


@pytest.mark.parametrize("client", OPEN)
def test_seed(client: str, service: Service, tmp_path: Path) -> None:
    """The same seed gives the same bytes as a plain request."""
    fields = {"seed": 7, "negative_prompt": "crowded", "aspect_ratio": "16:9"}
    file = call(client, service, tmp_path, **fields).read_bytes()
    assert_picture(file, (1344, 768))
    assert file == image(service, prompt=PROMPT, **fields)


def test_failure_within_a_stream(server: RunningServer, tmp_path: Path) -> None:
    """An error after the start of the stream is thrown with the server's message."""
    server.engine.failure = InternalError("the image could not be made")
    file = call("openai-stream", without_a_model(server), tmp_path)
    told = json.loads(file.with_suffix(".refused").read_text())
    assert "the image could not be made" in told["message"]


def test_previews(server: RunningServer, tmp_path: Path) -> None:
    """The package yields each preview and the image, in order."""
    file = call("openai-previews", without_a_model(server), tmp_path, partial_images=3)
    partial, completed = "image_generation.partial_image", "image_generation.completed"
    told = json.loads(file.read_text())
    assert told == [[partial, 0], [partial, 1], [partial, 2], [completed, None]]


@pytest.mark.parametrize("client", CLOSED)
def test_provider_without_a_seed(client: str, service: Service, tmp_path: Path) -> None:
    """OpenAI's provider does not send the seed, as the guide says."""
    file = call(client, service, tmp_path, seed=7)
    assert file.read_bytes() != image(service, prompt=PROMPT, seed=7)


@pytest.mark.parametrize(
    "client", ["openai", "openai-url", "openai-stream", "ai-7-compatible", "ai-6-compatible"]
)
def test_refusal(client: str, service: Service, tmp_path: Path) -> None:
    """The client reports the server's status and message, and writes no file."""
    file = call(client, service, tmp_path, size="512x512")
    told = json.loads(file.with_suffix(".refused").read_text())
    assert told["status"] == 400 and "512x512" in told["message"]
    assert not file.exists()
