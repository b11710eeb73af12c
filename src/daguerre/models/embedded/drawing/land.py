"""Open land: hills, desert, forest, meadow, jungle, snowfield and road.

Each terrain paints from the horizon down over a finished sky.
"""

from __future__ import annotations

from daguerre.models.embedded.drawing.canvas import Canvas
from daguerre.models.embedded.drawing.colour import BLACK, hexa, mix, rgb
from daguerre.models.embedded.drawing.line import Line, height_at, waves
from daguerre.models.embedded.drawing.mountains import ridges, slopes
from daguerre.models.embedded.drawing.palette import SNOW, Palette, field, leaves, needles, snowed
from daguerre.models.embedded.drawing.plants import (
    blooms,
    framing_pines,
    palm,
    pine,
    round_tree,
    saguaro,
    spikes,
)
from daguerre.models.embedded.drawing.scene import Scene


def hills(c: Canvas, scene: Scene, p: Palette, horizon: float) -> None:
    slopes(c, scene, p, horizon, c.r.choice((4, 5)), c.s * 0.06, with_groves=True)


def desert(c: Canvas, scene: Scene, p: Palette, horizon: float) -> None:
    sand = snowed(scene, rgb(c.r.choice(("#e8bd77", "#e5a76a", "#f0cd90"))), 0.85)
    line: Line = []
    for i in range(4):
        t = i / 3
        line = waves(c, horizon + (c.h * 0.85 - horizon) * t, c.s * (0.03 + 0.03 * t), 0.7)
        redder = mix(sand, rgb("#b8693f"), (0.03 if scene.is_snowy else 0.12) * i)
        tone = p.lit(redder, 0.4 + 0.6 * t)
        c.land(line, mix(tone, p.light, 0.18), mix(tone, BLACK, 0.12))
    for _ in range(c.r.choice((0, 1, 3, 4))):
        x = c.r.uniform(0.03, 0.97) * c.w
        foot, h = height_at(line, x) + c.s * 0.03, c.s * c.r.uniform(0.1, 0.22)
        saguaro(c, x, foot, h, p.lit(rgb("#4f9a5f"), 1.0))


def forest(c: Canvas, scene: Scene, p: Palette, horizon: float) -> None:
    green = needles(scene)
    if c.r.random() < 0.5:
        ridges(c, scene, p, horizon, min(c.h * 0.25, c.s * 0.36))
    for i in range(4):
        d = 0.2 + 0.25 * i
        line = waves(c, horizon + c.h * (0.0 + 0.07 * i), c.s * 0.025, 0.9)
        spikes(c, line, c.s * (0.10 + 0.05 * i), p.lit(green, d))
        tone = p.lit(green, d)
        if i < 3:  # the next row of firs hides it
            low = horizon + c.h * (0.07 * i + 0.11)
            c.poly([*line, (line[-1][0], low), (line[0][0], low)], hexa(tone))
        else:
            c.land(line, tone, mix(tone, p.haze, 0.3), c.h * 0.84)
    line = waves(c, c.h * 0.80, c.s * 0.02, 0.6)
    c.land(line, p.lit(field(scene), 0.95), p.lit(field(scene, 0.2), 1.0))
    cap = p.lit(SNOW, 0.95) if scene.is_snowy else None
    framing_pines(c, (0.35, 0.55), p.lit(green, 1.0), cap, (1, 2, 3))


def meadow(c: Canvas, scene: Scene, p: Palette, horizon: float) -> None:
    if c.r.random() < 0.5:
        ridges(c, scene, p, horizon, min(c.h * 0.2, c.s * 0.3))
    slopes(c, scene, p, horizon + c.h * 0.02, 2, c.s * 0.02)
    line = waves(c, c.h * 0.68, c.s * 0.02, 0.6)
    c.land(line, p.lit(field(scene), 0.9), p.lit(field(scene, 0.2), 1.0))
    if scene.is_snowy:
        return
    blooms(c, line, int(36 * c.w * (c.h * 0.3) / (c.s * c.s * 0.3)), p, 1.0)


