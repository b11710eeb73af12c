"""Tended land: a park, a garden, a farm, and a grassy cliff above the sea."""

from __future__ import annotations

from daguerre.models.embedded.drawing.canvas import Canvas
from daguerre.models.embedded.drawing.colour import BLACK, WHITE, hexa, mix, rgb
from daguerre.models.embedded.drawing.line import Line, height_at, waves, winding
from daguerre.models.embedded.drawing.palette import LAMPLIGHT, Palette, field, leaves, snowed
from daguerre.models.embedded.drawing.plants import blooms, round_tree
from daguerre.models.embedded.drawing.scene import Scene
from daguerre.models.embedded.drawing.street import lamp
from daguerre.models.embedded.drawing.water import water


def park(c: Canvas, scene: Scene, p: Palette, horizon: float) -> None:
    """Lawns with trees, a path that winds, a bench and a lamp."""
    _tree_line(c, scene, p, horizon + c.h * 0.05)
    line = waves(c, horizon + c.h * 0.05, c.s * 0.008, 0.7)
    c.land(line, p.lit(field(scene), 0.7), p.lit(field(scene, 0.15), 1.0))
    y0, side = horizon + c.h * 0.07, c.r.choice((-1, 1))
    tone = p.lit(snowed(scene, rgb("#e4cfa4"), 0.9), 0.95)
    path = winding(c, c.w * (0.5 - side * 0.12), y0, c.s * 0.16, side * c.w * 0.12)
    c.poly(path, hexa(tone))
    trunk = p.lit(rgb("#6b4a35"), 0.95)
    for edge in (0.0, 1.0):
        for _ in range(c.r.choice((1, 2))):
            x = c.w * abs(edge - c.r.uniform(0.0, 0.2))
            foot = c.h * c.r.uniform(0.68, 0.8)
            round_tree(
                c, x, foot, c.s * c.r.uniform(0.36, 0.5), p.lit(leaves(scene, c.r), 0.95), trunk
            )
    seat = c.w * (0.5 + side * c.r.uniform(0.2, 0.28))
    bench(c, p, seat, c.h * 0.72, c.s * 0.2)
    lamp(c, scene, p, seat - side * c.s * 0.17, c.h * 0.73, c.s * 0.27)


def _tree_line(c: Canvas, scene: Scene, p: Palette, y: float) -> None:
    """Round trees in the distance."""
    x = -c.s * 0.05
    while x < c.w + c.s * 0.05:
        h = c.s * c.r.uniform(0.12, 0.22)
        leaf = p.lit(leaves(scene, c.r), c.r.uniform(0.45, 0.6))
        round_tree(c, x, y + c.s * 0.02, h, leaf, p.lit(rgb("#6b4a35"), 0.6))
        x += h * c.r.uniform(0.3, 0.6)


def bench(c: Canvas, p: Palette, x: float, foot: float, s: float) -> None:
    c.shade(x, foot, s * 0.5)
    wood, iron = hexa(p.lit(rgb("#a8703f"), 0.95)), hexa(p.lit(rgb("#3f4552"), 0.95))
    for k in (-0.42, 0.38):
        c.rect(x + s * k, foot - s * 0.48, s * 0.05, s * 0.48, iron)
    for k in (0.5, 0.4, 0.24):
        c.rect(x - s * 0.5, foot - s * k, s, s * 0.075, wood, f'rx="{s * 0.02:.1f}"')


