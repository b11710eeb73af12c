"""The `openai` package for Python with the bundled model.

tests/server/test_openai_client.py covers errors, limits and timeouts.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator

import openai
import pytest
from openai.types import ImagesResponse

from clients.conftest import PROMPT, TIMEOUT_S, Service, assert_picture, image

pytestmark = pytest.mark.timeout(TIMEOUT_S)


@pytest.fixture
def client(service: Service) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=service.url + "/v1", api_key=service.key, max_retries=0) as client:
        yield client


def file_of(answer: ImagesResponse) -> bytes:
    assert answer.data and len(answer.data) == 1 and answer.data[0].b64_json
    return base64.b64decode(answer.data[0].b64_json, validate=True)


def test_default_call(client: openai.OpenAI, service: Service) -> None:
    """The minimal call returns an image of the default size."""
    assert_picture(file_of(client.images.generate(model=service.model, prompt=PROMPT)))


def test_extra_body(client: openai.OpenAI, service: Service) -> None:
    """Seed, negative prompt and aspect ratio are sent, and each changes the image."""
    extra: dict[str, object] = {"seed": 5, "negative_prompt": "the sun", "aspect_ratio": "16:9"}

    def file(fields: dict[str, object]) -> bytes:
        return file_of(
            client.images.generate(model=service.model, prompt=PROMPT, extra_body=fields)
        )

    whole = file(extra)
    assert_picture(whole, (1344, 768))
    assert whole == image(service, prompt=PROMPT, **extra)
    for other in ({"seed": 6}, {"negative_prompt": ""}, {"aspect_ratio": "1:1"}):
        assert file(extra | other) != whole


def test_stream(client: openai.OpenAI, service: Service) -> None:
    """A stream ends with the same file as a plain request."""
    fields: dict[str, object] = {"seed": 5, "output_format": "jpeg"}
    *_, last = client.images.generate(
        model=service.model, prompt=PROMPT, stream=True, partial_images=3, extra_body=fields
    )
    assert last.type == "image_generation.completed"
    file = base64.b64decode(last.b64_json, validate=True)
    assert_picture(file, format="JPEG")
    assert file == image(service, prompt=PROMPT, **fields)


def test_headers(client: openai.OpenAI, service: Service) -> None:
    """The random seed is in the headers, and gives the same bytes when it is sent."""
    raw = client.images.with_raw_response.generate(model=service.model, prompt=PROMPT)
    seed = int(raw.headers["x-seed"])
    assert raw.headers["x-request-id"] and "denoise;dur=" in raw.headers["server-timing"]
    again = client.images.generate(model=service.model, prompt=PROMPT, extra_body={"seed": seed})
    assert file_of(again) == file_of(raw.parse())
