"""Pieces of rooms: sofas, beds, shelves of books, cupboards, lamps, small windows and tables.

They are the background of indoor scenes. Lengths are in units of the picture.
"""

from __future__ import annotations

from daguerre.models.embedded.drawing.aloft import draw_aloft, outside
from daguerre.models.embedded.drawing.canvas import Canvas
from daguerre.models.embedded.drawing.colour import BLACK, SHADOW, WHITE, Rgb, hexa, mix, rgb
from daguerre.models.embedded.drawing.scene import Scene

WOODS = ("#c98f5a", "#b57a4a", "#d9a871", "#9c6b45", "#e0bd8f")
CLOTHS = ("#e2605c", "#5aa9e6", "#7cc68d", "#f7a8c0", "#9d84d6", "#f3c969", "#f4efe6")
BOOKS = ("#c8503f", "#3f7fb5", "#e8b84a", "#4f8f6a", "#7a5a9a", "#d98f6a", "#2f4f6f", "#a8435f")
SKIES = {
    "night": ("#0f1a4a", "#34519a"),
    "sunset": ("#f2727a", "#ffd09a"),
    "": ("#7cc4f0", "#dff2fb"),
}


def rounded(k: float) -> str:
    return f'rx="{k:.1f}"'


def wood(c: Canvas) -> Rgb:
    return rgb(c.r.choice(WOODS))


def cloth(c: Canvas) -> Rgb:
    return rgb(c.r.choice(CLOTHS))


def small_window(c: Canvas, scene: Scene, x: float, y: float, w: float, h: float) -> None:
    """A window with the sky of the hour and its objects; (x, y) is its top left corner."""
    sky = SKIES.get("night" if scene.is_after_sunset else scene.time, SKIES[""])
    k = c.s * 0.014
    c.rect(x - k, y - k, w + 2 * k, h + 2 * k, "#f7f4ee")
    c.rect(x, y, w, h, c.linear([(0, rgb(sky[0]), 1), (1, rgb(sky[1]), 1)]))
    beyond = outside(scene)
    if beyond:
        draw_aloft(c, beyond, x, y, w, h)
    elif scene.is_after_sunset:
        c.oval(x + w * 0.7, y + h * 0.28, w * 0.09, w * 0.09, "#fdf6d8")
    else:
        for dx, dy, rx in ((0.3, 0.35, 0.16), (0.42, 0.38, 0.12), (0.74, 0.62, 0.12)):
            c.oval(x + w * dx, y + h * dy, w * rx, w * rx * 0.4, "#ffffff", 'opacity="0.85"')
    c.rect(x + w / 2 - k * 0.35, y, k * 0.7, h, "#f7f4ee")
    c.rect(x, y + h / 2 - k * 0.35, w, k * 0.7, "#f7f4ee")
    c.rect(x - k * 1.8, y + h + k * 0.6, w + 3.6 * k, k * 1.1, "#e9e4da", rounded(k * 0.3))


def drapes(c: Canvas, x: float, y: float, w: float, h: float, tone: Rgb) -> None:
    """Curtains at both sides of a window."""
    c.rect(x - w * 0.24, y - h * 0.1, w * 1.48, h * 0.035, "#8a6a4f", rounded(h * 0.017))
    for left in (x - w * 0.22, x + w * 0.94):
        c.rect(left, y - h * 0.07, w * 0.28, h * 1.35, hexa(tone), rounded(w * 0.03))
        for k in (0.09, 0.19):
            fold = hexa(mix(tone, BLACK, 0.13))
            c.rect(left + w * k, y - h * 0.05, w * 0.018, h * 1.3, fold)


def painting(c: Canvas, x: float, y: float, w: float, h: float) -> None:
    """A framed picture of hills."""
    k = c.s * 0.012
    c.rect(x - k, y - k, w + 2 * k, h + 2 * k, hexa(mix(wood(c), BLACK, 0.2)))
    c.rect(x, y, w, h, c.r.choice(("#bfe3f2", "#fbe0c4", "#d9d3f0")))
    c.path(
        f"M{x:.1f} {y + h:.1f}V{y + h * 0.7:.1f}Q{x + w * 0.3:.1f} {y + h * 0.4:.1f} "
        f"{x + w * 0.55:.1f} {y + h * 0.7:.1f}T{x + w:.1f} {y + h * 0.6:.1f}V{y + h:.1f}z",
        c.r.choice(("#6fae6a", "#e0a45a", "#5f8fb5")),
    )
    c.oval(x + w * 0.72, y + h * 0.28, w * 0.09, w * 0.09, "#ffd75e")


