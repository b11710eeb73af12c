"""The light of the hour: shadows, distance, greens at sunset, lamps in the dark."""

from __future__ import annotations

import colorsys
import re
from dataclasses import replace

import pytest

from daguerre.models.embedded.drawing import Scene, SceneObject, things
from daguerre.models.embedded.drawing.canvas import Canvas
from daguerre.models.embedded.drawing.colour import Rgb, hexa, rgb
from daguerre.models.embedded.drawing.objects import INHABITED
from daguerre.models.embedded.drawing.outdoors import LIGHTS
from daguerre.models.embedded.drawing.palette import GREENS, LAMPLIGHT, PALETTES
from daguerre.models.embedded.drawing.picture import paint, render

SCENE = Scene("mixed", 1024, 1024, 3, time="day", weather="clear", terrain="snowfield")


def an(name: str) -> SceneObject:
    look = things.looks_in(things.BY_NAME[name], "thing")[0]
    return SceneObject(name, look, "", "g", 1, 0.4, False)


def shadow(light: float | None, low: bool) -> tuple[float, float]:
    """Left and right end of the shadow of what is from 450 to 550."""
    c = Canvas(SCENE)
    c.light, c.is_light_low = light, low
    c.shade(500, 900, 50)
    found = re.search(r'cx="([\d.]+)" cy="[\d.]+" rx="([\d.]+)"', c.parts[-1])
    assert found
    x, rx = map(float, found.groups())
    return x - rx, x + rx


def test_shadows_are_away_from_the_light() -> None:
    """Longer at a low sun, on the other side, and from the foot of the object on."""
    plain, high, low = shadow(None, False), shadow(100, False), shadow(100, True)
    assert plain[0] < 450 and plain[1] > 550
    assert plain[1] < high[1] < low[1] and low[0] > 430
    assert shadow(900, True) == pytest.approx((1000 - low[1], 1000 - low[0]), abs=0.2)


@pytest.mark.parametrize("time", ["dawn", "day", "sunset"])
@pytest.mark.parametrize("season", ["spring", "summer", ""])
def test_grass_stays_green(time: str, season: str) -> None:
    """Near grass has a green hue in the light of every hour with the sun."""
    for palette in PALETTES[time]:
        hue, _, saturation = colorsys.rgb_to_hls(*palette.lit(rgb(GREENS[season]), 1.0))
        assert 0.11 < hue < 0.45 and saturation > 0.11


def distance(a: Rgb, b: Rgb) -> float:
    return sum(abs(x - y) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("time", PALETTES)
def test_far_land_fades_into_the_air(time: str) -> None:
    """The farther a slope or snow, the nearer its colour to the haze."""
    for palette in PALETTES[time]:
        for tone in (GREENS["summer"], GREENS["winter"]):
            far, middle, near = (palette.lit(rgb(tone), d) for d in (0.1, 0.5, 1.0))
            haze = palette.haze
            assert distance(far, haze) < distance(middle, haze) < distance(near, haze)


@pytest.mark.parametrize("name", ["house", "cabin", "school", "office building"])
def test_windows_are_lit_in_the_dark(name: str) -> None:
    scene = replace(SCENE, objects=(an(name),))
    lit = [
        hexa(LAMPLIGHT) in "".join(paint(replace(scene, time=t)).parts) for t in ("night", "day")
    ]
    assert lit[0] and not (lit[1] and name != "cabin")  # its panes are yellow by day, too


def test_lights_shine_in_the_dark_only() -> None:
    scene = replace(SCENE, objects=(an("campfire"),))
    glows = ["#ffcf6b" in "".join(paint(replace(scene, time=t)).defs) for t in ("night", "day")]
    assert glows == [True, False]


def test_water_has_rings_in_place_of_shadows() -> None:
    """An animal in a lake has rings around its feet; one on a meadow has a shadow."""
    wet, dry = (paint(replace(SCENE, terrain=t, objects=(an("cow"),))) for t in ("lake", "meadow"))
    rings = [sum("<ellipse" in part and "stroke" in part for part in c.parts) for c in (wet, dry)]
    assert rings == [2, 0]


@pytest.mark.parametrize("palette", range(len(PALETTES["sunset"])))
def test_the_sea_mirrors_a_red_sky(palette: int) -> None:
    """At sunset, the sea is red near the horizon, like the sky above it, and bluer in front."""
    scene = Scene("landscape", 1024, 1024, 4, palette, "sunset", "clear", "sea")
    far, near = (render(scene, 64, 64)[row].mean(axis=0) for row in (42, 62))
    assert far[0] > 1.15 * far[1] and far[0] > far[2]
    assert near[2] / near[0] > far[2] / far[0]


def test_names_are_things() -> None:
    assert (INHABITED | LIGHTS) <= things.BY_NAME.keys()
