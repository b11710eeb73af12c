"""The weather shows on the ground of every terrain, at every hour."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from daguerre.models.embedded.drawing import Scene
from daguerre.models.embedded.drawing.palette import PALETTES
from daguerre.models.embedded.drawing.picture import LAND, compose, render
from daguerre.models.embedded.drawing.scene import RAINY

GROUNDS = sorted({*LAND, "beach", "cliff"} - {"mushrooms", "flowers"})
SHADOW = re.compile(r'<radialGradient id="(\w+)"><stop offset="0.450" stop-color="#101428"')
OVAL = re.compile(r'<ellipse cx="[-\d.]+" cy="([\d.]+)" rx="([\d.]+)" ry="([\d.]+)"')


@pytest.mark.parametrize("terrain", GROUNDS)
@pytest.mark.parametrize("time", PALETTES)
def test_snow_lies_on_the_ground(terrain: str, time: str) -> None:
    """In the snow, the lowest tenth of the picture is light."""
    scene = Scene("landscape", 1024, 1024, 5, time=time, weather="snow", terrain=terrain)
    assert render(scene, 96, 96)[-10:].mean() > 0.45 * 255


@pytest.mark.parametrize("terrain", [name for name in GROUNDS if name != "city"])
@pytest.mark.parametrize("weather", RAINY)
def test_rain_makes_puddles(terrain: str, weather: str) -> None:
    """In the rain, the ground has wide flat puddles."""
    scene = Scene("landscape", 1024, 1024, 5, time="day", weather=weather, terrain=terrain)

    def num_puddles(scene: Scene) -> int:
        text = compose(scene)
        for name in SHADOW.findall(text):
            text = re.sub(rf'<ellipse [^>]+fill="url\(#{name}\)" />', "", text)
        ovals = [map(float, found) for found in OVAL.findall(text)]
        return sum(y > 0.8 * scene.height and rx > 5 * ry for y, rx, ry in ovals)

    assert num_puddles(scene) >= 6 > num_puddles(replace(scene, weather="cloudy")) == 0
