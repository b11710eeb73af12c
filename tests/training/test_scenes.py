"""Scenes: equal at any size, with visible hour, terrain and colour.

Most scenes use procedural art or daguerre's own drawings; scenes of all kinds use the shipped art.
"""

from __future__ import annotations

import random
import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pytest

from daguerre.models.embedded import drawing
from daguerre.models.embedded.drawing import picture, things
from daguerre.models.embedded.drawing.palette import PALETTES
from daguerre.models.embedded.drawing.scene import KINDS, TERRAINS
from training import scenes
from training.scenes import sample

HOURS = tuple(PALETTES)
WEATHERS = ("clear", "cloudy", "rain", "snow", "fog", "rainbow", "storm", "aurora")


def landscapes(
    seed: int, n: int, shape: tuple[int, int] = (1024, 1024), terrain: str = ""
) -> list[drawing.Scene]:
    r = random.Random(seed)
    found: list[drawing.Scene] = []
    while len(found) < n:
        scene = sample.sample_landscape(r, *shape, "landscape")
        found += [scene] if terrain in ("", scene.terrain) else []
    return found


def lone(colour: str, ground: str = "plain") -> drawing.Scene:
    """The ball, an own drawing, before a white background."""
    ball = drawing.SceneObject("ball", ("drawn", "ball"), colour, "g", 1, 0.8, False)
    return drawing.Scene("thing", 1024, 1024, 1, objects=(ball,), background="white", ground=ground)


def assert_sound(document: str) -> None:
    """The document is well-formed; identifiers are unique, and every reference resolves."""
    names = [e.get("id") for e in ET.fromstring(document).iter() if e.get("id")]
    used = re.findall(r'(?:url\(|href=")#([^)"]+)', document)
    assert len(names) == len(set(names)) and set(used) <= set(names)


@pytest.mark.parametrize("shape", drawing.SHAPES)
def test_every_shape_renders_at_its_scales(shape: tuple[int, int]) -> None:
    """A picture has the requested rows and columns."""
    scene = landscapes(3, 1, shape)[0]
    for scale in (16, 8):
        width, height = shape[0] // scale, shape[1] // scale
        assert drawing.render(scene, width, height).shape == (height, width, 3)


def test_a_scene_is_the_same_picture_at_any_size() -> None:
    """A picture drawn at twice the size and averaged equals the small one."""
    for scene in [*landscapes(11, 16), lone("blue", "floor")]:
        small = drawing.render(scene, 128, 128).astype(float)  # (128, 128, 3)
        large = drawing.render(scene, 256, 256).astype(float)
        averaged = large.reshape(128, 2, 128, 2, 3).mean((1, 3))
        limit = 4.0 if scene.terrain in ("street", "harbour") else 2.0  # panes of a few pixels
        assert np.abs(small - averaged).mean() < limit


def test_every_terrain_has_one_painter() -> None:
    """Each terrain that sampling produces has exactly one painter, and there are no others."""
    painted = [*picture.LAND, *picture.WATER, *picture.ELSEWHERE]
    assert sorted(painted) == sorted(sample.TERRAINS) == sorted(TERRAINS)


@pytest.mark.parametrize("terrain", sample.TERRAINS)
def test_every_terrain_is_painted_in_any_weather(terrain: str) -> None:
    """Each terrain gives a valid document at every hour, weather and season."""
    scene = landscapes(1, 1, (1216, 832), terrain)[0]
    for i, weather in enumerate(WEATHERS if scene.time else ()):
        for hour in HOURS:
            season = ("spring", "summer", "autumn", "winter", "")[i % 5]
            seen = replace(scene, time=hour, weather=weather, season=season, seed=i)
            assert_sound(drawing.compose(seen))
    assert_sound(drawing.compose(scene))


@pytest.mark.parametrize("terrain", [*picture.LAND, *picture.WATER])
def test_night_is_darker_than_day(terrain: str) -> None:
    """The same terrain under a clear sky is much darker at night."""
    scene = replace(landscapes(2, 1, terrain=terrain)[0], weather="clear", sun=False, moon=False)
    day, night = (
        drawing.render(replace(scene, time=time), 64, 64).mean() for time in ("day", "night")
    )
    assert night < day - (20 if scene.glow else 40)


@pytest.mark.parametrize(("colour", "channel"), [("red", 0), ("green", 1), ("blue", 2)])
def test_a_colour_word_shows_in_the_picture(colour: str, channel: int) -> None:
    """The strong colours of a recoloured object match its colour word."""
    pixels = drawing.render(lone(colour), 128, 128).reshape(-1, 3).astype(int)
    strong = pixels[pixels.max(1) - pixels.min(1) > 60]
    assert np.bincount(strong.argmax(1), minlength=3).argmax() == channel


def test_a_thing_set_twice_keeps_its_own_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    """Art with gradients can occur several times in a picture."""
    art = '<linearGradient id="a"><stop stop-color="#e23b3b"/></linearGradient>'
    art += '<rect width="100" height="100" fill="url(#a)"/>'
    monkeypatch.setitem(things.DRAWN, "gradient", art)
    three = drawing.SceneObject("ball", ("drawn", "gradient"), "", "g", 3, 0.2, True)
    meadow = landscapes(4, 1, terrain="meadow")[0]
    document = drawing.compose(replace(meadow, kind="mixed", objects=(three,)))
    assert document.count("<stop stop-color=") == 3
    assert_sound(document)


def test_things_of_the_table_are_drawn() -> None:
    """Scenes of all kinds compose into valid documents with the art of their objects."""
    rng = np.random.default_rng(5)
    found = [scenes.sample_scene(rng, (1024, 1024)) for _ in range(150)]
    assert {scene.kind for scene in found} == set(KINDS)
    for scene in found:
        assert_sound(drawing.compose(scene))