def garden(c: Canvas, scene: Scene, p: Palette, horizon: float) -> None:
    """A lawn before a hedge and a white fence, with beds of flowers."""
    _tree_line(c, scene, p, horizon + c.h * 0.04)
    hedge = p.lit(mix(leaves(scene, c.r), rgb("#2f7a45"), 0.3), 0.8)
    y = c.h * 0.6
    x = -c.s * 0.02
    while x < c.w + c.s * 0.05:
        k = c.s * c.r.uniform(0.04, 0.06)
        c.oval(x, y, k, k * 1.2, hexa(mix(hedge, BLACK, c.r.uniform(0.0, 0.12))))
        x += k
    lawn = p.lit(field(scene), 0.85)
    c.rect(
        -9, y + c.s * 0.02, c.w + 18, c.h, c.linear([(0, lawn, 1), (1, mix(lawn, BLACK, 0.1), 1)])
    )
    fence(c, p, c.h * 0.66, c.s * 0.13)
    line: Line = [(-9.0, c.h * 0.665), (c.w + 9, c.h * 0.665)]
    if not scene.is_snowy:
        bed = mix(p.lit(rgb("#7a5a3f"), 0.95), lawn, 0.35)
        c.rect(-9, c.h * 0.66, c.w + 18, c.h * 0.075, hexa(bed))
        blooms(c, [(a, b - c.h * 0.03) for a, b in line], 4, p, 0.5)
        for _ in range(int(26 * c.w / c.s)):
            k, x = c.s * c.r.uniform(0.012, 0.019), c.r.uniform(0, c.w)
            top = c.h * c.r.uniform(0.67, 0.72)
            c.rect(x - k * 0.1, top, k * 0.2, k * 2, hexa(p.lit(rgb("#3f8f45"), 1)))
            hue = c.r.choice(("#f25f7a", "#ffd34f", "#ffffff", "#b681e6", "#ff9550"))
            c.oval(x, top, k, k, hexa(p.lit(rgb(hue), 1.0)))
            c.oval(x, top, k * 0.4, k * 0.4, hexa(p.lit(rgb("#f7c23c"), 1)))
    trunk = p.lit(rgb("#6b4a35"), 0.95)
    at = c.w * c.r.choice((c.r.uniform(0.0, 0.12), c.r.uniform(0.88, 1.0)))
    round_tree(c, at, c.h * 0.8, c.s * 0.5, p.lit(leaves(scene, c.r), 0.95), trunk)


def fence(c: Canvas, p: Palette, foot: float, high: float, tone: str = "#ffffff") -> None:
    """Pickets across the picture."""
    wood = p.lit(rgb(tone), 0.95)
    for k in (0.75, 0.35):
        c.rect(-9, foot - high * k, c.w + 18, high * 0.1, hexa(mix(wood, BLACK, 0.1)))
    d, x, wide = [], -c.s * 0.02, high * 0.26
    while x < c.w:
        d.append(
            f"M{x:.1f} {foot:.1f}V{foot - high * 0.86:.1f}L{x + wide / 2:.1f} {foot - high:.1f}"
            f"L{x + wide:.1f} {foot - high * 0.86:.1f}V{foot:.1f}z"
        )
        x += wide * 1.7
    c.path("".join(d), hexa(wood))


def farm(c: Canvas, scene: Scene, p: Palette, horizon: float) -> None:
    """Fields in rows, a red barn with a silo, bales and a fence."""
    far = waves(c, horizon + c.h * 0.01, c.s * 0.02, 0.7)
    c.land(far, p.lit(mix(field(scene), rgb("#2f7a5a"), 0.15), 0.5), p.lit(field(scene), 0.6))
    line = waves(c, horizon + c.h * 0.08, c.s * 0.012, 0.5)
    crop = snowed(scene, rgb(c.r.choice(("#e3c25a", "#9fbf4f", "#c9b25a"))))
    c.land(line, p.lit(crop, 0.7), p.lit(mix(crop, BLACK, 0.1), 0.9))
    vx, y0 = c.w * c.r.uniform(0.3, 0.7), horizon + c.h * 0.06
    furrow = hexa(p.lit(mix(crop, rgb("#6a5a30"), 0.35), 0.85))
    for i in range(-12, 13):
        x = c.w / 2 + i * c.w * 0.16
        c.poly(
            [
                (vx + i * c.w * 0.03, y0 + c.h * 0.03),
                (x - c.s * 0.012, c.h),
                (x + c.s * 0.012, c.h),
            ],
            furrow,
            'opacity="0.55"',
        )
    side = c.r.choice((-1, 1))
    at = c.w * (0.5 + side * c.r.uniform(0.2, 0.3))
    barn(c, scene, p, at, height_at(line, at) + c.h * 0.035, c.s * 0.26)
    trunk = p.lit(rgb("#6b4a35"), 0.9)
    for _ in range(c.r.choice((1, 2, 3))):
        x = c.w * (0.5 - side * c.r.uniform(0.15, 0.5))
        y = height_at(line, x) + c.h * 0.02
        round_tree(c, x, y, c.s * c.r.uniform(0.14, 0.22), p.lit(leaves(scene, c.r), 0.75), trunk)
    lawn = waves(c, c.h * 0.77, c.s * 0.012, 0.6)
    for _ in range(c.r.choice((0, 2, 3))):
        x = c.w * (0.5 - side * c.r.uniform(0.1, 0.45))
        bale(c, p, x, c.h * c.r.uniform(0.69, 0.73), c.s * 0.055)
    c.land(lawn, p.lit(field(scene), 0.95), p.lit(field(scene, 0.18), 1.0))
    if c.r.random() < 0.6:
        fence(c, p, c.h * 0.79, c.s * 0.1, c.r.choice(("#a8794f", "#ffffff", "#c9a27a")))


