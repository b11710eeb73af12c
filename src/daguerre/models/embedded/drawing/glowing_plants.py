"""Surreal glowing night landscapes: giant mushrooms and fields of bell flowers.

`mushroom` is also an object in other landscapes.
"""

from __future__ import annotations

import math

from daguerre.models.embedded.drawing.canvas import Canvas
from daguerre.models.embedded.drawing.colour import BLACK, WHITE, Rgb, hexa, mix, rgb
from daguerre.models.embedded.drawing.line import Line, height_at, waves
from daguerre.models.embedded.drawing.mountains import ridges
from daguerre.models.embedded.drawing.palette import GLOWS, Palette, glow_of
from daguerre.models.embedded.drawing.scene import Scene

# Spots of a cap: offset to the side, height and size, as shares of the cap.
SPOTS = (
    (-0.45, 0.32, 0.09),
    (0.02, 0.62, 0.12),
    (0.46, 0.36, 0.10),
    (-0.14, 0.25, 0.06),
    (0.24, 0.22, 0.06),
    (-0.38, 0.66, 0.05),
)


def glowing_mushrooms(c: Canvas, scene: Scene, p: Palette, horizon: float) -> None:
    """Giant bright mushrooms before dark hills."""
    r = c.r
    base = GLOWS[scene.glow]
    if r.random() < 0.5:
        ridges(c, scene, p, horizon, min(c.h * 0.24, c.s * 0.34))
    soil = mix(rgb("#16204a"), base, 0.10)
    line: Line = []
    for i in range(3):
        t = i / 2
        line = waves(c, horizon + (c.h * 0.84 - horizon) * (0.1 + 0.9 * t), c.s * 0.03, 0.8)
        tone = mix(mix(soil, p.haze, 0.45 * (1 - t)), BLACK, 0.25 * t)
        c.land(line, mix(tone, base, 0.22), mix(tone, BLACK, 0.3))
        if i < 2:
            for _ in range(r.choice((2, 3, 4))):
                x = r.uniform(0.03, 0.97) * c.w
                mushroom(
                    c,
                    x,
                    height_at(line, x) + c.s * 0.015,
                    c.s * r.uniform(0.08, 0.16) * (1 + t),
                    glow_of(scene, r),
                    r.uniform(0.6, 0.95),
                )
    n = max(1, round(r.choice((1, 2, 3)) * min(1.6, c.w / c.s)))
    order = sorted(range(n), key=lambda _: r.random())
    for place in order:
        x = c.w * (place + r.uniform(0.3, 0.7)) / n
        h = min(c.s * r.uniform(0.42, 0.78), c.h * 0.66) * (1.0 if n < 3 else 0.8)
        mushroom(c, x, c.h * r.uniform(0.86, 0.95), h, glow_of(scene, r), r.uniform(0.6, 1.0))
    for _ in range(int(26 * c.w / c.s)):
        k = c.s * r.uniform(0.002, 0.005)
        x, y = r.uniform(0, c.w), r.uniform(0.35, 0.97) * c.h
        c.oval(x, y, k * 3, k * 3, hexa(base), 'opacity="0.18"')
        c.oval(x, y, k, k, hexa(mix(base, WHITE, 0.6)))


def mushroom(c: Canvas, x: float, y: float, h: float, colour: Rgb, flat: float) -> None:
    """A giant glowing mushroom: halo, bright cap with spots, gills, light below."""
    w = h * flat
    lean = c.r.uniform(-0.06, 0.06) * h
    stem = mix(rgb("#f4ecff"), colour, 0.35)
    c.glow(x, y, w * 1.5, colour, 0.55, 0.28)
    c.glow(x + lean, y - h * 0.72, max(w, h * 0.7) * 1.45, colour, 0.55)
    k = h * 0.085
    c.path(
        f"M{x - k * 1.25:.1f} {y:.1f}Q{x - k * 0.7:.1f} {y - h * 0.4:.1f} {x + lean - k * 0.7:.1f} "
        f"{y - h * 0.66:.1f}H{x + lean + k * 0.7:.1f}Q{x + k * 0.8:.1f} {y - h * 0.4:.1f} "
        f"{x + k * 1.25:.1f} {y:.1f}z",
        c.linear([(0, mix(stem, WHITE, 0.3), 1), (1, mix(stem, rgb("#1a1440"), 0.45), 1)]),
    )
    cap(c, x + lean, y - h * 0.62, h, w * 0.5, colour)


def cap(c: Canvas, cx: float, cy: float, h: float, rim: float, colour: Rgb) -> None:
    """The gills, cap and spots of a mushroom of height `h`."""
    c.oval(cx, cy, rim * 0.96, h * 0.075, hexa(mix(colour, rgb("#201048"), 0.45)))
    c.oval(cx, cy - h * 0.004, rim * 0.7, h * 0.045, hexa(mix(colour, WHITE, 0.35)))
    high = h * 0.40
    shadow = mix(colour, rgb("#3a1a70"), 0.30)
    bright = c.linear([(0, mix(colour, WHITE, 0.55), 1), (0.55, colour, 1), (1, shadow, 1)])
    c.path(
        f"M{cx - rim:.1f} {cy:.1f}C{cx - rim:.1f} {cy - high * 0.75:.1f} {cx - rim * 0.5:.1f} "
        f"{cy - high:.1f} {cx:.1f} {cy - high:.1f}S{cx + rim:.1f} {cy - high * 0.75:.1f} "
        f"{cx + rim:.1f} {cy:.1f}Q{cx:.1f} {cy + h * 0.10 * -1 + h * 0.05:.1f} {cx - rim:.1f} "
        f"{cy:.1f}z",
        bright,
    )
    for dx, dy, size in SPOTS:
        c.oval(
            cx + dx * rim * 1.2,
            cy - dy * high - h * 0.02,
            size * rim * 1.15,
            size * rim * 0.85,
            hexa(mix(colour, WHITE, 0.82)),
            'opacity="0.92"',
        )


def glowing_flowers(c: Canvas, scene: Scene, p: Palette, horizon: float) -> None:
    """Bright bell flowers over dark ground."""
    r, base = c.r, GLOWS[scene.glow]
    line: Line = []
    for i in range(3):
        t = i / 2
        line = waves(c, horizon + (c.h * 0.8 - horizon) * t, c.s * 0.03, 0.8)
        tone = mix(p.lit(rgb("#3f8f6a"), 0.4 + 0.6 * t), base, 0.12)
        c.land(line, tone, mix(tone, BLACK, 0.35))
    for t in sorted(r.random() for _ in range(int(16 * c.w / c.s))):
        x, y = r.uniform(0, c.w), c.h * (0.78 + 0.2 * t)
        k = c.s * (0.03 + 0.04 * t)
        stem = k * r.uniform(2, 3.6)
        colour = glow_of(scene, r)
        c.path(
            f"M{x:.1f} {y:.1f}v{-stem:.1f}",
            "none",
            f'stroke="{hexa(mix(p.shade, rgb("#4fae7a"), 0.6))}" stroke-width="{k * 0.16:.1f}"',
        )
        c.glow(x, y - stem, k * 3, colour, 0.55)
        for i in range(6):
            a = i * 1.0472
            c.oval(
                x + math.sin(a) * k * 0.5,
                y - stem - math.cos(a) * k * 0.5,
                k * 0.36,
                k * 0.36,
                hexa(mix(colour, WHITE, 0.2)),
            )
        c.oval(x, y - stem, k * 0.3, k * 0.3, "#fffbe0")
