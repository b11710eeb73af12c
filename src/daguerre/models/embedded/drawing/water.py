"""Terrains with water: sea, beach, lake, islands, river and waterfall.

Open water mirrors the sky and the light of the sun or moon, whose x is a parameter.
"""

from __future__ import annotations

from daguerre.models.embedded.drawing.canvas import Canvas
from daguerre.models.embedded.drawing.colour import BLACK, WHITE, hexa, mix, rgb
from daguerre.models.embedded.drawing.line import Line, crags, height_at, waves, winding
from daguerre.models.embedded.drawing.mountains import ridges
from daguerre.models.embedded.drawing.palette import SNOW, Palette, field, needles, snowed
from daguerre.models.embedded.drawing.plants import palm, pine, spikes
from daguerre.models.embedded.drawing.scene import Scene


def water(c: Canvas, scene: Scene, p: Palette, top: float, x: float) -> None:
    """Water from `top` down that mirrors the sky and the light at `x`."""
    deep = mix(p.lit(rgb("#1f6f9f"), 1.0), p.sky[0], 0.35)
    near = mix(p.sky[-1], p.lit(rgb("#4fb0c8"), 0.8), 0.5)
    if scene.time in ("dawn", "sunset", "dusk"):  # blue would turn the sky's red to brown
        near = mix(mix(p.sky[-2], p.sky[-3], 0.3), p.shade, 0.15)
        deep = mix(deep, p.sky[0], 0.4)
    c.rect(-9, top, c.w + 18, c.h - top + 9, c.linear([(0, near, 1), (1, deep, 1)]))
    shine = hexa(mix(p.light, p.sky[-1], 0.3))
    for i in range(26):
        t = (i + c.r.random()) / 26
        y = top + (c.h - top) * t**1.2
        w = c.s * (0.03 + 0.12 * t) * c.r.uniform(0.5, 1.3)
        if scene.sun or scene.moon:
            at_x = x + c.s * c.r.uniform(-0.5, 0.5) * (0.06 + 0.16 * t)
            c.rect(
                at_x - w / 2,
                y,
                w,
                c.s * (0.004 + 0.007 * t),
                shine,
                f'rx="{c.s * 0.003:.1f}" opacity="0.75"',
            )
        at_x = c.r.uniform(0, c.w)
        c.rect(
            at_x - w / 2,
            y,
            w,
            c.s * (0.003 + 0.004 * t),
            hexa(mix(near, WHITE, 0.3)),
            f'rx="{c.s * 0.002:.1f}" opacity="0.35"',
        )


def sea(c: Canvas, scene: Scene, p: Palette, horizon: float, x: float) -> None:
    if c.r.random() < 0.35:
        line = crags(c, horizon, c.s * 0.09, 4)
        c.land(line, p.lit(rgb("#5f7f8f"), 0.3), p.lit(rgb("#5f7f8f"), 0.2))
    water(c, scene, p, horizon, x)


def beach(c: Canvas, scene: Scene, p: Palette, horizon: float, x: float) -> None:
    water(c, scene, p, horizon, x)
    sand = p.lit(snowed(scene, rgb("#f3d9a4"), 0.85), 1.0)
    line = waves(c, c.h * c.r.uniform(0.74, 0.8), c.s * 0.03, 0.5)
    c.land([(a, b - c.s * 0.022) for a, b in line], mix(p.sky[-1], WHITE, 0.6), sand)
    c.land(line, sand, mix(sand, BLACK, 0.12))
    for _ in range(c.r.choice((0, 1, 2))):
        px = c.w * c.r.choice((c.r.uniform(0.03, 0.25), c.r.uniform(0.75, 0.97)))
        palm(
            c,
            px,
            c.h * c.r.uniform(0.82, 0.92),
            c.s * c.r.uniform(0.35, 0.55),
            p.lit(rgb("#3f9f55"), 1.0),
            p.lit(rgb("#8f6a45"), 1.0),
        )


def lake(c: Canvas, scene: Scene, p: Palette, horizon: float, x: float) -> None:
    shore = horizon + c.h * 0.03
    mark = len(c.parts)
    ridges(c, scene, p, horizon, min(c.h * 0.3, c.s * 0.42), shore)
    line = waves(c, horizon + c.h * 0.005, c.s * 0.012, 1.0)
    green = needles(scene)
    c.land(line, p.lit(field(scene), 0.55), p.lit(field(scene), 0.6), shore)
    spikes(c, line, c.s * 0.05, p.lit(green, 0.62))
    land = "".join(c.parts[mark:])
    water(c, scene, p, shore, x)
    c.mirror(land, shore, 0.42, ends_there=True)
    c.fade(shore, c.h, p.sky[0], 0.0, 0.4)


