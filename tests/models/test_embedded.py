"""The model in the box, with its real weights, at few steps."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from daguerre.engine.forward import Forward, Network
from daguerre.errors import InternalError
from daguerre.models.embedded.canvas import canvas
from daguerre.models.embedded.model import WEIGHTS, EmbeddedModel, initial_noise, weights_sha256
from daguerre.params import SIZES, ImageParams

PARAMS = ImageParams("m", "a mountain lake at sunset", seed=7)
MAX_WEIGHTS_BYTES = 95_000_000


@pytest.fixture(scope="module")
def model() -> EmbeddedModel:
    return EmbeddedModel("m", num_inference_steps=2)


@pytest.fixture(scope="module")
def networks(model: EmbeddedModel) -> Iterator[Mapping[str, Network]]:
    yield model.load()


Draw = Callable[[ImageParams], NDArray[np.uint8]]


@pytest.fixture(scope="module")
def draw(model: EmbeddedModel, networks: Mapping[str, Network]) -> Draw:
    def run(params: ImageParams) -> NDArray[np.uint8]:
        pipeline = model.pipeline(params)
        forward = next(pipeline)
        while True:
            try:
                forward = pipeline.send(networks[forward.network](forward.inputs))
            except StopIteration as stop:
                return np.asarray(stop.value)

    return run


@pytest.mark.parametrize(("width", "height"), SIZES.values())
def test_every_size_has_its_true_pixels(draw: Draw, width: int, height: int) -> None:
    """The image is (height, width, 3) uint8 and no single colour."""
    pixels = draw(replace(PARAMS, width=width, height=height))
    assert pixels.shape == (height, width, 3) and pixels.dtype == np.uint8
    assert pixels.std() > 2


def test_same_parameters_give_the_same_pixels(draw: Draw) -> None:
    """Nothing but the parameters decides the image, whatever was drawn between."""
    first = draw(PARAMS)
    draw(replace(PARAMS, seed=8, width=640, height=1536))
    assert np.array_equal(draw(PARAMS), first)


@pytest.mark.parametrize(
    "change",
    [{"seed": 8}, {"prompt": "a city at night"}, {"negative_prompt": "sunset"}],
    ids=["seed", "prompt", "negative_prompt"],
)
def test_every_parameter_changes_the_image(draw: Draw, change: dict[str, object]) -> None:
    """Seed, prompt and negative prompt each reach the pixels."""
    other = draw(replace(PARAMS, **change))  # type: ignore[arg-type]
    assert np.abs(other.astype(int) - draw(PARAMS)).mean() > 1


@pytest.mark.parametrize("prompt", ["x" * 10_000, "cat " * 2500, "🌈", "猫", "\u200b"])
def test_odd_prompts_are_drawn(draw: Draw, prompt: str) -> None:
    """Very long prompts, and prompts without a known token, give an image like any other."""
    assert draw(replace(PARAMS, prompt=prompt, negative_prompt=prompt)).shape == (1024, 1024, 3)


def test_the_end_of_a_long_prompt_reaches_the_image(draw: Draw) -> None:
    """The last word of 2,400 changes the pixels."""
    words = "a quiet meadow " * 800
    one, other = (draw(replace(PARAMS, prompt=words + word)) for word in ("snow", "volcano"))
    assert not np.array_equal(one, other)


def test_forwards_of_a_long_prompt_are_bounded(model: EmbeddedModel) -> None:
    """No encode forward has more than eight rows, so that it cannot hold up the others."""
    pipeline = model.pipeline(replace(PARAMS, prompt="cat " * 2500, negative_prompt="dog " * 2500))
    rows, forward = [], next(pipeline)
    while forward.stage == "encode":
        rows.append(forward.rows)
        ids = forward.inputs["ids"]
        assert isinstance(ids, np.ndarray)
        forward = pipeline.send((np.zeros((*ids.shape, 384), np.float32),))
    assert max(rows) == 8 and sum(rows) == 40


def test_steps_are_counted_to_the_end(
    model: EmbeddedModel, networks: Mapping[str, Network]
) -> None:
    """Each denoising forward carries its step, from 1 to the number of steps."""
    forwards: list[Forward] = []
    pipeline = model.pipeline(PARAMS)
    forward = next(pipeline)
    while forward.stage != "decode":
        forwards.append(forward)
        forward = pipeline.send(networks[forward.network](forward.inputs))
    assert [f.step for f in forwards if f.stage == "denoise"] == [(1, 2), (2, 2)]


def test_rows_of_different_sizes_share_a_signature(model: EmbeddedModel) -> None:
    """All nine sizes ask for the denoiser with one signature, so that they can share forwards."""
    signatures = set()
    for width, height in SIZES.values():
        pipeline = model.pipeline(replace(PARAMS, width=width, height=height))
        forward = next(pipeline)
        while forward.stage == "encode":
            ids = forward.inputs["ids"]
            assert isinstance(ids, np.ndarray)
            forward = pipeline.send((np.zeros((*ids.shape, 384), np.float32),))
        signatures.add(forward.signature)
    assert len(signatures) == 1


def test_noise_is_normal_and_stays_the_same() -> None:
    """The stream behind a seed is frozen: these values may never change."""
    noise = initial_noise(123, canvas(1024, 1024))
    assert abs(noise.mean()) < 0.01 and abs(noise.std() - 1) < 0.01
    np.testing.assert_allclose(noise[0, :3], [-1.0856306, 0.99734545, 0.2829785], rtol=1e-6)


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    """One changed byte in a network's weights stops the load with a message that says so."""
    shutil.copytree(WEIGHTS, tmp_path / "w")
    file = tmp_path / "w" / "decoder.bin"
    content = bytearray(file.read_bytes())
    content[1000] ^= 1
    file.write_bytes(content)
    with pytest.raises(InternalError, match="damaged"):
        EmbeddedModel("m", folder=tmp_path / "w").load()


@pytest.mark.parametrize("content", [None, "", "{}", "[]", '{"name": 1}'])
def test_a_damaged_card_is_refused(tmp_path: Path, content: str | None) -> None:
    """A missing or damaged model.json is one clear error, not a traceback of its parser."""
    if content is not None:
        (tmp_path / "model.json").write_text(content)
    with pytest.raises(InternalError, match="damaged"):
        EmbeddedModel("m", folder=tmp_path)


def test_the_card_names_the_weights() -> None:
    """model.json carries the digest of the files beside it, and all fit into the wheel."""
    assert EmbeddedModel("m").card.weights_sha256 == weights_sha256(WEIGHTS)
    assert sum(file.stat().st_size for file in WEIGHTS.iterdir()) < MAX_WEIGHTS_BYTES