def barn(c: Canvas, scene: Scene, p: Palette, x: float, foot: float, s: float) -> None:
    red, roof = p.lit(rgb("#c0392f"), 0.9), p.lit(snowed(scene, rgb("#6a4a48")), 0.9)
    white = hexa(p.lit(rgb("#fbf7ee"), 0.95))
    silo = p.lit(rgb("#c9ced6"), 0.9)
    left = x + s * 0.52
    c.rect(left, foot - s * 1.02, s * 0.26, s * 1.02, hexa(silo))
    c.rect(left + s * 0.17, foot - s * 1.02, s * 0.09, s * 1.02, hexa(mix(silo, BLACK, 0.14)))
    c.oval(left + s * 0.13, foot - s * 1.02, s * 0.13, s * 0.12, hexa(roof))
    c.poly(
        [
            (x - s * 0.5, foot),
            (x - s * 0.5, foot - s * 0.5),
            (x - s * 0.34, foot - s * 0.78),
            (x, foot - s * 0.94),
            (x + s * 0.34, foot - s * 0.78),
            (x + s * 0.5, foot - s * 0.5),
            (x + s * 0.5, foot),
        ],
        hexa(red),
    )
    edge = (
        f"M{x - s * 0.54:.1f} {foot - s * 0.48:.1f}L{x - s * 0.36:.1f} {foot - s * 0.8:.1f}"
        f"L{x:.1f} {foot - s * 0.97:.1f}L{x + s * 0.36:.1f} {foot - s * 0.8:.1f}"
        f"L{x + s * 0.54:.1f} {foot - s * 0.48:.1f}"
    )
    line = f'stroke="{hexa(roof)}" stroke-width="{s * 0.07:.1f}" stroke-linejoin="round"'
    c.path(edge, "none", line)
    pane = hexa(LAMPLIGHT if scene.is_dark else mix(red, BLACK, 0.45))
    c.rect(
        x - s * 0.09,
        foot - s * 0.72,
        s * 0.18,
        s * 0.16,
        pane,
        f'stroke="{white}" stroke-width="{s * 0.025:.1f}"',
    )
    c.rect(
        x - s * 0.2,
        foot - s * 0.42,
        s * 0.4,
        s * 0.42,
        hexa(mix(red, BLACK, 0.15)),
        f'stroke="{white}" stroke-width="{s * 0.03:.1f}"',
    )
    left, right, over = x - s * 0.2, x + s * 0.2, foot - s * 0.42
    cross = f"M{left:.1f} {foot:.1f}L{right:.1f} {over:.1f}"
    cross += f"M{left:.1f} {over:.1f}L{right:.1f} {foot:.1f}"
    c.path(cross, "none", f'stroke="{white}" stroke-width="{s * 0.025:.1f}"')


def bale(c: Canvas, p: Palette, x: float, y: float, k: float) -> None:
    straw = p.lit(rgb("#e0b955"), 0.9)
    c.rect(
        x - k * 0.2, y - k * 2, k * 1.3, k * 2, hexa(mix(straw, BLACK, 0.1)), f'rx="{k * 0.5:.1f}"'
    )
    c.oval(x - k * 0.1, y - k, k * 0.85, k, hexa(straw))
    for r in (0.6, 0.3):
        ring = f'stroke="{hexa(mix(straw, BLACK, 0.22))}" stroke-width="{k * 0.08:.1f}"'
        c.oval(x - k * 0.1, y - k, k * 0.85 * r, k * r, "none", ring)


