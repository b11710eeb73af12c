"""Sizes that one model accepts besides those of every model."""

from __future__ import annotations

import warnings

import pytest

from daguerre.errors import InvalidRequestError
from daguerre.params import SIZES
from daguerre.protocol.parsing import parse_request
from daguerre.protocol.request import nearest_ratio

EXTRA = {"small": ("512x512", "768x512")}


def size_of(**given: object) -> tuple[int, int]:
    body = {"model": "small", "prompt": "a red fox", **given}
    params = parse_request(body, EXTRA).to_image_params()
    return params.width, params.height


def refusal(**given: object) -> str:
    with pytest.raises(InvalidRequestError) as caught:
        size_of(**given)
    return caught.value.message


def test_accepted_for_its_model() -> None:
    """Besides the sizes of every model; a matching aspect ratio may be sent, too."""
    assert size_of(size="512x512") == (512, 512)
    assert size_of(size="768x512", aspect_ratio="3:2") == (768, 512)
    assert size_of(size="1344x768") == (1344, 768)
    assert size_of(size="auto") == size_of() == size_of(aspect_ratio="1:1") == (1024, 1024)


def test_refused_for_others() -> None:
    """The message lists the sizes of the request's own model."""
    message = refusal(size="500x500")
    assert '"640x1536", "auto", "512x512", "768x512"' in message
    message = refusal(size="512x512", model="large")
    assert 'size is "512x512"' in message and message.count("512x512") == 1
    values: tuple[object, ...] = ([], {}, 512, ["512x512"])
    for value in values:
        assert "size is" in refusal(size=value)


def test_all_errors_at_once() -> None:
    """Other wrong fields are reported together with a size, and a size that is right is not."""
    assert refusal(size="1x1", seed=-1).count("it must be") == 2
    assert refusal(size="512x512", seed=-1).count("it must be") == 1
    assert refusal(size="1x1", model=1).count("it must be") == 2


def test_contradiction() -> None:
    """The aspect ratio of a size is the nearest one."""
    message = refusal(size="768x512", aspect_ratio="1:1")
    assert 'size "768x512" has the aspect ratio 3:2' in message and 'size "1024x1024"' in message
    for ratio, (width, height) in SIZES.items():
        assert nearest_ratio(f"{width}x{height}") == ratio


def test_digest_of_a_request() -> None:
    """A request with such a size can be written as JSON, for its idempotency key."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        request = parse_request({"model": "small", "prompt": "a", "size": "512x512"}, EXTRA)
        assert '"size":"512x512"' in request.model_dump_json()