def jungle(c: Canvas, scene: Scene, p: Palette, horizon: float) -> None:
    tones = ("#2f8f5a", "#3aa35a", "#1f7a55", "#57b04f")
    for i in range(4):
        d = 0.35 + 0.2 * i
        y = horizon + c.h * 0.09 * i
        tone = p.lit(snowed(scene, rgb(tones[i % 4]), 0.8), d)
        for k in range(int(5 * c.w / c.s) + 1):
            x = c.w * (k + c.r.random()) / (5 * c.w / c.s)
            kind = c.r.random()
            if kind < 0.45:
                palm(
                    c,
                    x,
                    y + c.s * 0.1,
                    c.s * c.r.uniform(0.22, 0.38),
                    tone,
                    mix(tone, rgb("#3f2a20"), 0.5),
                )
            else:
                c.oval(
                    x, y, c.s * c.r.uniform(0.1, 0.16), c.s * c.r.uniform(0.08, 0.14), hexa(tone)
                )
        c.land(waves(c, y + c.s * 0.06, c.s * 0.02, 1.2), tone, mix(tone, BLACK, 0.2))
    for side in (0, 1):
        for _ in range(5):
            x0, y0 = c.w * side, c.h * c.r.uniform(0.55, 1.0)
            length = c.s * c.r.uniform(0.25, 0.45) * (1 if side == 0 else -1)
            near = hexa(p.lit(snowed(scene, rgb(c.r.choice(tones)), 0.5), 1.0))
            c.path(
                f"M{x0:.1f} {y0:.1f}q{length * 0.4:.1f} {-c.s * 0.22:.1f} {length:.1f} "
                f"{-c.s * 0.06:.1f}q{-length * 0.4:.1f} {c.s * 0.03:.1f} {-length:.1f} "
                f"{c.s * 0.06:.1f}z",
                near,
            )


def snowfield(c: Canvas, scene: Scene, p: Palette, horizon: float) -> None:
    if c.r.random() < 0.6:
        ridges(c, scene, p, horizon, min(c.h * 0.26, c.s * 0.36))
    green = rgb("#4a7f86")
    for i in range(3):
        t = i / 2
        line = waves(c, horizon + (c.h * 0.78 - horizon) * t, c.s * 0.03, 0.7)
        snow = p.lit(rgb("#eef4fb"), 0.5 + 0.5 * t)
        for _ in range(c.r.choice((2, 4, 6))):
            x = c.r.uniform(0, c.w)
            pine(
                c,
                x,
                height_at(line, x) + c.s * 0.02,
                c.s * (0.09 + 0.12 * t) * c.r.uniform(0.8, 1.4),
                p.lit(green, 0.5 + 0.5 * t),
                p.lit(rgb("#ffffff"), 0.6 + 0.4 * t),
            )
        c.land(line, snow, mix(snow, p.shade, 0.15))


def road(c: Canvas, scene: Scene, p: Palette, horizon: float) -> None:
    if c.r.random() < 0.75:
        ridges(c, scene, p, horizon, min(c.h * 0.25, c.s * 0.34))
    line = waves(c, horizon + c.h * 0.015, c.s * 0.006, 0.8)
    c.land(line, p.lit(field(scene), 0.5), p.lit(field(scene, 0.12), 1.0))
    vx, y0 = c.w * c.r.uniform(0.42, 0.58), horizon + c.h * 0.025
    half = c.s * 0.42
    tar = p.lit(snowed(scene, rgb("#5a5f6e"), 0.6), 0.9)
    c.poly(
        [(vx - 3, y0), (vx + 3, y0), (c.w / 2 + half, c.h + 9), (c.w / 2 - half, c.h + 9)],
        c.linear([(0, mix(tar, p.haze, 0.4), 1), (1, tar, 1)]),
    )
    for i in range(8):
        t0, t1 = (i / 8) ** 2 * 0.98 + 0.02, ((i + 0.5) / 8) ** 2 * 0.98 + 0.02
        pts = []
        for t, sign in ((t0, -1), (t0, 1), (t1, 1), (t1, -1)):
            mid = vx + (c.w / 2 - vx) * t
            pts.append((mid + sign * c.s * 0.014 * t, y0 + (c.h - y0) * t))
        c.poly(pts, hexa(p.lit(rgb("#f6e7b0"), 1.0)))
    for t in (0.06, 0.1, 0.17, 0.28, 0.45):
        y = y0 + (c.h - y0) * t
        for side in (-1, 1):
            x = vx + side * (half * t + c.s * (0.03 + 0.22 * t))
            leaf = leaves(scene, c.r)
            round_tree(
                c, x, y, c.s * (0.03 + 0.5 * t), p.lit(leaf, 0.5 + t), p.lit(rgb("#6b4a35"), 0.9)
            )