def floor_lamp(c: Canvas, scene: Scene, x: float, foot: float, h: float) -> None:
    iron = "#5a5048"
    _lamplight(c, scene, x, foot - h * 0.88, h * 0.6)
    c.rect(x - h * 0.012, foot - h * 0.8, h * 0.024, h * 0.8, iron)
    c.oval(x, foot, h * 0.11, h * 0.022, iron)
    _lampshade(c, x, foot - h, h * 0.09, foot - h * 0.76, h * 0.14)


def bedside_lamp(c: Canvas, scene: Scene, x: float, foot: float, h: float) -> None:
    _lamplight(c, scene, x, foot - h * 0.7, h * 1.6)
    c.rect(x - h * 0.05, foot - h * 0.5, h * 0.1, h * 0.5, "#8a6a4f")
    _lampshade(c, x, foot - h, h * 0.2, foot - h * 0.45, h * 0.34)


def _lamplight(
    c: Canvas, scene: Scene, x: float, y: float, reach: float, alpha: float = 0.75
) -> None:
    """The light of a lamp, which is lit after sunset."""
    if scene.is_after_sunset:
        c.glow(x, y, reach, rgb("#ffd98a"), alpha)


def _lampshade(
    c: Canvas, x: float, top: float, half_top: float, low: float, half_low: float
) -> None:
    shape = [(x - half_low, low), (x - half_top, top), (x + half_top, top), (x + half_low, low)]
    c.poly(shape, "#ffe9b8")


def pot_plant(c: Canvas, x: float, foot: float, h: float) -> None:
    leaf = rgb(c.r.choice(("#4f9a5f", "#5fae6a", "#3f8f6a")))
    for dx, dy in ((-0.3, 0.7), (0.3, 0.72), (-0.14, 0.92), (0.16, 0.94), (0.0, 1.0)):
        tx, ty = x + dx * h, foot - dy * h
        c.path(
            f"M{x:.1f} {foot - h * 0.3:.1f}Q{x + dx * h * 0.2:.1f} {ty:.1f} {tx:.1f} {ty:.1f}"
            f"Q{x + dx * h * 1.3:.1f} {foot - h * 0.5:.1f} {x:.1f} {foot - h * 0.3:.1f}z",
            hexa(mix(leaf, BLACK, abs(dx) * 0.4)),
        )
    pot = c.r.choice(("#c8703f", "#e8e2d8", "#5f7f9f"))
    c.poly(
        [
            (x - h * 0.17, foot - h * 0.34),
            (x + h * 0.17, foot - h * 0.34),
            (x + h * 0.12, foot),
            (x - h * 0.12, foot),
        ],
        pot,
    )


def sofa(c: Canvas, x: float, foot: float, w: float, tone: Rgb) -> None:
    h, dark, light = w * 0.42, mix(tone, BLACK, 0.14), mix(tone, WHITE, 0.14)
    for k in (-0.42, 0.38):
        c.rect(x + w * k, foot - h * 0.12, w * 0.04, h * 0.12, "#5a4436")
    c.rect(x - w * 0.44, foot - h, w * 0.88, h * 0.85, hexa(dark), rounded(w * 0.05))
    for k in (-0.39, 0.01):
        c.rect(x + w * k, foot - h * 0.9, w * 0.38, h * 0.5, hexa(tone), rounded(w * 0.03))
        c.rect(x + w * k, foot - h * 0.46, w * 0.38, h * 0.2, hexa(light), rounded(w * 0.025))
    c.rect(x - w * 0.4, foot - h * 0.3, w * 0.8, h * 0.2, hexa(dark))
    for k in (-0.5, 0.39):
        c.rect(x + w * k, foot - h * 0.62, w * 0.11, h * 0.54, hexa(tone), rounded(w * 0.04))


