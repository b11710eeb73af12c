"""Objects with words: a shirt, a book, a cake, a mug and the front of a shop."""

from __future__ import annotations

from daguerre.models.embedded.drawing.canvas import Canvas
from daguerre.models.embedded.drawing.colour import BLACK, WHITE, hexa, mix, rgb
from daguerre.models.embedded.drawing.surfaces import (
    CLOTHS,
    CREAM,
    INK,
    Box,
    ink_on,
    panel,
    tone,
    write,
)


def shirt(c: Canvas, box: Box, words: str, colour: str) -> None:
    """A T-shirt with words on its chest."""
    cloth = tone(c, colour, ("#fdfbf5", "#2b2d42", *CLOTHS))
    dark = mix(cloth, BLACK, 0.14)

    def at(x: float, y: float) -> str:
        return f"{box.x + x * box.w:.1f} {box.y + y * box.h:.1f}"

    outline = (
        f"M{at(0.35, 0.03)}Q{at(0.5, 0.17)} {at(0.65, 0.03)}L{at(0.8, 0.08)}L{at(1, 0.33)}"
        f"L{at(0.86, 0.45)}L{at(0.78, 0.37)}L{at(0.79, 0.96)}Q{at(0.5, 1.02)} {at(0.21, 0.96)}"
        f"L{at(0.22, 0.37)}L{at(0.14, 0.45)}L{at(0, 0.33)}L{at(0.2, 0.08)}z"
    )
    seam = f'stroke="{hexa(dark)}" stroke-width="{0.012 * box.w:.1f}" stroke-linejoin="round"'
    c.path(outline, hexa(cloth), seam)
    for a, b in (((0.78, 0.37), (0.765, 0.22)), ((0.22, 0.37), (0.235, 0.22))):
        c.path(f"M{at(*a)}L{at(*b)}", "none", f'{seam} stroke-linecap="round"')
    collar = f"M{at(0.35, 0.03)}Q{at(0.5, 0.17)} {at(0.65, 0.03)}"
    c.path(
        f"{collar}L{at(0.61, 0.015)}Q{at(0.5, 0.1)} {at(0.39, 0.015)}z",
        hexa(mix(cloth, BLACK, 0.3)),
    )
    write(c, box.inner(0.26, 0.24, 0.74, 0.82), words, ink_on(cloth))


def book(c: Canvas, box: Box, words: str, colour: str) -> None:
    """A closed book with its title on the cover."""
    cover = tone(c, colour, ("#26547c", "#8c2f39", "#2f5d50", "#5b3a6e", "#c77b30"))
    k = box.w
    panel(c, box, mix(cover, BLACK, 0.3), 0.04 * k)
    pages = box.inner(0.06, 0.02, 0.985, 0.975)
    panel(c, pages, rgb("#f6efdc"), 0.02 * k)
    for share in (0.3, 0.6):
        y = box.low - 0.045 * box.h * share - 0.01 * box.h
        c.rect(box.x + 0.08 * k, y, 0.88 * k, 0.004 * box.h, "#d5c8a6")
    front = box.inner(0, 0, 0.97, 0.945)
    panel(c, front, cover, 0.04 * k)
    panel(c, front.inner(0.05, 0, 0.11, 1), mix(cover, BLACK, 0.22), 0)
    gold = hexa(mix(rgb("#f0c75e"), WHITE, 0.1))
    frame = front.inner(0.17, 0.06, 0.94, 0.94)
    c.raw(
        f'<rect x="{frame.x:.1f}" y="{frame.y:.1f}" width="{frame.w:.1f}" height="{frame.h:.1f}"'
        f' rx="{0.02 * k:.1f}" fill="none" stroke="{gold}" stroke-width="{0.011 * k:.1f}"/>'
    )
    y = front.y + 0.8 * front.h
    c.poly(
        [
            (frame.middle, y - 0.04 * k),
            (frame.middle + 0.05 * k, y),
            (frame.middle, y + 0.04 * k),
            (frame.middle - 0.05 * k, y),
        ],
        gold,
    )
    write(c, frame.inner(0.07, 0.06, 0.93, 0.76), words, ink_on(cover))


def cake(c: Canvas, box: Box, words: str, colour: str) -> None:
    """A cake with icing and candles, and words on its side."""
    sponge = tone(c, colour, ("#f7b7c8", "#fdf0d5", "#bfe3f2", "#e9c9f2", "#8a5a44"))
    icing = mix(sponge, WHITE, 0.75)
    plate = box.inner(0, 0.9, 1, 1)
    c.oval(plate.middle, plate.y + plate.h * 0.55, plate.w / 2, plate.h * 0.45, "#c9d3df")
    c.oval(plate.middle, plate.y + plate.h * 0.38, plate.w / 2, plate.h * 0.42, "#eef3f8")
    top, body = box.inner(0.24, 0.2, 0.76, 0.46), box.inner(0.08, 0.42, 0.92, 0.945)
    for i, stick in enumerate(CLOTHS[:3]):
        x, y = top.middle + (i - 1) * top.w / 4, box.y + 0.035 * box.h
        c.rect(x - 0.014 * box.w, y + 0.035 * box.h, 0.028 * box.w, 0.16 * box.h, stick)
        c.glow(x, y, 0.07 * box.w, rgb("#ffd166"), 0.6)
        c.oval(x, y, 0.016 * box.w, 0.034 * box.h, "#ffb02e")
        c.oval(x, y + 0.01 * box.h, 0.008 * box.w, 0.018 * box.h, "#fff3b0")
    for tier, drops in ((top, 6), (body, 10)):
        panel(c, tier, sponge, 0.05 * box.w)
        c.raw(_drips(c, tier, drops, hexa(icing)))
    pearls = 15
    for i in range(pearls):
        x = body.x + body.w * (i + 0.5) / pearls
        c.oval(x, body.low - 0.012 * box.h, body.w / pearls * 0.5, 0.022 * box.h, hexa(icing))
    write(c, body.inner(0.07, 0.3, 0.93, 0.93), words, ink_on(sponge))


