"""Built places outdoors: a street with houses, a harbour, and a city on the other shore."""

from __future__ import annotations

from daguerre.models.embedded.drawing.canvas import Canvas
from daguerre.models.embedded.drawing.city import TOWERS, windows
from daguerre.models.embedded.drawing.colour import BLACK, WHITE, Rgb, hexa, mix, rgb
from daguerre.models.embedded.drawing.palette import LAMPLIGHT, Palette, leaves, snowed
from daguerre.models.embedded.drawing.plants import round_tree
from daguerre.models.embedded.drawing.scene import Scene
from daguerre.models.embedded.drawing.water import water

WALLS = ("#f2c98a", "#e8a08a", "#a9c7d8", "#f4e4c4", "#c9b6dc", "#b8d3a8", "#e6b7c0", "#d98f6a")
ROOFS = ("#a8453f", "#7a5a4a", "#5f6f8f", "#8f5040")
GLASS = rgb("#a8d3e8")


def street(c: Canvas, scene: Scene, p: Palette, horizon: float) -> None:
    """Houses in a row behind a pavement with lamps, and the road in front."""
    foot = c.h * 0.72
    x = -c.s * c.r.uniform(0.0, 0.1)
    while x < c.w:
        wide = c.s * c.r.uniform(0.17, 0.26)
        house(c, scene, p, x, foot, wide, min(c.h * 0.46, c.s * 0.55) * c.r.uniform(0.62, 1.0))
        x += wide
    stone = p.lit(snowed(scene, rgb("#c9c5c0"), 0.9), 1.0)
    tar = p.lit(snowed(scene, rgb("#61677a"), 0.8), 1.0)
    kerb = c.h * 0.79
    c.rect(
        -9, foot, c.w + 18, kerb - foot, c.linear([(0, mix(stone, BLACK, 0.1), 1), (1, stone, 1)])
    )
    c.rect(
        -9, kerb, c.w + 18, c.h - kerb + 9, c.linear([(0, mix(tar, BLACK, 0.12), 1), (1, tar, 1)])
    )
    c.rect(-9, kerb, c.w + 18, c.h * 0.012, hexa(mix(stone, WHITE, 0.35)))
    line = hexa(p.lit(rgb("#f6e7b0"), 1.0))
    for i in range(int(c.w / (c.s * 0.2)) + 2):
        c.rect((i - 0.4) * c.s * 0.2, c.h * 0.945, c.s * 0.1, c.h * 0.014, line, 'opacity="0.8"')
    for k in range(max(2, round(c.w / (c.s * 0.5)))):
        at = c.s * (0.14 + 0.5 * k) + c.s * c.r.uniform(-0.05, 0.05)
        if c.r.random() < 0.35:
            trunk = p.lit(rgb("#6b4a35"), 0.95)
            round_tree(c, at, c.h * 0.765, c.s * 0.3, p.lit(leaves(scene, c.r), 0.95), trunk)
        else:
            lamp(c, scene, p, at, c.h * 0.77, c.s * 0.3)


def house(
    c: Canvas, scene: Scene, p: Palette, x: float, foot: float, wide: float, high: float
) -> None:
    """A town house with a flat or a pitched roof, windows and a door or a shop."""
    wall = p.lit(rgb(c.r.choice(WALLS)), 0.92)
    roof = p.lit(snowed(scene, rgb(c.r.choice(ROOFS))), 0.92)
    top = foot - high
    if c.r.random() < 0.6:
        rise = wide * c.r.uniform(0.28, 0.5)
        c.poly([(x, top + 1), (x + wide / 2, top - rise), (x + wide, top + 1)], hexa(roof))
    else:
        c.rect(x - wide * 0.03, top - high * 0.03, wide * 1.06, high * 0.06, hexa(roof))
    c.rect(x, top, wide + 1, high + 2, c.linear([(0, wall, 1), (1, mix(wall, BLACK, 0.08), 1)]))
    c.rect(x + wide * 0.94, top, wide * 0.07, high, hexa(mix(wall, BLACK, 0.14)))
    floors = max(2, round(high / (wide * 0.62)))
    step = high * 0.98 / floors
    dark = scene.is_dark
    columns = 2 if wide < c.s * 0.21 else 3
    for level in range(floors - 1):
        for k in range(columns):
            lit = dark and c.r.random() < 0.6
            wx = x + wide * (k + 0.5) / columns - wide * 0.09
            _pane(c, p, wall, wx, top + step * (level + 0.24), wide * 0.18, step * 0.5, lit)
    _ground_floor(c, p, wall, (x, foot - step * 0.82, wide, step * 0.82), dark)