def bed(c: Canvas, x: float, foot: float, w: float, tone: Rgb) -> None:
    """A bed seen from its side, with the pillow on the left."""
    h, frame = w * 0.42, wood(c)
    dark = hexa(mix(frame, BLACK, 0.2))
    c.rect(x - w * 0.5, foot - h * 1.05, w * 0.06, h * 1.05, dark, rounded(w * 0.02))
    c.rect(x + w * 0.45, foot - h * 0.62, w * 0.05, h * 0.62, dark, rounded(w * 0.02))
    c.rect(x - w * 0.46, foot - h * 0.32, w * 0.93, h * 0.16, hexa(frame))
    c.rect(x - w * 0.45, foot - h * 0.52, w * 0.91, h * 0.22, "#fbf8f2", rounded(w * 0.03))
    c.rect(x - w * 0.43, foot - h * 0.72, w * 0.23, h * 0.24, "#ffffff", rounded(w * 0.05))
    c.path(
        f"M{x - w * 0.2:.1f} {foot - h * 0.58:.1f}Q{x - w * 0.18:.1f} {foot - h * 0.64:.1f} "
        f"{x - w * 0.1:.1f} {foot - h * 0.64:.1f}H{x + w * 0.44:.1f}Q{x + w * 0.47:.1f} "
        f"{foot - h * 0.6:.1f} {x + w * 0.47:.1f} {foot - h * 0.2:.1f}H{x - w * 0.22:.1f}z",
        hexa(tone),
    )
    c.rect(x - w * 0.2, foot - h * 0.6, w * 0.08, h * 0.4, hexa(mix(tone, WHITE, 0.45)))


def books(c: Canvas, x: float, y: float, w: float, h: float) -> None:
    """A row of books on a board at the height y."""
    at = x
    while at < x + w * 0.97:
        k = min(h * c.r.uniform(0.14, 0.26), x + w - at)
        if c.r.random() < 0.1:
            at += k
            continue
        high = h * c.r.uniform(0.72, 0.95)
        tone = rgb(c.r.choice(BOOKS))
        c.rect(at, y - high, k * 0.94, high, hexa(tone))
        c.rect(at, y - high * 0.82, k * 0.94, high * 0.08, hexa(mix(tone, WHITE, 0.55)))
        at += k


def bookcase(c: Canvas, x: float, top: float, w: float, foot: float, tone: Rgb) -> None:
    """A bookcase full of books."""
    h, k = foot - top, c.s * 0.014
    c.rect(x, top, w, h, hexa(mix(tone, BLACK, 0.45)))
    rows = max(2, round(h / (c.s * 0.135)))
    step = (h - k) / rows
    for i in range(rows):
        low = top + k + step * (i + 1)
        books(c, x + k, low - k, w - 2 * k, step - k)
        c.rect(x, low - k, w, k, hexa(tone))
    c.rect(x, top, w, k, hexa(mix(tone, WHITE, 0.1)))
    for side in (x, x + w - k):
        c.rect(side, top, k, h, hexa(mix(tone, BLACK, 0.12)))


def cupboard(c: Canvas, x: float, y: float, w: float, h: float, tone: Rgb, doors: int) -> None:
    """A cupboard with doors and knobs."""
    c.rect(x, y, w, h, hexa(mix(tone, BLACK, 0.12)))
    step, k = w / doors, c.s * 0.008
    for i in range(doors):
        left = x + i * step + k
        c.rect(left, y + k, step - 2 * k, h - 2 * k, hexa(tone), rounded(k))
        knob = left + (step - 2 * k) * (0.86 if i % 2 == 0 else 0.14)
        c.oval(knob, y + h * 0.5, k * 0.9, k * 0.9, "#8a6f4f")


def table(c: Canvas, x: float, top: float, w: float, foot: float) -> None:
    """A table with two legs in front."""
    tone, thick = wood(c), c.s * 0.03
    for side in (-1, 1):
        c.rect(
            x + side * w * 0.42 - c.s * 0.012,
            top,
            c.s * 0.024,
            foot - top,
            hexa(mix(tone, BLACK, 0.28)),
        )
    c.oval(x, foot, w * 0.5, c.s * 0.015, SHADOW, 'opacity="0.18"')
    c.rect(x - w / 2, top, w, thick, hexa(mix(tone, WHITE, 0.08)), rounded(thick * 0.3))


def pendant(c: Canvas, scene: Scene, x: float, drop: float, k: float) -> None:
    """A lamp that hangs from the ceiling."""
    _lamplight(c, scene, x, drop + k * 0.5, k * 4, 0.6)
    c.rect(x - k * 0.05, 0, k * 0.1, drop, "#3a3f4a")
    c.path(
        f"M{x - k:.1f} {drop + k:.1f}A{k:.1f} {k:.1f} 0 0 1 {x + k:.1f} {drop + k:.1f}z", "#3f5a6a"
    )
    c.oval(x, drop + k, k * 0.3, k * 0.22, "#fff0b8")