def cliff_top(c: Canvas, scene: Scene, p: Palette, horizon: float, x: float) -> None:
    """The sea below chalk cliffs, with grass in the foreground."""
    water(c, scene, p, horizon, x)
    side = c.r.choice((-1, 1))
    edge = c.w * (0.5 - side * 0.5)
    for k in (0.0, 1.0):
        _headland(c, scene, p, edge, side, horizon, k)
    grass = p.lit(field(scene), 0.95)
    top = c.h * 0.77
    drop = c.w * (0.5 + side * 0.42)
    rock = p.lit(rgb("#a39482"), 0.95)
    c.path(
        f"M{edge - side * 9:.1f} {top:.1f}L{drop:.1f} {top + c.h * 0.03:.1f}"
        f"l{side * c.w * 0.02:.1f} {c.h * 0.08:.1f}l{side * c.w * 0.03:.1f} {c.h * 0.05:.1f}"
        f"l{-side * c.w * 0.01:.1f} {c.h * 0.12:.1f}H{edge - side * 9:.1f}z",
        c.linear([(0, rock, 1), (1, mix(rock, BLACK, 0.3), 1)]),
    )
    low = hexa(mix(grass, BLACK, 0.16))
    c.path(
        f"M{edge - side * 9:.1f} {top - c.h * 0.015:.1f}Q{c.w / 2:.1f} {top - c.h * 0.025:.1f} "
        f"{drop + side * 4:.1f} {top + c.h * 0.025:.1f}L{drop - side * c.w * 0.01:.1f} "
        f"{c.h * 0.9:.1f}L{drop - side * c.w * 0.05:.1f} {c.h + 9:.1f}H{edge - side * 9:.1f}z",
        c.linear([(0, mix(grass, WHITE, 0.06), 1), (1, rgb(low), 1)]),
    )
    for _ in range(int(16 * c.w / c.s)):
        tx, ty = c.r.uniform(0, c.w), c.h * c.r.uniform(0.82, 0.98)
        if (drop - tx) * side > c.w * 0.08:
            k = c.s * 0.014
            d = f"M{tx - k:.1f} {ty - k:.1f}l{k:.1f} {k:.1f}l{k:.1f} {-k:.1f}"
            c.path(d, "none", f'stroke="{low}" stroke-width="{c.s * 0.004:.1f}"')


def _headland(
    c: Canvas, scene: Scene, p: Palette, edge: float, side: int, horizon: float, k: float
) -> None:
    """A cliff in the distance; `k` is 0 for the farther one and 1 for the nearer one."""
    d = 0.45 + 0.3 * k
    chalk = p.lit(rgb("#efe7da"), d)
    far = c.w * (0.46 - 0.2 * k)
    high = c.s * (0.13 + 0.11 * k)
    foot = horizon + c.h * (0.015 + 0.06 * k)
    tip = edge + side * far
    points = [(edge - side * 9, foot), (edge - side * 9, foot - high)]
    n = 4
    for i in range(1, n + 1):
        points.append(
            (edge + side * far * i / n, foot - high * (1 - 0.1 * i * c.r.uniform(0.5, 1)))
        )
    points += [(tip + side * c.s * 0.03, foot - high * 0.3), (tip + side * c.s * 0.02, foot)]
    c.poly(points, c.linear([(0, chalk, 1), (1, mix(chalk, BLACK, 0.14), 1)]))
    ink = hexa(mix(chalk, BLACK, 0.14))
    for _ in range(7):
        x = edge + side * far * c.r.uniform(0.05, 0.95)
        c.rect(x, foot - high * c.r.uniform(0.4, 0.7), c.s * 0.008, high * 0.35, ink, 'rx="3"')
    turf = [points[1], *points[2 : n + 2]]
    lower = [(a, b + c.s * 0.02) for a, b in reversed(turf)]
    c.poly([*turf, *lower], hexa(p.lit(field(scene), d + 0.1)))
    c.rect(
        min(edge, tip),
        foot - c.s * 0.004,
        abs(tip - edge) + c.s * 0.03,
        c.s * 0.012,
        "#ffffff",
        'rx="5" opacity="0.5"',
    )
