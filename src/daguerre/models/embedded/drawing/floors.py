"""Floors, rugs and tables of furnished rooms, and the places of things in them."""

from __future__ import annotations

from dataclasses import dataclass

from daguerre.models.embedded.drawing.canvas import Canvas
from daguerre.models.embedded.drawing.colour import BLACK, WHITE, Rgb, hexa, mix
from daguerre.models.embedded.drawing.furniture import cloth, table


@dataclass(frozen=True)
class Ground:
    """The place of a row of things: middle, foot, and the largest width and height."""

    x: float
    foot: float
    width: float
    height: float
    on_floor: bool = True


def on_the_floor(c: Canvas, share: float = 0.88) -> Ground:
    return Ground(c.w / 2, c.h * share, c.w * 0.86, min(c.h * 0.56, c.s * 0.56))


def on_a_table(c: Canvas, small: bool, top: float = 0.72) -> Ground:
    """A table in the foreground for small things, or the floor."""
    if not small:
        return on_the_floor(c)
    wide = min(c.w * 0.8, c.s * 0.95)
    table(c, c.w / 2, c.h * top, wide, c.h * 0.96)
    y = c.h * top + c.s * 0.006
    return Ground(c.w / 2, y, wide * 0.86, min(c.h * 0.42, c.s * 0.42), False)


def boards(c: Canvas, line: float, tone: Rgb) -> None:
    """Floorboards below a height."""
    c.rect(0, line, c.w, c.h - line, c.linear([(0, mix(tone, BLACK, 0.12), 1), (1, tone, 1)]))
    y, step = line, c.s * 0.025
    while y < c.h:
        c.rect(0, y, c.w, c.s * 0.004, hexa(mix(tone, BLACK, 0.22)), 'opacity="0.55"')
        y, step = y + step, step * 1.35


def skirting(c: Canvas, line: float, wall: Rgb, high: float = 0.022) -> None:
    """A board along the foot of a wall; `high` is a share of the picture's short side."""
    c.rect(0, line - c.s * high, c.w, c.s * high, hexa(mix(wall, WHITE, 0.7)))


def tiles(c: Canvas, line: float, tone: Rgb) -> None:
    """Square tiles on the floor, in perspective."""
    c.rect(0, line, c.w, c.h - line, hexa(tone))
    other, rows = hexa(mix(tone, BLACK, 0.12)), 4
    d = []
    for i in range(rows):
        y0, y1 = (line + (c.h - line) * ((i + k) / rows) ** 1.5 for k in (0, 1))
        for k in range(-8, 9):
            if (i + k) % 2:
                continue
            xs = [
                c.w / 2 + (k + side) * c.s * (0.13 + 0.11 * (y - line) / (c.h - line))
                for y in (y0, y1)
                for side in (0, 1)
            ]
            d.append(f"M{xs[0]:.1f} {y0:.1f}H{xs[1]:.1f}L{xs[3]:.1f} {y1:.1f}H{xs[2]:.1f}z")
    c.path("".join(d), other)


def rug(c: Canvas, foot: float, wide: float, high: float) -> None:
    tone = cloth(c)
    c.oval(c.w / 2, foot, wide, high, hexa(mix(tone, WHITE, 0.4)))
    c.oval(c.w / 2, foot, wide * 0.9, high * 0.82, hexa(tone))
