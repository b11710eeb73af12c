"""Settlements: a village of cottages and a city of towers, with lit windows in the dark."""

from __future__ import annotations

from daguerre.models.embedded.drawing.canvas import Canvas
from daguerre.models.embedded.drawing.colour import BLACK, hexa, mix, rgb
from daguerre.models.embedded.drawing.line import height_at, waves
from daguerre.models.embedded.drawing.mountains import ridges
from daguerre.models.embedded.drawing.palette import (
    LAMPLIGHT,
    SNOW,
    Palette,
    field,
    needles,
    snowed,
)
from daguerre.models.embedded.drawing.plants import pine
from daguerre.models.embedded.drawing.scene import RAINY, Scene

TOWERS = ("#6f7fa0", "#7f7590", "#5f8096")


def village(c: Canvas, scene: Scene, p: Palette, horizon: float) -> None:
    if c.r.random() < 0.6:
        ridges(c, scene, p, horizon, min(c.h * 0.26, c.s * 0.36))
    for i in range(3):
        t = i / 2
        line = waves(c, horizon + (c.h * 0.8 - horizon) * (0.15 + 0.85 * t), c.s * 0.03, 0.7)
        n = max(1, round((3 - 0.5 * i) * c.w / c.s))
        for k in range(n):
            x = c.w * (k + c.r.uniform(0.15, 0.85)) / n
            cottage(c, x, height_at(line, x) + c.s * 0.015, c.s * (0.08 + 0.06 * t), p, scene)
            if c.r.random() < 0.6:
                tx = x + c.s * c.r.uniform(0.09, 0.14)
                pine(
                    c,
                    tx,
                    height_at(line, tx) + c.s * 0.015,
                    c.s * (0.10 + 0.07 * t),
                    p.lit(needles(scene), 0.6 + 0.4 * t),
                    p.lit(SNOW, 0.9) if scene.is_snowy else None,
                )
        c.land(line, p.lit(field(scene), 0.55 + 0.45 * t), p.lit(field(scene, 0.15), 0.6 + 0.4 * t))


def cottage(c: Canvas, x: float, y: float, s: float, p: Palette, scene: Scene) -> None:
    """A small house; its windows are lit when it is dark."""
    wall = p.lit(rgb(c.r.choice(("#f6ead7", "#f2d8c0", "#e8e2ee", "#f7e6b8"))), 0.9)
    tiles = rgb(c.r.choice(("#c8503f", "#a8453f", "#5f6f9f", "#8a5a44")))
    roof, brick, door = (p.lit(mix(tiles, BLACK, k), 0.9) for k in (0.0, 0.2, 0.35))
    dark = scene.is_dark
    pane = hexa(LAMPLIGHT if dark else p.lit(rgb("#8fc3dd"), 0.9))
    c.rect(x + s * 0.22, y - s * 1.16, s * 0.13, s * 0.4, hexa(brick))
    c.rect(x - s * 0.5, y - s * 0.62, s, s * 0.64, hexa(wall))
    c.poly([(x - s * 0.62, y - s * 0.6), (x, y - s * 1.2), (x + s * 0.62, y - s * 0.6)], hexa(roof))
    if scene.is_snowy:
        snow = hexa(p.lit(SNOW, 0.9))
        c.rect(x + s * 0.21, y - s * 1.18, s * 0.15, s * 0.06, snow)
        c.path(
            f"M{x - s * 0.6:.1f} {y - s * 0.65:.1f}L{x:.1f} {y - s * 1.24:.1f}L{x + s * 0.6:.1f} "
            f"{y - s * 0.65:.1f}q{-s * 0.2:.1f} {-s * 0.1:.1f} {-s * 0.4:.1f} {-s * 0.02:.1f}"
            f"t{-s * 0.4:.1f} 0t{-s * 0.4:.1f} {s * 0.02:.1f}z",
            snow,
        )
    if dark:
        c.glow(x - s * 0.22, y - s * 0.32, s * 0.5, LAMPLIGHT, 0.5)
    c.rect(x - s * 0.34, y - s * 0.44, s * 0.24, s * 0.22, pane)
    c.rect(x + s * 0.1, y - s * 0.42, s * 0.22, s * 0.44, hexa(door))


def city(c: Canvas, scene: Scene, p: Palette, horizon: float) -> None:
    dark = scene.is_dark
    wet = scene.weather in RAINY or (c.r.random() < 0.5 and not scene.is_snowy)
    ground = c.h * 0.76
    mark = len(c.parts)
    for i in range(3):
        d = 0.25 + 0.32 * i
        tone = p.lit(rgb(c.r.choice(TOWERS)), d)
        x = -c.s * c.r.uniform(0, 0.08)
        while x < c.w:
            w = c.s * c.r.uniform(0.07, 0.15)
            h = min(c.h * 0.5, c.s * 0.62) * c.r.uniform(0.45, 1.0) * (1.0 - 0.2 * i)
            y = ground - h
            shade = mix(tone, BLACK, c.r.uniform(0, 0.12))
            c.rect(x, y, w, h + 2, hexa(shade))
            if scene.is_snowy:
                c.rect(x, y, w, c.s * 0.008, hexa(p.lit(SNOW, d)))
            if c.r.random() < 0.2:
                c.poly(
                    [(x + w * 0.45, y), (x + w * 0.5, y - c.s * 0.07), (x + w * 0.55, y)],
                    hexa(shade),
                )
            if i > 0:
                windows(c, x, y, w, h, dark, p, d)
            x += w * c.r.uniform(0.85, 1.3)
    if wet:
        group = "".join(c.parts[mark:])
        deep = mix(p.sky[0], p.shade, 0.4)
        c.rect(-9, ground, c.w + 18, c.h - ground + 9, c.linear([(0, p.haze, 1), (1, deep, 1)]))
        c.mirror(group, ground, 0.4, 0.8)
    else:
        tar = p.lit(snowed(scene, rgb("#6a7080"), 0.8), 1.0)
        c.rect(
            -9,
            ground,
            c.w + 18,
            c.h - ground + 9,
            c.linear([(0, tar, 1), (1, mix(tar, BLACK, 0.25), 1)]),
        )
        c.rect(-9, ground, c.w + 18, c.h * 0.018, hexa(p.lit(snowed(scene, rgb("#c8ccd4")), 1.0)))


def windows(
    c: Canvas, x: float, y: float, w: float, h: float, dark: bool, p: Palette, d: float
) -> None:
    cols, gap = max(2, int(w / (c.s * 0.032))), w * 0.14
    cell = (w - gap) / cols
    rows = int(h / (cell * 1.5))
    pane = hexa(p.lit(rgb("#cfe6f2"), d))
    lit = []
    for row in range(rows):
        for col in range(cols):
            if c.r.random() < (0.45 if dark else 0.8):
                lit.append(
                    f"M{x + gap + col * cell:.1f} {y + cell * (0.7 + 1.5 * row):.1f}"
                    f"h{cell - gap:.1f}v{cell * 0.75:.1f}h{gap - cell:.1f}z"
                )
    colour = c.r.choice((hexa(LAMPLIGHT), "#ffe6a0", "#ffc65c")) if dark else pane
    c.path("".join(lit), colour, "" if dark else 'opacity="0.7"')
