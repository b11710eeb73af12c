"""Objects in pictures: in the light of a landscape, or alone before a background.

An object's art becomes part of the scene's document, with its own identifiers.
"""

from __future__ import annotations

import colorsys
import re
from functools import lru_cache

import numpy as np

from daguerre.models.embedded.drawing import art, things
from daguerre.models.embedded.drawing.canvas import Canvas, PlacedObject
from daguerre.models.embedded.drawing.colour import WHITE, Rgb, lit_by, mix, rgb
from daguerre.models.embedded.drawing.glowing_plants import mushroom
from daguerre.models.embedded.drawing.grounds import paint_ground
from daguerre.models.embedded.drawing.palette import BACKS, GLOWS, Palette
from daguerre.models.embedded.drawing.recolouring import TARGETS, main_colour, recoloured
from daguerre.models.embedded.drawing.scene import Scene, SceneObject

_MUSHROOM = (0.1, 0.02, 0.9, 0.98)  # the bounds of a glowing one
Tint = tuple[Rgb, float]  # the light's colour and its strength on an object


def lone_object(c: Canvas, scene: Scene) -> None:
    """One large object before a simple background."""
    r, item = c.r, scene.objects[0]
    back = rgb(r.choice(BACKS[scene.background]))
    px = item.size * c.s
    x, y = c.w * (0.5 + r.uniform(-0.05, 0.05)), c.h * (0.5 + r.uniform(-0.04, 0.04))
    _, _, _, bottom = bounds(item.look)
    foot = y + px * (bottom - 0.5)
    has_floor = scene.ground == "floor"
    paint_ground(c, scene, back, foot - px * r.uniform(0.10, 0.22) if has_floor else c.h)
    if has_floor:
        shadow(c, x, foot - px * 0.015, px)
    if item.glowing:
        shine(c, item, x, y, px)
    put(c, item, x, y, px)


def shine(c: Canvas, item: SceneObject, x: float, y: float, px: float) -> None:
    """The light of a glowing object in the dark, in the object's own colour."""
    colour = TARGETS.get(item.colour) or main_colour(*item.look)
    hue, strength = colour[0], min(0.9, colour[2])
    light = colorsys.hls_to_rgb(hue, 0.62, strength)
    c.glow(x, y, px * 1.05, light, 0.75)
    c.glow(x, y, px * 0.62, mix(light, WHITE, 0.5), 0.6)


def shadow(c: Canvas, x: float, foot: float, px: float) -> None:
    """The soft shadow of an object `width` px wide on the floor."""
    name = c.new_id()
    c.defs.append(
        f'<radialGradient id="{name}"><stop offset="0.3" stop-color="#101428" '
        'stop-opacity="0.30"/><stop offset="1" stop-color="#101428" stop-opacity="0"/>'
        "</radialGradient>"
    )
    c.oval(x, foot, px * 0.50, px * 0.075, f"url(#{name})")


def place_objects(c: Canvas, scene: Scene, p: Palette | None) -> None:
    """Draws the objects of a mixed scene into its landscape."""
    dim = {"night": 0.55, "dusk": 0.5, "sunset": 0.45}.get(scene.time, 0.2)
    tint = (p.ambient, dim) if p else None
    sides = sides_of(c, scene)
    for item, centre in zip(scene.objects, sides, strict=True):
        px, n = item.size * c.s, item.count
        gap = min(px * c.r.uniform(0.9, 1.2), (c.w - px) / max(1, n - 1) if n > 1 else px)
        low = foot_of(c, scene, item, px)
        for i in range(n):
            x = centre + (i - (n - 1) / 2) * gap
            k = px * c.r.uniform(0.86, 1.06) if n > 1 else px
            up = 0.12 * px if n > 1 and item.place in "su" else 0.02 * c.h
            one_thing(c, scene, item, x, low + c.r.uniform(-up, up), k, tint)


def foot_of(c: Canvas, scene: Scene, item: SceneObject, px: float) -> float:
    """The height at which an object is on the ground, floats or flies."""
    if item.place in "su":
        band = (0.22, 0.40) if item.place == "s" else (0.34, 0.56)
        if scene.relation == "above":
            band = (0.16, 0.26)
        return max(px * 0.55, c.h * c.r.uniform(*band)) + px / 2
    return c.h * c.r.uniform(*((0.78, 0.88) if item.place == "w" else (0.86, 0.93)))