def _pane(
    c: Canvas, p: Palette, wall: Rgb, x: float, y: float, wide: float, high: float, lit: bool
) -> None:
    frame = hexa(mix(wall, WHITE, 0.55))
    c.rect(x - wide * 0.12, y - wide * 0.12, wide * 1.24, high + wide * 0.24, frame)
    c.rect(x, y, wide, high, hexa(LAMPLIGHT if lit else p.lit(GLASS, 0.9)))
    c.rect(x + wide * 0.46, y, wide * 0.08, high, frame)


def _ground_floor(
    c: Canvas, p: Palette, wall: Rgb, box: tuple[float, float, float, float], dark: bool
) -> None:
    x, y, wide, high = box
    tone = p.lit(rgb(c.r.choice(("#8a4b3a", "#3f6f8a", "#4f7a55", "#7a4a6a"))), 0.95)
    if c.r.random() < 0.45:
        _pane(c, p, wall, x + wide * 0.12, y + high * 0.3, wide * 0.48, high * 0.42, dark)
        c.rect(x + wide * 0.7, y + high * 0.26, wide * 0.2, high * 0.74, hexa(tone))
        stripe = wide * 0.9 / 6
        for i in range(6):
            cloth = hexa(tone if i % 2 else p.lit(rgb("#f7f1e6"), 0.95))
            left = x + wide * 0.05 + i * stripe
            c.path(
                f"M{left:.1f} {y + high * 0.04:.1f}h{stripe:.1f}v{high * 0.2:.1f}"
                f"a{stripe / 2:.1f} {stripe / 2:.1f} 0 0 1 {-stripe:.1f} 0z",
                cloth,
            )
        return
    door = x + wide * c.r.choice((0.14, 0.4, 0.64))
    c.rect(door - wide * 0.03, y + high * 0.2, wide * 0.28, high * 0.8, hexa(mix(wall, WHITE, 0.5)))
    c.rect(door, y + high * 0.24, wide * 0.22, high * 0.76, hexa(tone))
    for k in (0.14, 0.4, 0.64):
        if abs(x + wide * k - door) > wide * 0.2:
            _pane(c, p, wall, x + wide * k, y + high * 0.26, wide * 0.2, high * 0.4, dark)


def lamp(c: Canvas, scene: Scene, p: Palette, x: float, foot: float, high: float) -> None:
    """A street lamp, lit in the dark."""
    iron = hexa(p.lit(rgb("#3a4152"), 0.95))
    dark = scene.is_dark
    if dark:
        c.glow(x, foot - high, high * 0.55, rgb("#ffd98a"), 0.7)
        c.glow(x, foot, high * 0.5, rgb("#ffd98a"), 0.35, 0.22)
    else:
        c.shade(x, foot, high * 0.1)
    c.rect(x - high * 0.016, foot - high * 0.94, high * 0.032, high * 0.94, iron)
    c.rect(x - high * 0.045, foot - high * 0.05, high * 0.09, high * 0.05, iron)
    glass = "#fff0b8" if dark else hexa(p.lit(rgb("#eef3f7"), 0.95))
    c.poly(
        [
            (x - high * 0.075, foot - high * 1.08),
            (x + high * 0.075, foot - high * 1.08),
            (x + high * 0.045, foot - high * 0.93),
            (x - high * 0.045, foot - high * 0.93),
        ],
        glass,
    )
    c.poly(
        [
            (x - high * 0.1, foot - high * 1.07),
            (x, foot - high * 1.15),
            (x + high * 0.1, foot - high * 1.07),
        ],
        iron,
    )


