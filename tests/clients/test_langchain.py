"""LangChain's `DallEAPIWrapper`, which reads a link but cannot request one.

It runs in its own virtual environment, against a server whose default response is a link.
"""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest

from clients.conftest import (
    LANGCHAIN,
    PROMPT,
    TIMEOUT_S,
    Service,
    assert_picture,
    image,
    run,
    why_no_langchain,
)

NO_LANGCHAIN = why_no_langchain()
pytestmark = [
    pytest.mark.timeout(TIMEOUT_S),
    pytest.mark.skipif(NO_LANGCHAIN is not None, reason=NO_LANGCHAIN or ""),
]
PROGRAM = """
import os, sys
import openai
from langchain_community.utilities.dalle_image_generator import DallEAPIWrapper

wrapper = DallEAPIWrapper(
    model=os.environ["DIFFUSION_MODEL_ID"],
    base_url=os.environ["DIFFUSION_URL"] + "/v1",
    api_key=os.environ["DIFFUSION_KEY"],
    size=sys.argv[2],
)
try:
    print(wrapper.run(sys.argv[1]))
except openai.BadRequestError as error:
    print(error)
"""


def test_link(links: Service, tmp_path: Path) -> None:
    """The wrapper returns a link to an image of its prompt and size. A plain request with the seed
    in the file returns the same bytes."""
    link = run([str(LANGCHAIN), "-c", PROGRAM, PROMPT, "1344x768"], links, tmp_path).strip()
    assert link.startswith(links.url + "/v1/images/files/")
    answer = httpx.get(link)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    assert_picture(answer.content, (1344, 768))
    seed = re.search(rb"<daguerre:Seed>(\d+)</daguerre:Seed>", answer.content)
    assert seed
    fields = {"seed": int(seed[1]), "size": "1344x768", "response_format": "b64_json"}
    assert answer.content == image(links, prompt=PROMPT, **fields)


def test_refusal(links: Service, tmp_path: Path) -> None:
    """An unsupported size raises OpenAI's `BadRequestError` with the server's message."""
    told = run([str(LANGCHAIN), "-c", PROGRAM, PROMPT, "512x512"], links, tmp_path)
    assert told.startswith("Error code: 400 - size is")
    assert "512x512" in told and "1344x768" in told
