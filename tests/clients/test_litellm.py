"""LiteLLM with its `openai/` route, in its own virtual environment.

One process makes all calls, because importing LiteLLM takes seconds.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clients.conftest import (
    LITELLM,
    PROMPT,
    TIMEOUT_S,
    Service,
    assert_picture,
    image,
    run,
    why_no_litellm,
)

NO_LITELLM = why_no_litellm()
pytestmark = [
    pytest.mark.timeout(TIMEOUT_S),
    pytest.mark.skipif(NO_LITELLM is not None, reason=NO_LITELLM or ""),
]
PROGRAM = """
import base64, json, os, sys
import litellm

def call(file, **fields):
    answer = litellm.image_generation(
        model="openai/" + os.environ["DIFFUSION_MODEL_ID"],
        api_base=os.environ["DIFFUSION_URL"] + "/v1",
        api_key=os.environ["DIFFUSION_KEY"],
        prompt=sys.argv[1],
        **fields,
    )
    with open(file, "wb") as stream:
        stream.write(base64.b64decode(answer.data[0].b64_json))

call("default")
call("seed", seed=7, negative_prompt="crowded", aspect_ratio="16:9")
try:
    call("refused", n=2)
except litellm.BadRequestError as error:
    with open("refusal", "w") as stream:
        json.dump({"status": error.status_code, "message": error.message}, stream)
"""


@pytest.fixture(scope="module")
def folder(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directory with the files of the program."""
    folder = tmp_path_factory.mktemp("litellm")
    run([str(LITELLM), "-c", PROGRAM, PROMPT], service, folder)
    return folder


def test_default_call(folder: Path) -> None:
    """The minimal call returns an image of the default size."""
    assert_picture((folder / "default").read_bytes())


def test_seed(folder: Path, service: Service) -> None:
    """The same seed gives the same bytes as a plain request."""
    file = (folder / "seed").read_bytes()
    assert_picture(file, (1344, 768))
    plain = image(service, prompt=PROMPT, seed=7, negative_prompt="crowded", aspect_ratio="16:9")
    assert file == plain


def test_refusal(folder: Path) -> None:
    """A rejected request raises LiteLLM's `BadRequestError` with the server's message."""
    told = json.loads((folder / "refusal").read_text())
    assert told["status"] == 400 and "n is 2" in told["message"]
    assert not (folder / "refused").exists()