def waterfront(c: Canvas, scene: Scene, p: Palette, horizon: float, x: float) -> None:
    """Towers on the far shore, mirrored in the water."""
    shore = c.h * 0.6
    mark = len(c.parts)
    dark = scene.is_dark
    for i in range(2):
        d = 0.35 + 0.35 * i
        tone = p.lit(rgb(c.r.choice(TOWERS)), d)
        left = -c.s * c.r.uniform(0, 0.08)
        while left < c.w:
            wide = c.s * c.r.uniform(0.05, 0.11)
            high = min(c.h * 0.36, c.s * 0.44) * c.r.uniform(0.35, 1.0) * (1.0 - 0.3 * i)
            shade = mix(tone, BLACK, c.r.uniform(0, 0.12))
            c.rect(left, shore - high, wide, high + 2, hexa(shade))
            if c.r.random() < 0.15:
                c.rect(
                    left + wide * 0.46, shore - high * 1.16, wide * 0.08, high * 0.17, hexa(shade)
                )
            windows(c, left, shore - high, wide, high, dark, p, d)
            left += wide * c.r.uniform(0.9, 1.3)
    green = p.lit(leaves(scene, c.r), 0.7)
    left = -c.s * 0.02
    while left < c.w:
        k = c.s * c.r.uniform(0.016, 0.03)
        c.oval(left, shore - k * 0.5, k * 1.5, k, hexa(mix(green, BLACK, c.r.uniform(0, 0.15))))
        left += k * c.r.uniform(1.4, 3.2)
    city = "".join(c.parts[mark:])
    water(c, scene, p, shore, x)
    c.mirror(city, shore, 0.36, 0.8)
    c.rect(-9, shore - c.h * 0.006, c.w + 18, c.h * 0.012, hexa(p.lit(rgb("#b9b3a8"), 0.75)))


def harbour(c: Canvas, scene: Scene, p: Palette, horizon: float, x: float) -> None:
    """Coloured houses behind a quay, with moored boats."""
    shore = c.h * 0.58
    mark = len(c.parts)
    left = -c.s * c.r.uniform(0.0, 0.08)
    while left < c.w:
        wide = c.s * c.r.uniform(0.1, 0.15)
        house(c, scene, p, left, shore, wide, min(c.h * 0.24, c.s * 0.3) * c.r.uniform(0.6, 1.0))
        left += wide
    town = "".join(c.parts[mark:])
    water(c, scene, p, shore, x)
    c.mirror(town, shore, 0.3, 0.7)
    stone = p.lit(snowed(scene, rgb("#a39a90"), 0.9), 0.85)
    c.rect(-9, shore - c.h * 0.004, c.w + 18, c.h * 0.03, hexa(stone))
    c.rect(-9, shore + c.h * 0.02, c.w + 18, c.h * 0.012, hexa(mix(stone, BLACK, 0.25)))
    n = max(3, round(3.4 * c.w / c.s))
    for i in range(n):
        at = c.w * (i + c.r.uniform(0.2, 0.8)) / n
        moored(c, p, at, shore + c.h * c.r.uniform(0.045, 0.075), c.s * c.r.uniform(0.08, 0.12))


def moored(c: Canvas, p: Palette, x: float, y: float, s: float) -> None:
    """A small boat with a bare mast."""
    hull = p.lit(rgb(c.r.choice(("#f4f1ea", "#c8503f", "#3f7fb5", "#e8b84a", "#4f8f7a"))), 0.9)
    mast = hexa(p.lit(rgb("#7a5f48"), 0.9))
    c.rect(x - s * 0.02, y - s * 1.25, s * 0.04, s * 1.2, mast)
    c.poly(
        [(x + s * 0.05, y - s * 1.15), (x + s * 0.05, y - s * 0.3), (x + s * 0.42, y - s * 0.3)],
        hexa(p.lit(rgb("#fbf7ee"), 0.92)),
    )
    c.path(
        f"M{x - s * 0.6:.1f} {y - s * 0.22:.1f}H{x + s * 0.62:.1f}"
        f"Q{x + s * 0.5:.1f} {y + s * 0.06:.1f} {x + s * 0.3:.1f} {y + s * 0.06:.1f}"
        f"H{x - s * 0.36:.1f}Q{x - s * 0.52:.1f} {y + s * 0.02:.1f} {x - s * 0.6:.1f} "
        f"{y - s * 0.22:.1f}z",
        hexa(hull),
    )
    c.rect(x - s * 0.5, y + s * 0.05, s * 0.9, s * 0.035, "#ffffff", 'opacity="0.35"')
