"""Manners: each picture looks as its manner says, the same again and at any size."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from daguerre.models.embedded import drawing
from daguerre.models.embedded.drawing import Placed, Scene
from daguerre.models.embedded.drawing.style import FILTERS
from training import held_out, wording
from training.scenes import sample
from training.scenes.domain import MANNERS
from training.scenes.manners import COLOURLESS, seen_in, suits

BALL = Placed("ball", ("drawn", "ball"), "red", "g", 1, 0.7, False)
OBJECT_FIELDS = Scene("thing", 1024, 1024, 4, things=(BALL,), background="blue", ground="gradient")


def shown(manner: str, side: int = 128, scene: Scene = OBJECT_FIELDS) -> NDArray[np.float64]:
    seen = seen_in(random.Random(1), scene, manner)
    return drawing.render(seen, side, side).astype(np.float64)


def test_every_manner_has_a_filter_and_words() -> None:
    """What chance can draw can be filtered and said."""
    assert MANNERS.keys() == FILTERS.keys() == wording.MANNERS.keys()
    assert MANNERS.keys() == held_out.MANNERS_HELD_OUT.keys()


@pytest.mark.parametrize("manner", FILTERS)
def test_a_manner_changes_the_picture_in_one_way(manner: str) -> None:
    """A filtered picture differs from the flat one and comes out the same again."""
    first = shown(manner)
    assert np.array_equal(first, shown(manner))
    assert np.abs(first - drawing.render(OBJECT_FIELDS, 128, 128)).mean() > 4


@pytest.mark.parametrize("manner", FILTERS)
def test_a_manner_is_the_same_at_any_size(manner: str) -> None:
    """A picture filtered four times as large and averaged down is nearly the small one."""
    large = shown(manner, 512).reshape(128, 4, 128, 4, 3).mean((1, 3))
    assert np.abs(shown(manner) - large).mean() < 12


@pytest.mark.parametrize("shape", drawing.SHAPES)
def test_every_shape_takes_every_manner(shape: tuple[int, int]) -> None:
    """Filters keep the rows and columns of all shapes that are served."""
    for manner in FILTERS:
        scene = replace(OBJECT_FIELDS, width=shape[0], height=shape[1], manner=manner)
        width, height = shape[0] // 8, shape[1] // 8
        assert drawing.render(scene, width, height).shape == (height, width, 3)


def test_pixel_art_has_few_large_pixels() -> None:
    """Pixel art is made of equal squares in at most some twenty colours."""
    squares = shown("pixel art").reshape(64, 2, 64, 2, 3)
    assert (squares == squares[:, :1, :, :1]).all()
    assert len(np.unique(squares[:, 0, :, 0].reshape(-1, 3), axis=0)) <= 24


def test_lines_are_dark_on_white() -> None:
    """A line drawing is mostly paper, with some ink and nothing in colour."""
    light = shown("line drawing")
    assert (light.mean(axis=2) > 240).mean() > 0.6
    assert 0.02 < (light.mean(axis=2) < 80).mean() < 0.3
    assert (light.max(axis=2) - light.min(axis=2)).max() < 40


def test_neon_shines_in_the_dark() -> None:
    """A neon picture is dark as a whole and has strong bright colours in places."""
    pixels = shown("neon")
    strong = (pixels.max(axis=2) - pixels.min(axis=2) > 120) & (pixels.max(axis=2) > 180)
    assert np.median(pixels) < 40 and strong.mean() > 0.02


def test_black_and_white_has_no_colour() -> None:
    """All three channels are alike, from near black to near white."""
    pixels = shown("black and white", scene=replace(OBJECT_FIELDS, background="white"))
    assert (pixels == pixels[..., :1]).all() and pixels.min() < 60 and pixels.max() > 225


def test_vintage_is_brownish() -> None:
    """Every part of a vintage picture is more red than green, and more green than blue."""
    small = shown("vintage").reshape(16, 8, 16, 8, 3).mean((1, 3))
    assert (small[..., 0] > small[..., 1]).all() and (small[..., 1] > small[..., 2]).all()


def test_pastel_is_pale() -> None:
    """Nothing is dark in a pastel picture, and colours keep their order."""
    pixels = shown("pastel")
    assert pixels.min() > 80
    middle = pixels[40:88, 40:88].mean((0, 1))
    assert middle[0] > middle[2] + 20


def test_watercolour_ends_in_paper() -> None:
    """The border of a watercolour is paper, its middle is painted."""
    pixels = shown("watercolour")
    border = np.concatenate([pixels[:2], pixels[-2:]]).min(axis=2)
    assert (border > 225).mean() > 0.9 and pixels[40:88, 40:88].mean() < 215


@pytest.mark.parametrize("manner", FILTERS)
def test_scenes_in_a_manner_claim_what_it_shows(manner: str) -> None:
    """A manner without colours leaves no colour word in a scene, and neon leaves the dark."""
    seen = seen_in(random.Random(2), OBJECT_FIELDS, manner)
    assert seen.manner == manner
    if manner in COLOURLESS:
        assert seen.things[0].colour == "" and seen.background in ("white", "gray", "beige")
    if manner == "neon":
        assert seen.background == "black" and seen.things[0].colour == "red"


def test_manners_keep_from_scenes_that_hide_them() -> None:
    """No neon by day, no lines at night, no pastel in the dark, no grey where colour is named."""
    r = random.Random(8)
    for _ in range(200):
        scene = sample.sample_landscape(r, 1024, 1024, "landscape")
        assert not (suits(scene, "neon") and scene.time not in ("night", ""))
        assert not (suits(scene, "line drawing") and scene.time != "day")
        assert not (suits(scene, "pastel") and scene.time == "night")
    green = replace(OBJECT_FIELDS, things=(replace(BALL, name="green apple"),))
    assert not any(suits(green, manner) for manner in COLOURLESS)
