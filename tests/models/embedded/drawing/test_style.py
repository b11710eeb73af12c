"""Styles: each has its look, reproducibly and at any size."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from daguerre.models.embedded import drawing
from daguerre.models.embedded.drawing import Scene, SceneObject
from daguerre.models.embedded.drawing.style import FILTERS
from training import held_out, wording
from training.scenes import sample
from training.scenes.domain import STYLE_WORDS
from training.scenes.styles import COLOURLESS, restrict_to_style, suits

BALL = SceneObject("ball", ("drawn", "ball"), "red", "g", 1, 0.7, False)
THING_SCENE = Scene("thing", 1024, 1024, 4, objects=(BALL,), background="blue", ground="gradient")


def shown(style: str, side: int = 128, scene: Scene = THING_SCENE) -> NDArray[np.float64]:
    seen = restrict_to_style(random.Random(1), scene, style)
    return drawing.render(seen, side, side).astype(np.float64)


def test_every_style_has_a_filter_and_words() -> None:
    """Every style that sampling produces has a filter and caption words."""
    assert STYLE_WORDS.keys() == FILTERS.keys() == wording.STYLE_WORDS.keys()
    assert STYLE_WORDS.keys() == held_out.STYLE_WORDS_HELD_OUT.keys()


@pytest.mark.parametrize("style", FILTERS)
def test_a_style_changes_the_picture_in_one_way(style: str) -> None:
    """A filtered picture differs from the flat one and is reproducible."""
    first = shown(style)
    assert np.array_equal(first, shown(style))
    assert np.abs(first - drawing.render(THING_SCENE, 128, 128)).mean() > 4


@pytest.mark.parametrize("style", FILTERS)
def test_a_style_is_the_same_at_any_size(style: str) -> None:
    """A picture filtered at four times the size and averaged nearly equals the small one."""
    large = shown(style, 512).reshape(128, 4, 128, 4, 3).mean((1, 3))
    assert np.abs(shown(style) - large).mean() < 12


@pytest.mark.parametrize("shape", drawing.SHAPES)
def test_every_shape_takes_every_style(shape: tuple[int, int]) -> None:
    """Filters keep the size of all served shapes."""
    for style in FILTERS:
        scene = replace(THING_SCENE, width=shape[0], height=shape[1], style=style)
        width, height = shape[0] // 8, shape[1] // 8
        assert drawing.render(scene, width, height).shape == (height, width, 3)


def test_pixel_art_has_few_large_pixels() -> None:
    """Pixel art consists of equal squares in about twenty colours."""
    squares = shown("pixel art").reshape(64, 2, 64, 2, 3)
    assert (squares == squares[:, :1, :, :1]).all()
    assert len(np.unique(squares[:, 0, :, 0].reshape(-1, 3), axis=0)) <= 24


def test_lines_are_dark_on_white() -> None:
    """A line drawing is mostly paper, with some ink and no colour."""
    light = shown("line drawing")
    assert (light.mean(axis=2) > 240).mean() > 0.6
    assert 0.02 < (light.mean(axis=2) < 80).mean() < 0.3
    assert (light.max(axis=2) - light.min(axis=2)).max() < 40


def test_neon_shines_in_the_dark() -> None:
    """A neon picture is dark, with some strong bright colours."""
    pixels = shown("neon")
    strong = (pixels.max(axis=2) - pixels.min(axis=2) > 120) & (pixels.max(axis=2) > 180)
    assert np.median(pixels) < 40 and strong.mean() > 0.02


def test_black_and_white_has_no_colour() -> None:
    """All three channels are equal, from near black to near white."""
    pixels = shown("black and white", scene=replace(THING_SCENE, background="white"))
    assert (pixels == pixels[..., :1]).all() and pixels.min() < 60 and pixels.max() > 225


def test_vintage_is_brownish() -> None:
    """Everywhere in a vintage picture, red exceeds green and green exceeds blue."""
    small = shown("vintage").reshape(16, 8, 16, 8, 3).mean((1, 3))
    assert (small[..., 0] > small[..., 1]).all() and (small[..., 1] > small[..., 2]).all()


def test_pastel_is_pale() -> None:
    """A pastel picture has no dark parts, and its colours keep their order."""
    pixels = shown("pastel")
    assert pixels.min() > 80
    middle = pixels[40:88, 40:88].mean((0, 1))
    assert middle[0] > middle[2] + 20


def test_watercolour_ends_in_paper() -> None:
    """The border of a watercolour is paper, and its centre is painted."""
    pixels = shown("watercolour")
    border = np.concatenate([pixels[:2], pixels[-2:]]).min(axis=2)
    assert (border > 225).mean() > 0.9 and pixels[40:88, 40:88].mean() < 215


@pytest.mark.parametrize("style", FILTERS)
def test_scenes_match_their_style(style: str) -> None:
    """A style without colours removes the scene's colour words, and neon makes it dark."""
    seen = restrict_to_style(random.Random(2), THING_SCENE, style)
    assert seen.style == style
    if style in COLOURLESS:
        assert seen.objects[0].colour == "" and seen.background in ("white", "gray", "beige")
    if style == "neon":
        assert seen.background == "black" and seen.objects[0].colour == "red"


def test_unsuitable_scenes_have_no_style() -> None:
    """No neon by day, no lines at night, no pastel in the dark, no grey with a named colour."""
    r = random.Random(8)
    for _ in range(200):
        scene = sample.sample_landscape(r, 1024, 1024, "landscape")
        assert not (suits(scene, "neon") and scene.time not in ("night", ""))
        assert not (suits(scene, "line drawing") and scene.time != "day")
        assert not (suits(scene, "pastel") and scene.time == "night")
    green = replace(THING_SCENE, objects=(replace(BALL, name="green apple"),))
    assert not any(suits(green, style) for style in COLOURLESS)
