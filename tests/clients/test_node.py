"""The packages for Node: `openai`, and the AI SDK with each provider that can reach this server.

`call.mjs` makes the calls. Two lines of the AI SDK are run, because what they send differs.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

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

NO_NODE = why_no_node()
pytestmark = [
    pytest.mark.timeout(TIMEOUT_S),
    pytest.mark.skipif(NO_NODE is not None, reason=NO_NODE or ""),
]
# Those that pass on what they do not know, and so can send a seed.
OPEN = ["openai", "ai-7-compatible", "ai-7-heroku", "ai-6-compatible", "ai-6-heroku"]
# OpenAI's own provider sends OpenAI's fields alone.
CLOSED = ["ai-7-openai", "ai-6-openai"]


def call(client: str, service: Service, folder: Path, **fields: object) -> Path:
    """Where the client has left its image, or with `.refused` what it was told instead."""
    file = folder / "image"
    run(["node", str(HERE / "call.mjs"), client, str(file), json.dumps(fields)], service, folder)
    return file


@pytest.mark.parametrize("client", OPEN + CLOSED)
def test_default_call(client: str, service: Service, tmp_path: Path) -> None:
    """The shortest call gives a picture of the default size."""
    assert_picture(call(client, service, tmp_path).read_bytes())


@pytest.mark.parametrize("client", OPEN)
def test_seed(client: str, service: Service, tmp_path: Path) -> None:
    """The same seed gives the bytes that a plain request gets."""
    fields = {"seed": 7, "negative_prompt": "crowded", "aspect_ratio": "16:9"}
    file = call(client, service, tmp_path, **fields).read_bytes()
    assert_picture(file, (1344, 768))
    assert file == image(service, prompt=PROMPT, **fields)


@pytest.mark.parametrize("client", CLOSED)
def test_provider_without_a_seed(client: str, service: Service, tmp_path: Path) -> None:
    """OpenAI's own provider does not send the seed, as the guide says."""
    file = call(client, service, tmp_path, seed=7)
    assert file.read_bytes() != image(service, prompt=PROMPT, seed=7)


@pytest.mark.parametrize("client", ["openai", "ai-7-compatible", "ai-6-compatible"])
def test_refusal(client: str, service: Service, tmp_path: Path) -> None:
    """The client shows the server's status and its words, and makes no file."""
    file = call(client, service, tmp_path, size="512x512")
    told = json.loads(file.with_suffix(".refused").read_text())
    assert told["status"] == 400 and "512x512" in told["message"]
    assert not file.exists()