def _drips(c: Canvas, tier: Box, num: int, fill: str) -> str:
    """Icing that runs down from the top of a tier."""
    step, top = tier.w / num, tier.y + 0.09 * tier.h
    d = f"M{tier.x:.1f} {top + step * 0.4:.1f}V{tier.y + step * 0.4:.1f}"
    d += f"Q{tier.x:.1f} {tier.y:.1f} {tier.x + step * 0.5:.1f} {tier.y:.1f}"
    d += f"H{tier.x + tier.w - step * 0.5:.1f}"
    right = tier.x + tier.w
    d += f"Q{right:.1f} {tier.y:.1f} {right:.1f} {tier.y + step * 0.4:.1f}V{top + step * 0.4:.1f}"
    for _ in range(num):
        down = step * c.r.uniform(0.15, 0.75)
        d += f"v{down:.1f}a{step / 2:.1f} {step / 2:.1f} 0 0 1 {-step:.1f} 0v{-down:.1f}"
    return f'<path d="{d}z" fill="{fill}"/>'


def mug(c: Canvas, box: Box, words: str, colour: str) -> None:
    """A mug with a handle, and steam above it."""
    glaze = tone(c, colour, ("#fdfbf5", *CLOTHS))
    body = box.inner(0.02, 0.22, 0.78, 1)
    k = body.w
    loop = f'fill="none" stroke="{hexa(mix(glaze, BLACK, 0.14))}" stroke-width="{0.1 * k:.1f}"'
    handle = box.inner(0.66, 0.4, 0.95, 0.8)
    c.raw(
        f'<rect x="{handle.x:.1f}" y="{handle.y:.1f}" width="{handle.w:.1f}"'
        f' height="{handle.h:.1f}" rx="{0.16 * k:.1f}" {loop}/>'
    )
    panel(c, body, glaze, 0.1 * k)
    c.rect(body.x, body.y, k, 0.3 * body.h, hexa(glaze))
    panel(c, body.inner(0.88, 0.08, 1, 0.97), mix(glaze, BLACK, 0.09), 0.06 * k)
    c.oval(body.middle, body.y, k / 2, 0.055 * k, hexa(mix(glaze, BLACK, 0.12)))
    c.oval(body.middle, body.y + 0.008 * k, 0.44 * k, 0.04 * k, "#5a3a28")
    steam = f'stroke="#ffffff" stroke-width="{0.035 * k:.1f}" stroke-linecap="round" opacity="0.65"'
    for share in (0.36, 0.52, 0.68):
        x, y, up = box.x + share * box.w - 0.1 * box.w, body.y - 0.07 * k, 0.075 * box.h
        d = f"M{x:.1f} {y:.1f}q{up * 0.6:.1f} {-up / 2:.1f} 0 {-up:.1f}t0 {-up * 0.9:.1f}"
        c.path(d, "none", steam)
    write(c, body.inner(0.09, 0.16, 0.91, 0.92), words, ink_on(glaze))


def storefront(c: Canvas, box: Box, words: str, colour: str) -> None:
    """The front of a shop with words above its awning."""
    front = tone(c, colour, ("#2f6f73", "#8c2f39", "#3f6fb0", "#e0a33e", "#5b3a6e"))
    k = min(box.w, box.h)
    panel(c, box, mix(front, WHITE, 0.55), 0.01 * k)
    board = box.inner(0.03, 0.04, 0.97, 0.34)
    panel(c, board, front, 0.02 * k)
    for left, right, kind in ((0.06, 0.6, "window"), (0.67, 0.91, "door")):
        opening = box.inner(left, 0.5, right, 0.92 if kind == "window" else 1)
        panel(c, opening, mix(front, BLACK, 0.25), 0.01 * k)
        glass = (
            opening.grown(-0.02 * k) if kind == "window" else opening.inner(0.12, 0.07, 0.88, 0.7)
        )
        panel(c, glass, rgb("#bfe3f2"), 0)
        shine = [(glass.x, glass.low), (glass.x + 0.3 * glass.w, glass.y)]
        c.poly(
            [*shine, (glass.x + 0.5 * glass.w, glass.y), (glass.x + 0.2 * glass.w, glass.low)],
            "#ffffff",
            'opacity="0.45"',
        )
        if kind == "door":
            c.oval(
                opening.x + 0.86 * opening.w,
                opening.y + 0.8 * opening.h,
                0.014 * k,
                0.014 * k,
                "#f0c75e",
            )
    awning, num = box.inner(-0.02, 0.35, 1.02, 0.52), 9
    step = awning.w / num
    for i in range(num):
        fill = hexa(front if i % 2 == 0 else CREAM)
        x, low = awning.x + i * step, awning.low - step * 0.5
        arc = f"a{step / 2:.1f} {step / 2:.1f} 0 0 1 {-step:.1f} 0z"
        c.path(f"M{x:.1f} {awning.y:.1f}h{step:.1f}V{low:.1f}{arc}", fill)
    c.rect(awning.x, awning.y, awning.w, 0.02 * k, hexa(mix(front, INK, 0.4)))
    write(c, board.inner(0.05, 0.14, 0.95, 0.86), words, ink_on(front))