def islands(c: Canvas, scene: Scene, p: Palette, horizon: float, x: float) -> None:
    water(c, scene, p, horizon, x)
    n = c.r.choice((1, 2, 3))
    for i in range(n):
        t = (i + 1) / n
        y = horizon + (c.h - horizon) * (0.08 + 0.38 * t)
        ix, w = c.w * c.r.uniform(0.15, 0.85), c.s * (0.14 + 0.18 * t)
        d = 0.55 + 0.4 * t
        grass = hexa(p.lit(snowed(scene, rgb("#5fae52"), 0.9), d))
        c.oval(
            ix, y + w * 0.06, w * 1.15, w * 0.12, hexa(mix(p.sky[-1], WHITE, 0.35)), 'opacity="0.5"'
        )
        c.path(
            f"M{ix - w:.1f} {y + w * 0.05:.1f}Q{ix:.1f} {y - w * 0.5:.1f} {ix + w:.1f} "
            f"{y + w * 0.05:.1f}Q{ix:.1f} {y + w * 0.16:.1f} {ix - w:.1f} {y + w * 0.05:.1f}z",
            hexa(p.lit(snowed(scene, rgb("#f0d49a"), 0.85), d)),
        )
        c.oval(ix, y - w * 0.16, w * 0.55, w * 0.12, grass)
        for _ in range(c.r.choice((1, 2, 3))):
            palm(
                c,
                ix + w * c.r.uniform(-0.45, 0.45),
                y - w * 0.12,
                w * c.r.uniform(0.8, 1.2),
                p.lit(rgb("#3f9f55"), d),
                p.lit(rgb("#8f6a45"), d),
            )


def river(c: Canvas, scene: Scene, p: Palette, horizon: float) -> None:
    if c.r.random() < 0.7:
        ridges(c, scene, p, horizon, min(c.h * 0.25, c.s * 0.35))
    line = waves(c, horizon + c.h * 0.02, c.s * 0.015, 0.8)
    c.land(line, p.lit(field(scene), 0.5), p.lit(field(scene, 0.15), 1.0))
    vx, y0 = c.w * c.r.uniform(0.35, 0.65), horizon + c.h * 0.045
    swing = c.r.choice((-1, 1)) * c.w * 0.2
    fill = c.linear(
        [(0, mix(p.sky[-1], WHITE, 0.2), 1), (1, mix(p.sky[0], p.lit(rgb("#3f9fd0"), 1), 0.55), 1)]
    )
    c.poly(winding(c, vx, y0, c.s * 0.17, swing), fill)
    green = needles(scene)
    cap = p.lit(SNOW, 0.9) if scene.is_snowy else None
    for t in sorted(c.r.uniform(0.05, 0.75) for _ in range(9)):
        y = y0 + (c.h - y0) * t
        tx = c.w * c.r.choice((c.r.uniform(0, 0.2), c.r.uniform(0.8, 1)))
        pine(c, tx, y, c.s * (0.06 + 0.22 * t), p.lit(green, 0.55 + 0.4 * t), cap)


def waterfall(c: Canvas, scene: Scene, p: Palette, horizon: float) -> None:
    x, w = c.w * c.r.uniform(0.4, 0.6), c.s * c.r.uniform(0.12, 0.2)
    top, pool = horizon - min(c.h * 0.22, c.s * 0.34), c.h * 0.78
    edge = cliff(c, scene, p, top, pool)
    falling(c, p, x, w, height_at(edge, x) - c.s * 0.015, pool)
    for side in (-1, 1):
        for _ in range(3):
            tx = x + side * c.r.uniform(0.3, 0.62) * max(c.w * 0.8, c.s * 0.7)
            pine(
                c,
                tx,
                pool + c.s * c.r.uniform(0.0, 0.08),
                c.s * c.r.uniform(0.25, 0.42),
                p.lit(needles(scene), 0.95),
                p.lit(SNOW, 0.9) if scene.is_snowy else None,
            )
    bank = waves(c, c.h * 0.93, c.s * 0.02, 0.7)
    c.land(bank, p.lit(field(scene), 1.0), p.lit(field(scene, 0.2), 1.0))


def cliff(c: Canvas, scene: Scene, p: Palette, top: float, pool: float) -> Line:
    """A rock wall with grass on its edge. Returns the edge."""
    rock = p.lit(rgb("#7f8793"), 0.75)
    grass = p.lit(field(scene), 0.8)
    edge = crags(c, top + c.s * 0.06, c.s * 0.1, max(4, int(5 * c.w / c.s)))
    c.land([(x, y - c.s * 0.02) for x, y in edge], grass, grass)
    c.land(edge, rock, mix(rock, BLACK, 0.3))
    for _ in range(10):
        c.rect(
            c.r.uniform(0, c.w),
            c.r.uniform(top + c.s * 0.12, pool),
            c.s * c.r.uniform(0.04, 0.12),
            c.s * 0.012,
            hexa(mix(rock, BLACK, 0.2)),
            f'rx="{c.s * 0.005:.1f}"',
        )
    return edge


def falling(c: Canvas, p: Palette, x: float, w: float, top: float, pool: float) -> None:
    """Water falling from `top` into a pool, with foam at its foot."""
    foam = mix(p.lit(rgb("#f4fbff"), 0.8), WHITE, 0.2)
    blue = p.lit(rgb("#6fc0e8"), 0.85)
    c.rect(x - w / 2, top, w, pool - top, c.linear([(0, mix(blue, foam, 0.6), 1), (1, foam, 1)]))
    for k in range(6):
        c.rect(
            x - w / 2 + w * (k + c.r.random()) / 6,
            top + (pool - top) * c.r.uniform(0, 0.4),
            w * 0.05,
            (pool - top) * 0.5,
            hexa(blue),
            'opacity="0.7"',
        )
    deep = c.linear([(0, blue, 1), (1, mix(blue, p.shade, 0.5), 1)])
    c.rect(-9, pool, c.w + 18, c.h - pool + 9, deep)
    for _ in range(9):
        c.oval(
            x + w * c.r.uniform(-0.8, 0.8),
            pool + c.s * c.r.uniform(-0.01, 0.015),
            c.s * c.r.uniform(0.03, 0.06),
            c.s * 0.025,
            hexa(foam),
        )
