"""Draws a scene: chooses the painters, their order, and the size in pixels.

`compose` returns one SVG document in units of the full size. `render` rasterises it, so a scene is
the same picture at 128 and at 1024 pixels.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from daguerre.models.embedded.drawing import art
from daguerre.models.embedded.drawing.arrangement import PLANS, arranged, repeated
from daguerre.models.embedded.drawing.canvas import Canvas
from daguerre.models.embedded.drawing.city import city, village
from daguerre.models.embedded.drawing.dressing import dressed
from daguerre.models.embedded.drawing.glowing_plants import glowing_flowers, glowing_mushrooms
from daguerre.models.embedded.drawing.greens import cliff_top, farm, garden, park
from daguerre.models.embedded.drawing.indoors import paint_room
from daguerre.models.embedded.drawing.land import (
    desert,
    forest,
    hills,
    jungle,
    meadow,
    road,
    snowfield,
)
from daguerre.models.embedded.drawing.lettering import add_lettering, with_wall_space
from daguerre.models.embedded.drawing.lettering_plans import lettered
from daguerre.models.embedded.drawing.mountains import canyon, mountains, volcano
from daguerre.models.embedded.drawing.objects import lone_object
from daguerre.models.embedded.drawing.outdoors import place_objects
from daguerre.models.embedded.drawing.palette import palette_of
from daguerre.models.embedded.drawing.relations import drawable
from daguerre.models.embedded.drawing.scene import RAINY, Scene
from daguerre.models.embedded.drawing.sky import paint_sky
from daguerre.models.embedded.drawing.space import moonscape, space
from daguerre.models.embedded.drawing.street import harbour, street, waterfront
from daguerre.models.embedded.drawing.style import apply_style
from daguerre.models.embedded.drawing.underwater import underwater
from daguerre.models.embedded.drawing.water import beach, islands, lake, river, sea, waterfall
from daguerre.models.embedded.drawing.weather import paint_fog, paint_puddles, paint_weather

# The painter of each terrain.
LAND = {
    "mountains": mountains,
    "hills": hills,
    "desert": desert,
    "river": river,
    "forest": forest,
    "meadow": meadow,
    "jungle": jungle,
    "snowfield": snowfield,
    "canyon": canyon,
    "volcano": volcano,
    "waterfall": waterfall,
    "road": road,
    "village": village,
    "city": city,
    "mushrooms": glowing_mushrooms,
    "flowers": glowing_flowers,
    "street": street,
    "park": park,
    "garden": garden,
    "farm": farm,
}
WATER = {
    "sea": sea,
    "beach": beach,
    "lake": lake,
    "islands": islands,
    "cliff": cliff_top,
    "waterfront": waterfront,
    "harbour": harbour,
}
ELSEWHERE = {"underwater": underwater, "space": space, "moonscape": moonscape}
# Distance of the horizon from the top, as a share of the height; 0.54 for other terrains.
HORIZON = {
    "mountains": 0.56,
    "city": 0.72,
    "sea": 0.58,
    "beach": 0.5,
    "islands": 0.5,
    "lake": 0.52,
    "hills": 0.5,
    "forest": 0.45,
    "jungle": 0.4,
    "waterfall": 0.48,
    "road": 0.52,
    "mushrooms": 0.6,
    "street": 0.62,
    "park": 0.5,
    "garden": 0.5,
    "farm": 0.48,
    "cliff": 0.48,
    "waterfront": 0.56,
    "harbour": 0.54,
}


def compose(scene: Scene) -> str:
    """The scene as one SVG document in units of its full size, without its style."""
    return paint(scene).document()


def paint(scene: Scene) -> Canvas:
    """The scene on a canvas, without its style."""
    scene = drawable(dressed(scene))
    if scene.kind == "lettering" and not scene.lettering:
        scene = replace(scene, lettering="sign")
    c = Canvas(scene)
    if scene.kind == "lettering" or (scene.lettering and scene.kind in ("thing", *PLANS)):
        lettered(c, scene)
        return c
    if scene.kind == "thing":
        lone_object(c, scene)
    elif scene.kind == "pattern":
        repeated(c, scene)
    elif scene.kind in PLANS:
        arranged(c, scene)
    elif scene.kind == "room":
        paint_room(c, with_wall_space(scene), paint_landscape)
    else:
        paint_landscape(c, scene)
    if scene.lettering:
        add_lettering(c, scene)
    return c


def paint_landscape(c: Canvas, scene: Scene) -> None:
    """Paints a landscape with its objects."""
    if scene.terrain in ELSEWHERE:
        ELSEWHERE[scene.terrain](c, scene)
        place_objects(c, scene, None)
        return
    p = palette_of(scene)
    horizon = c.h * (HORIZON.get(scene.terrain, 0.54) + c.r.uniform(-0.04, 0.04))
    x = paint_sky(c, scene, p, horizon)
    c.light = x if scene.sun or scene.moon else None
    c.is_light_low = scene.sun and scene.time in ("dawn", "sunset")
    if scene.terrain in WATER:
        WATER[scene.terrain](c, scene, p, horizon, x)
    else:
        LAND[scene.terrain](c, scene, p, horizon)
    if scene.weather == "fog":
        paint_fog(c, scene, p)
    if scene.weather in RAINY:
        paint_puddles(c, scene, p)
    place_objects(c, scene, p)
    paint_weather(c, scene, p)


def render(scene: Scene, width: int, height: int) -> NDArray[np.uint8]:
    """Rasterises a scene in its style, at any size of its shape: (height, width, 3) uint8."""
    return apply_style(art.draw_opaque(compose(scene), width, height), scene)
