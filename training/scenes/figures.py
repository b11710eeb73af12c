"""Things of the table set into pictures: in a landscape's light, or alone before a background.

Art becomes part of the scene's document with its own identifiers. Nothing here knows which things
fit where; the scene says so.
"""

from __future__ import annotations

import re
from functools import lru_cache

import numpy as np

from training import assets, things
from training.colour import BLACK, WHITE, Rgb, hexa, lit_by, mix, rgb
from training.recolouring import recoloured
from training.scenes.canvas import Canvas
from training.scenes.glowing import mushroom
from training.scenes.palette import BACKS, GLOWS, Palette
from training.scenes.scene import Placed, Scene

Tint = tuple[Rgb, float]  # the light's colour and how much of it shows on a thing


def lone_thing(c: Canvas, scene: Scene) -> None:
    """One thing, large, before a simple background."""
    r, item = c.r, scene.things[0]
    back = rgb(r.choice(BACKS[scene.background]))
    px = item.size * c.s
    x, y = c.w * (0.5 + r.uniform(-0.05, 0.05)), c.h * (0.5 + r.uniform(-0.04, 0.04))
    c.rect(0, 0, c.w, c.h, hexa(back))
    if scene.ground == "gradient":
        c.rect(
            0,
            0,
            c.w,
            c.h,
            c.linear([(0, mix(back, WHITE, 0.30), 1), (1, mix(back, BLACK, 0.10), 1)]),
        )
    elif scene.ground == "circle":
        c.oval(c.w / 2, c.h / 2, c.s * 0.45, c.s * 0.45, hexa(mix(back, WHITE, 0.40)))
    top, bottom = extent(item.look)
    foot = y + px * (bottom - 0.5)
    if scene.ground == "floor":
        line = foot - px * r.uniform(0.10, 0.22)
        floor = mix(back, BLACK, 0.13) if scene.background != "black" else mix(back, WHITE, 0.12)
        c.rect(0, line, c.w, c.h - line, c.linear([(0, floor, 1), (1, mix(floor, WHITE, 0.12), 1)]))
        name = c.new_id()
        c.defs.append(
            f'<radialGradient id="{name}"><stop offset="0.3" stop-color="#101428" '
            'stop-opacity="0.30"/><stop offset="1" stop-color="#101428" stop-opacity="0"/>'
            "</radialGradient>"
        )
        c.oval(x, foot - px * 0.015, px * 0.50, px * 0.075, f"url(#{name})")
    put(c, item, x, y, px)


def place_things(c: Canvas, scene: Scene, p: Palette | None) -> None:
    """Draw the things of a mixed scene into its landscape."""
    tint = (
        (p.ambient, {"night": 0.55, "dusk": 0.5, "sunset": 0.45}.get(scene.time, 0.2))
        if p
        else None
    )
    for item in scene.things:
        px = item.size * c.s
        n = item.count
        centre = c.w * c.r.uniform(0.36, 0.64) if n == 1 else c.w / 2
        gap = min(px * c.r.uniform(0.9, 1.2), (c.w - px) / max(1, n - 1) if n > 1 else px)
        low = c.h * {"g": c.r.uniform(0.86, 0.93), "w": c.r.uniform(0.78, 0.88)}.get(
            item.place, 0.5
        )
        if item.place in "su":
            band = (0.22, 0.40) if item.place == "s" else (0.34, 0.56)
            low = max(px * 0.55, c.h * c.r.uniform(*band)) + px / 2
        for i in range(n):
            x = centre + (i - (n - 1) / 2) * gap
            k = px * c.r.uniform(0.86, 1.06) if n > 1 else px
            y = low + (
                c.r.uniform(-0.12, 0.12) * px
                if n > 1 and item.place in "su"
                else c.r.uniform(-0.02, 0.02) * c.h
            )
            one_thing(c, scene, item, x, y, k, tint)


def one_thing(
    c: Canvas,
    scene: Scene,
    item: Placed,
    x: float,
    foot: float,
    px: float,
    tint: Tint | None,
) -> None:
    if item.look[0] == "glow":
        mushroom(c, x, foot, px * 1.15, GLOWS[item.colour], c.r.uniform(0.62, 0.9))
        return
    _, bottom = extent(item.look)
    middle = foot + px * (0.5 - bottom)
    if item.glowing:
        c.glow(x, middle, px * 1.1, rgb("#ffcf6b"), 0.6)
        tint = None
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


def put(c: Canvas, item: Placed, x: float, y: float, px: float, tint: Tint | None = None) -> None:
    """Set a thing into a square of side px whose middle is (x, y)."""
    text, w, h = _content(item.look, item.colour, tint)
    for name in set(_ID.findall(text)):
        fresh = f"{name}n{len(c.parts)}"
        text = text.replace(f'id="{name}"', f'id="{fresh}"').replace(f"#{name})", f"#{fresh})")
        text = text.replace(f'href="#{name}"', f'href="#{fresh}"')
    k = px / max(w, h)
    sx = -k if item.flip else k
    left = x + (w * k / 2 if item.flip else -w * k / 2)
    c.raw(f'<g transform="matrix({sx:.5f} 0 0 {k:.5f} {left:.2f} {y - h * k / 2:.2f})">{text}</g>')


@lru_cache(maxsize=2048)
def extent(look: tuple[str, str]) -> tuple[float, float]:
    """Top and bottom of what the look shows, as shares of its square."""
    drawn = things.art(*look)
    assert drawn is not None
    alpha = assets.draw(assets.document(*drawn), 48, 48)[..., 3]
    rows = np.flatnonzero((alpha > 40).any(axis=1))
    return float(rows[0]) / 48, float(rows[-1] + 1) / 48


_ID = re.compile(r'\bid="([^"]+)"')


@lru_cache(maxsize=6000)
def _content(look: tuple[str, str], colour: str, tint: Tint | None) -> tuple[str, float, float]:
    drawn = things.art(*look)
    assert drawn is not None
    text = recoloured(look[0], look[1], colour)
    if tint:
        tone, amount = tint

        def change(value: Rgb) -> Rgb:
            return mix(value, lit_by(value, tone), amount)

        text = assets.map_colours(text, change)
    return text, drawn[1], drawn[2]
