"""Mountains and rocky terrains: mountain ranges, rolling slopes, canyon, volcano.

`ridges` and `slopes` are also the background of other terrains.
"""

from __future__ import annotations

from daguerre.models.embedded.drawing.canvas import Canvas
from daguerre.models.embedded.drawing.colour import BLACK, Rgb, hexa, mix, rgb
from daguerre.models.embedded.drawing.line import Line, crags, height_at, waves
from daguerre.models.embedded.drawing.palette import SNOW, Palette, field, leaves, needles, snowed
from daguerre.models.embedded.drawing.plants import framing_pines, round_tree, spikes
from daguerre.models.embedded.drawing.scene import Scene


def mountains(c: Canvas, scene: Scene, p: Palette, horizon: float) -> None:
    ridges(c, scene, p, horizon, min(c.h * 0.36, c.s * 0.5))
    slopes(c, scene, p, horizon + c.h * 0.06, c.r.choice((2, 3)), c.s * 0.03)
    if not scene.objects and c.r.random() < 0.9:
        cap = p.lit(SNOW, 0.95) if scene.is_snowy else None
        framing_pines(c, (0.16, 0.36), p.lit(needles(scene), 1.0), cap, (1, 2, 3, 4))


def ridges(
    c: Canvas, scene: Scene, p: Palette, horizon: float, tall: float, low: float | None = None
) -> None:
    """Distant ridges, in half of the pictures with large peaks before them; they end at `low`."""
    r = c.r
    rock = rgb(r.choice(("#6f7fa8", "#7a7396", "#6b8a94", "#8a7f8f")))
    style = r.random()
    far = 2 if style < 0.5 else 4
    low = low or horizon + c.h * 0.14
    for i in range(far):
        d = 0.08 + 0.5 * i / far
        line = crags(
            c,
            horizon + c.h * 0.02 * i,
            tall * (1.0 - 0.16 * i) * r.uniform(0.8, 1.05),
            max(3, int(r.uniform(3, 5.5) * c.w / c.s)),
        )
        top = p.lit(rock, d)
        c.land(line, top, mix(top, p.haze, 0.45), low)
    if style < 0.5:
        n = max(2, round(r.uniform(1.6, 2.6) * c.w / c.s))
        xs = [(i + r.uniform(0.2, 0.8)) * c.w / n for i in range(n)]
        r.shuffle(xs)
        for i, x in enumerate(xs):
            d = 0.50 + 0.22 * i / n
            cap = p.lit(SNOW, d + 0.1)
            cap = mix(cap, p.light, 0.25 if scene.time in ("sunset", "dawn") else 0.1)
            h = tall * r.uniform(0.8, 1.2)
            peak(c, x, horizon + c.h * 0.04, h * r.uniform(1.1, 1.6), h, p.lit(rock, d), cap, low)
    c.fade(horizon - tall * 0.35, horizon + c.h * 0.08, p.haze, 0.0, 0.45)


def peak(
    c: Canvas, x: float, y: float, w: float, h: float, colour: Rgb, cap: Rgb, base: float
) -> None:
    """One mountain down to `base`, with a shaded side and a zigzag snow cap."""
    tip = (x, y - h)
    left, right = x - w * c.r.uniform(0.48, 0.6), x + w * c.r.uniform(0.48, 0.6)
    grow = (base - y) / h
    l2, r2 = left - (x - left) * grow, right + (right - x) * grow
    c.poly([tip, (r2, base), (l2, base)], hexa(colour))
    side = c.shaded_side(x)
    low, edge = (r2, right) if side > 0 else (l2, left)
    wide = w * side
    c.poly(
        [
            tip,
            (low, base),
            (x - wide * 0.1, base),
            (x + wide * 0.06, y - h * 0.45),
            (x - wide * 0.02, y - h * 0.7),
        ],
        hexa(mix(colour, BLACK, 0.14)),
    )
    k = c.r.uniform(0.24, 0.36)
    far, near, cy = x + (left + right - edge - x) * k, x + (edge - x) * k, y - h * (1 - k)
    dip = h * k * 0.32
    shaded = [
        tip,
        (near, cy),
        (x + (near - x) * 0.62, cy - dip),
        (x + (near - x) * 0.3, cy + dip * 0.5),
    ]
    c.poly(
        [
            *shaded,
            (x, cy - dip * 0.6),
            (x + (far - x) * 0.35, cy + dip * 0.4),
            (x + (far - x) * 0.65, cy - dip * 0.7),
            (far, cy),
        ],
        hexa(cap),
    )
    c.poly([*shaded, (x - wide * 0.01, y - h * 0.8)], hexa(mix(cap, colour, 0.32)))


def slopes(
    c: Canvas,
    scene: Scene,
    p: Palette,
    y: float,
    n: int,
    swing: float,
    with_groves: bool = False,
) -> Line:
    """Rolling layers from y down to the foreground. Returns the nearest line."""
    line: Line = []
    for i in range(n):
        t = i / max(1, n - 1)
        d = 0.32 + 0.68 * t
        line = waves(c, y + (c.h * 0.84 - y) * t, swing * (0.6 + 0.5 * t), c.r.uniform(0.6, 1.1))
        wood = (rgb("#2f7a5a"), 0.0 if scene.is_snowy else 0.22 * c.r.random())
        foot = mix(p.lit(mix(field(scene, 0.18), *wood), d), p.haze, 0.3 * (1 - t))
        low = y + (c.h * 0.84 - y) * (i + 1) / max(1, n - 1) + 2.2 * swing if t < 1 else None
        c.land(line, p.lit(mix(field(scene), *wood), d), foot, low)
        if c.r.random() < (0.25 if with_groves else 0.5) and t < 0.95:
            green = needles(scene)
            spikes(c, line, c.s * (0.035 + 0.05 * t), p.lit(green, d + 0.04))
        elif with_groves:
            grove(c, scene, p, line, t)
    return line


