"""The border between server and engine: the nine sizes, and values that survive a process."""

from __future__ import annotations

import pickle
from dataclasses import FrozenInstanceError, fields

import numpy as np
import pytest

from daguerre import errors
from daguerre.params import (
    DEFAULT_ASPECT_RATIO,
    SIZES,
    Event,
    GeneratedImage,
    ImageParams,
    JobFailed,
    JobQueued,
    JobSucceeded,
    ModelInfo,
    StepCompleted,
    Timings,
)

ERRORS = [
    value
    for value in vars(errors).values()
    if isinstance(value, type) and issubclass(value, errors.DaguerreError)
]


def test_sizes_of_the_contract() -> None:
    """The sizes are the nine of the contract, each with one aspect ratio."""
    assert {f"{width}x{height}" for width, height in SIZES.values()} == set(
        "1344x768 1024x1024 1536x640 832x1216 1216x832 896x1088 1088x896 768x1344 640x1536".split()
    )
    assert len(set(SIZES.values())) == len(SIZES) == 9


@pytest.mark.parametrize("ratio", SIZES)
def test_size_has_its_ratio(ratio: str) -> None:
    """Each size is within 3% of its ratio, about a megapixel, in whole patches of 64 pixels."""
    across, down = map(int, ratio.split(":"))
    width, height = SIZES[ratio]
    assert width / height == pytest.approx(across / down, rel=0.03)
    assert width * height == pytest.approx(1024 * 1024, rel=0.08)
    assert width % 64 == height % 64 == 0
    assert SIZES[f"{down}:{across}"] == (height, width)


def test_defaults_agree() -> None:
    """The size that a request gets without asking is the one of the default ratio."""
    params = ImageParams(model="m", prompt="p")
    assert (params.width, params.height) == SIZES[DEFAULT_ASPECT_RATIO]


@pytest.mark.parametrize(
    "event",
    [JobQueued(3), StepCompleted(1, 4), JobFailed(errors.QueueFullError("full", retry_after_s=5))],
)
def test_events_cross_a_process(event: Event) -> None:
    """An event that was sent to another process says the same there."""
    arrived = pickle.loads(pickle.dumps(event))
    assert type(arrived) is type(event) and repr(arrived) == repr(event)


def test_image_crosses_a_process() -> None:
    """An image arrives in another process with the same pixels and the same facts."""
    pixels = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    info = ModelInfo("m", "0" * 64, 1)
    image = GeneratedImage(pixels, ImageParams("m", "p", seed=7), info, Timings(1, 2, 3, 4))
    arrived = pickle.loads(pickle.dumps(JobSucceeded(image))).image
    assert np.array_equal(arrived.pixels, pixels) and arrived.pixels.dtype == np.uint8
    assert (arrived.params, arrived.model_info, arrived.timings) == (
        image.params,
        info,
        image.timings,
    )


@pytest.mark.parametrize("error", ERRORS)
def test_errors_cross_a_process(error: type[errors.DaguerreError]) -> None:
    """An error arrives in another process with its class, message, field and waiting time."""
    arrived = pickle.loads(pickle.dumps(error("x", param="size", retry_after_s=7)))
    assert type(arrived) is error
    assert (arrived.message, arrived.param, arrived.retry_after_s) == ("x", "size", 7)
    assert str(arrived) == "x"


def test_params_are_frozen() -> None:
    """Nothing that crosses the border can be changed afterwards."""
    with pytest.raises(FrozenInstanceError):
        ImageParams("m", "p").seed = 2  # type: ignore[misc]
    assert [field.name for field in fields(ImageParams)][:2] == ["model", "prompt"]