def sides_of(c: Canvas, scene: Scene) -> list[float]:
    """The horizontal centre of each object, from the relation or the spot."""
    first = scene.objects[0] if scene.objects else None
    if first is None:
        return []
    if len(scene.objects) == 2 and scene.relation != "above":
        half = max(sum(t.size for t in scene.objects) * c.s * 0.29, c.w * 0.14)
        turn = -1 if scene.relation == "right" else 1
        if scene.relation in ("and", "beside"):
            turn = c.r.choice((-1, 1))
        shift = c.w * c.r.uniform(-0.04, 0.04)
        return [c.w / 2 - turn * half + shift, c.w / 2 + turn * half + shift]
    if first.spot:
        return [c.w * (0.22 if first.spot == "left" else 0.78)]
    middle = c.w * c.r.uniform(0.36, 0.64) if first.count == 1 else c.w / 2
    return [middle] * len(scene.objects)


def one_thing(
    c: Canvas,
    scene: Scene,
    item: SceneObject,
    x: float,
    foot: float,
    px: float,
    tint: Tint | None,
) -> None:
    if item.look[0] == "glow":
        mushroom(c, x, foot, px * 1.15, GLOWS[item.colour], c.r.uniform(0.62, 0.9))
        return
    _, _, _, bottom = bounds(item.look)
    middle = foot + px * (0.5 - bottom)
    if item.glowing:
        c.glow(x, middle, px * 1.1, rgb("#ffcf6b"), 0.6)
        tint = None
    if item.is_reflected:
        mark = len(c.parts)
        put(c, item, x, middle, px, tint)
        again = "".join(c.parts[mark:])
        del c.parts[mark:]
        c.mirror(again, foot - px * 0.03, 0.45, 0.85)
    if item.place == "g":
        c.oval(x, foot - px * 0.01, px * 0.38, px * 0.05, "#101428", 'opacity="0.22"')
    put(c, item, x, middle, px, tint)
    if item.place == "w":
        for k in (0.46, 0.34):
            c.rect(
                x - px * k,
                foot - px * (0.49 - k) * 0.2,
                px * k * 2,
                px * 0.025,
                "#ffffff",
                f'rx="{px * 0.012:.1f}" opacity="0.4"',
            )


def put(
    c: Canvas, item: SceneObject, x: float, y: float, px: float, tint: Tint | None = None
) -> None:
    """Puts an object into a square of `px` with the centre (x, y)."""
    c.objects.append(PlacedObject(item, x, y, px))
    if item.look[0] == "glow":
        mushroom(c, x, y + px * 0.48, px, GLOWS[item.colour], 0.9)
        return
    text, w, h = _content(item.look, item.colour, tint)
    for name in dict.fromkeys(_ID.findall(text)):
        fresh = f"{name}n{len(c.parts)}"
        text = text.replace(f'id="{name}"', f'id="{fresh}"').replace(f"#{name})", f"#{fresh})")
        text = text.replace(f'href="#{name}"', f'href="#{fresh}"')
    k = px / max(w, h)
    sx = -k if item.flip else k
    left = x + (w * k / 2 if item.flip else -w * k / 2)
    c.raw(f'<g transform="matrix({sx:.5f} 0 0 {k:.5f} {left:.2f} {y - h * k / 2:.2f})">{text}</g>')


@lru_cache(maxsize=4096)
def bounds(look: tuple[str, str]) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of the visible part of a look, as shares of its square."""
    if look[0] == "glow":
        return _MUSHROOM
    drawn = things.drawn(look)
    shown = art.draw(art.document(*drawn), 48, 48)[..., 3] > 40
    rows, columns = np.flatnonzero(shown.any(axis=1)), np.flatnonzero(shown.any(axis=0))
    ends = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    left, top, right, bottom = (float(end) / 48 for end in ends)
    return left, top, right, bottom


_ID = re.compile(r'\bid="([^"]+)"')


@lru_cache(maxsize=6000)
def _content(look: tuple[str, str], colour: str, tint: Tint | None) -> tuple[str, float, float]:
    drawn = things.drawn(look)
    text = recoloured(look[0], look[1], colour)
    if tint:
        tone, amount = tint

        def change(value: Rgb) -> Rgb:
            return mix(value, lit_by(value, tone), amount)

        text = art.map_colours(text, change)
    if _spills(look):
        box = f'<clipPath id="box"><rect width="{drawn[1]}" height="{drawn[2]}"/></clipPath>'
        text = f'{box}<g clip-path="url(#box)">{text}</g>'
    return text, drawn[1], drawn[2]


@lru_cache(maxsize=4096)
def _spills(look: tuple[str, str]) -> bool:
    """Whether the art continues outside its view, where its own document hides it."""
    drawn = things.drawn(look)
    text, w, h = drawn
    moved = f'<g transform="translate({w} {h})">{text}</g>'
    alpha = art.draw(art.document(moved, 3 * w, 3 * h), 96, 96)[..., 3].copy()
    alpha[31:65, 31:65] = 0
    return bool((alpha > 40).any())