def grove(c: Canvas, scene: Scene, p: Palette, line: Line, t: float) -> None:
    """Round trees along a line, smaller and paler in the distance; `t` is 0 there, 1 in front."""
    at, wide = c.w * c.r.random(), c.s * (0.1 + 0.2 * t)
    for _ in range(c.r.choice((0, 2, 3, 5))):
        x = at + wide * c.r.uniform(-1, 1)
        high = c.s * (0.05 + 0.13 * t) * c.r.uniform(0.7, 1.15)
        leaf, trunk = (
            p.lit(leaves(scene, c.r), 0.3 + 0.65 * t),
            p.lit(rgb("#6b4a35"), 0.4 + 0.5 * t),
        )
        round_tree(c, x, height_at(line, x) + c.s * 0.012, high, leaf, trunk)


def canyon(c: Canvas, scene: Scene, p: Palette, horizon: float) -> None:
    rock = rgb(c.r.choice(("#c9683f", "#b85a40", "#d0804f")))
    for i in range(3):
        d = 0.25 + 0.28 * i
        base = horizon + c.h * (0.03 + 0.06 * i)
        for _ in range(max(1, round((3 - i) * c.w / c.s))):
            x, w = c.r.uniform(0, c.w), c.s * c.r.uniform(0.10, 0.24)
            h = c.s * c.r.uniform(0.12, 0.32)
            tone = p.lit(rock, d)
            foot = w * 1.5
            c.poly(
                [
                    (x - w / 2, base - h),
                    (x + w / 2, base - h),
                    (x + w * 0.58, base - h * 0.4),
                    (x + foot, base + 9),
                    (x - foot, base + 9),
                    (x - w * 0.58, base - h * 0.4),
                ],
                hexa(tone),
            )
            for k, band in ((0.12, 0.06), (0.3, 0.04), (0.48, 0.05)):
                c.rect(x - w * 0.5, base - h * (1 - k), w, h * band, hexa(mix(tone, BLACK, 0.14)))
            if scene.is_snowy:
                c.rect(x - w / 2, base - h, w, h * 0.06, hexa(p.lit(SNOW, d)))
        c.land(
            waves(c, base, c.s * 0.012, 0.8),
            p.lit(snowed(scene, mix(rock, rgb("#e8b070"), 0.5), 0.9), d + 0.1),
            p.lit(snowed(scene, rock, 0.8), d + 0.15),
        )


def volcano(c: Canvas, scene: Scene, p: Palette, horizon: float) -> None:
    x, h = c.w * c.r.uniform(0.38, 0.62), min(c.h * 0.4, c.s * 0.5)
    y = horizon + c.h * 0.05
    top = h * 0.16
    c.glow(x, y - h, h * 0.9, rgb("#ff7a3c"), 0.65)
    for i in range(7):
        size = c.s * (0.06 + 0.025 * i)
        c.oval(
            x + c.s * 0.03 * i * c.r.uniform(0.2, 1.2),
            y - h - c.s * (0.02 + 0.05 * i),
            size,
            size * 0.8,
            hexa(mix(p.lit(rgb("#6a6470"), 0.7), p.haze, 0.3)),
            'opacity="0.75"',
        )
    cone(c, x, y, h, top, p.lit(rgb("#6a4f58"), 0.7))
    slopes(c, scene, p, horizon + c.h * 0.08, 3, c.s * 0.03)


def cone(c: Canvas, x: float, y: float, h: float, top: float, tone: Rgb) -> None:
    """A mountain with lava running over the rim of its crater; `top` is half the crater's width."""
    foot, low = h * 1.1, y + h * 0.3
    c.poly([(x - top, y - h), (x + top, y - h), (x + foot, low), (x - foot, low)], hexa(tone))
    c.poly(
        [(x + top * 0.2, y - h), (x + top, y - h), (x + foot, low), (x + h * 0.2, low)],
        hexa(mix(tone, BLACK, 0.2)),
    )
    lava = c.linear([(0, rgb("#ffe066"), 1), (1, rgb("#f2502e"), 1)])
    c.path(
        f"M{x - top * 0.8:.1f} {y - h:.1f}h{top * 1.6:.1f}l{-top * 0.3:.1f} {h * 0.3:.1f}"
        f"l{top * 0.35:.1f} {h * 0.3:.1f}l{-top * 0.5:.1f} {-h * 0.14:.1f}l{-top * 0.2:.1f} "
        f"{h * 0.34:.1f}l{-top * 0.35:.1f} {-h * 0.42:.1f}l{-top * 0.4:.1f} {h * 0.1:.1f}z",
        lava,
    )
    c.oval(x, y - h, top, top * 0.22, "#ffdf6b")
