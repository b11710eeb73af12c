"""Plants: firs, rows of firs, round trees, palms, cacti and flowers.

Parameters are the foot, the height and the colour; the caller handles distance and light.
"""

from __future__ import annotations

import math

from daguerre.models.embedded.drawing.canvas import Canvas
from daguerre.models.embedded.drawing.colour import BLACK, WHITE, Rgb, hexa, mix, rgb
from daguerre.models.embedded.drawing.line import Line, height_at
from daguerre.models.embedded.drawing.palette import Palette


def pine(c: Canvas, x: float, y: float, h: float, colour: Rgb, snow: Rgb | None = None) -> None:
    """A fir of three tiers, darker on the side away from the light."""
    dark, side = hexa(mix(colour, BLACK, 0.16)), c.shaded_side(x)
    c.shade(x, y, h * 0.17)
    c.rect(x - h * 0.025, y - h * 0.12, h * 0.05, h * 0.13, hexa(mix(colour, BLACK, 0.45)))
    for top, low, half in ((0.46, 0.08, 0.24), (0.74, 0.34, 0.19), (1.0, 0.60, 0.14)):
        tip, foot = y - h * top, y - h * low
        c.poly([(x, tip), (x + h * half, foot), (x - h * half, foot)], hexa(colour))
        c.poly([(x, tip), (x + side * h * half, foot), (x, foot)], dark)
        if snow:
            k = 0.42
            c.poly(
                [
                    (x, tip),
                    (x + h * half * k, tip + (foot - tip) * k),
                    (x, tip + (foot - tip) * k * 0.8),
                    (x - h * half * k, tip + (foot - tip) * k),
                ],
                hexa(snow),
            )


def framing_pines(
    c: Canvas, tall: tuple[float, float], colour: Rgb, snow: Rgb | None, many: tuple[int, ...]
) -> None:
    """Firs in the foreground at both edges; `tall` are shares of the picture's short side."""
    for side in (0.0, 1.0):
        for _ in range(c.r.choice(many)):
            x = c.w * abs(side - c.r.uniform(-0.02, 0.22))
            foot, high = c.h * c.r.uniform(0.84, 0.97), c.s * c.r.uniform(*tall)
            pine(c, x, foot, high, colour, snow)


def spikes(c: Canvas, line: Line, h: float, colour: Rgb) -> None:
    """The silhouette of a row of small firs along a line."""
    d = []
    x, right = -h * 0.2, c.w + h * 0.2
    while x < right:
        tall = h * c.r.uniform(0.6, 1.1)
        y = height_at(line, x) + h * 0.1
        w = tall * 0.21
        d.append(
            f"M{x - w:.1f} {y:.1f}L{x - w * 0.45:.1f} {y - tall * 0.45:.1f}"
            f"L{x - w * 0.65:.1f} {y - tall * 0.45:.1f}L{x:.1f} {y - tall:.1f}"
            f"L{x + w * 0.65:.1f} {y - tall * 0.45:.1f}L{x + w * 0.45:.1f} {y - tall * 0.45:.1f}"
            f"L{x + w:.1f} {y:.1f}z"
        )
        x += w * c.r.uniform(1.0, 2.0)
    c.path("".join(d), hexa(colour))


# Lobes of a round crown: offset, and radii, as shares of the tree's height.
LOBES = (
    (0.0, 0.56, 0.14, 0.14),
    (0.0, 0.74, 0.19, 0.2),
    (-0.16, 0.6, 0.15, 0.15),
    (0.16, 0.6, 0.15, 0.15),
)


def round_tree(c: Canvas, x: float, y: float, h: float, leaf: Rgb, trunk: Rgb) -> None:
    """A tree with a round crown of four lobes, darker on the side away from the light."""
    side = c.shaded_side(x)
    c.shade(x, y, h * 0.2)
    low, top = h * 0.036, h * 0.024
    c.poly(
        [
            (x - low, y + h * 0.01),
            (x - top, y - h * 0.5),
            (x + top, y - h * 0.5),
            (x + low, y + h * 0.01),
        ],
        hexa(trunk),
    )
    tones = ((0.0, 1.0, mix(leaf, BLACK, 0.14)), (0.022, 0.87, leaf))
    for shift, k, tone in tones:
        for dx, up, rx, ry in LOBES:
            at = x + (dx - side * shift) * h, y - (up + shift) * h
            c.oval(*at, rx * h * k, ry * h * k, hexa(tone))
    c.oval(x - side * h * 0.09, y - h * 0.81, h * 0.07, h * 0.06, hexa(mix(leaf, WHITE, 0.14)))


def palm(c: Canvas, x: float, y: float, h: float, leaf: Rgb, trunk: Rgb) -> None:
    lean = h * c.r.uniform(-0.22, 0.22)
    tx, ty = x + lean, y - h
    c.path(
        f"M{x:.1f} {y:.1f}Q{x:.1f} {y - h * 0.6:.1f} {tx:.1f} {ty:.1f}",
        "none",
        f'stroke="{hexa(trunk)}" stroke-width="{h * 0.055:.1f}" stroke-linecap="round"',
    )
    for dx, dy in (
        (-0.46, 0.16),
        (-0.40, -0.10),
        (0.46, 0.16),
        (0.40, -0.10),
        (-0.22, 0.34),
        (0.22, 0.34),
    ):
        ex, ey = tx + dx * h, ty + dy * h
        mx, my = tx + dx * h * 0.5, ty + dy * h * 0.5 - h * 0.18
        c.path(
            f"M{tx:.1f} {ty:.1f}Q{mx:.1f} {my:.1f} {ex:.1f} {ey:.1f}"
            f"Q{mx:.1f} {my + h * 0.13:.1f} {tx:.1f} {ty:.1f}z",
            hexa(leaf),
        )


def saguaro(c: Canvas, x: float, y: float, h: float, colour: Rgb) -> None:
    k = h * 0.11
    line = f'stroke="{hexa(colour)}" stroke-width="{k * 1.4:.1f}" stroke-linecap="round"'
    c.path(
        f"M{x:.1f} {y:.1f}V{y - h + k:.1f}M{x:.1f} {y - h * 0.35:.1f}h{-h * 0.22:.1f}"
        f"v{-h * 0.25:.1f}M{x:.1f} {y - h * 0.5:.1f}h{h * 0.2:.1f}v{-h * 0.22:.1f}",
        "none",
        line + ' stroke-linejoin="round"',
    )


def blooms(c: Canvas, line: Line, many: int, p: Palette, near: float) -> None:
    """Flowers with stems on the ground, larger in the foreground."""
    hues = c.r.sample(("#f25f7a", "#ffd34f", "#ffffff", "#b681e6", "#ff9550", "#6fa8f5"), 3)
    rows = sorted(c.r.random() for _ in range(many))
    for t in rows:
        x = c.r.uniform(0, c.w)
        top = height_at(line, x)
        y = top + (c.h - top) * (0.12 + 0.85 * t)
        k = c.s * (0.008 + 0.020 * t) * near
        colour = mix(p.lit(rgb(c.r.choice(hues)), 1.0), rgb("#ffffff"), 0.04)
        c.rect(x - k * 0.12, y, k * 0.24, k * 2.2, hexa(p.lit(rgb("#3f8f45"), 1)))
        for i in range(5):
            a = i * 1.2566
            c.oval(
                x + math.sin(a) * k * 0.62,
                y - math.cos(a) * k * 0.62,
                k * 0.5,
                k * 0.5,
                hexa(colour),
            )
        c.oval(x, y, k * 0.38, k * 0.38, hexa(p.lit(rgb("#f7c23c"), 1)))
