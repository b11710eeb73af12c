"""Furnished rooms: those of a home, library, classroom, office, cafe and stage.

Each paints its background and returns where things stand: on the floor, or on a surface such as a
counter or a table, which is for small things only.
"""

from __future__ import annotations

from collections.abc import Callable

from daguerre.models.embedded.drawing.canvas import Canvas
from daguerre.models.embedded.drawing.colour import BLACK, WHITE, Rgb, hexa, mix, rgb
from daguerre.models.embedded.drawing.floors import (
    Ground,
    boards,
    on_a_table,
    on_the_floor,
    rug,
    skirting,
)
from daguerre.models.embedded.drawing.furniture import (
    bookcase,
    books,
    pendant,
    pot_plant,
    rounded,
    small_window,
    table,
    wood,
)
from daguerre.models.embedded.drawing.homes import (
    bathroom,
    bedroom,
    kitchen,
    living_room,
)
from daguerre.models.embedded.drawing.scene import Scene


def library(c: Canvas, scene: Scene, wall: Rgb, small: bool) -> Ground:
    line, tone = c.h * 0.72, rgb(c.r.choice(("#9c6b45", "#7f5636", "#b57a4a")))
    boards(c, line, wood(c))
    n = max(2, round(c.w / (c.s * 0.36)))
    wide = c.w / n
    for i in range(n):
        bookcase(c, i * wide + c.s * 0.006, c.h * 0.05, wide - c.s * 0.012, line + c.h * 0.01, tone)
    ladder = c.w * c.r.choice((0.2, 0.8))
    rail = hexa(mix(tone, WHITE, 0.4))
    for k in (-0.05, 0.05):
        c.poly(
            [
                (ladder + c.s * (k - 0.008), line + c.h * 0.05),
                (ladder + c.s * (k + 0.008), line + c.h * 0.05),
                (ladder + c.s * (k * 0.8 + 0.008), c.h * 0.08),
                (ladder + c.s * (k * 0.8 - 0.008), c.h * 0.08),
            ],
            rail,
        )
    for i in range(9):
        c.rect(ladder - c.s * 0.045, c.h * (0.12 + 0.072 * i), c.s * 0.09, c.s * 0.012, rail)
    rug(c, c.h * 0.88, min(c.w * 0.4, c.s * 0.55), c.h * 0.075)
    return on_a_table(c, small, 0.74)


def classroom(c: Canvas, scene: Scene, wall: Rgb, small: bool) -> Ground:
    line = c.h * 0.7
    boards(c, line, wood(c))
    skirting(c, line, wall)
    wide, high = min(c.w * 0.8, c.s * 1.0), min(c.h * 0.36, c.s * 0.42)
    x, y, k = (c.w - wide) / 2, c.h * 0.14, c.s * 0.018
    c.rect(x - k, y - k, wide + 2 * k, high + 2 * k, "#b57a4a", rounded(k * 0.3))
    c.rect(x, y, wide, high, c.r.choice(("#2f5f4a", "#2f4f45", "#34495e")))
    chalk = (
        f'stroke="#f4f4ea" stroke-width="{c.s * 0.006:.1f}" stroke-linecap="round" opacity="0.85"'
    )
    for i in range(4):
        top, left = y + high * (0.2 + 0.18 * i), x + wide * 0.08
        d = f"M{left:.1f} {top:.1f}"
        for _ in range(c.r.choice((4, 5, 6))):
            d += f"q{wide * 0.015:.1f} {-high * 0.07:.1f} {wide * 0.03:.1f} 0h{wide * 0.015:.1f}"
        c.path(d, "none", chalk)
    c.path(
        f"M{x + wide * 0.62:.1f} {y + high * 0.75:.1f}h{wide * 0.26:.1f}l{-wide * 0.26:.1f} "
        f"{-high * 0.5:.1f}z",
        "none",
        chalk + ' stroke-linejoin="round"',
    )
    c.rect(x + wide * 0.3, y + high + k * 0.4, wide * 0.4, k * 0.8, "#9c6b45")
    c.rect(x + wide * 0.4, y + high, wide * 0.06, k * 0.5, "#ffffff")
    return on_a_table(c, small, 0.74)


def office(c: Canvas, scene: Scene, wall: Rgb, small: bool) -> Ground:
    line = c.h * 0.68
    boards(c, line, rgb(c.r.choice(("#a9b2bc", "#8f9aa6", "#c9b8a0"))))
    skirting(c, line, wall)
    side = c.r.choice((-1, 1))
    middle = c.w / 2 - side * min(c.w * 0.2, c.s * 0.2)
    small_window(c, scene, middle - c.s * 0.2, c.h * 0.12, c.s * 0.4, c.s * 0.26)
    shelf = c.w / 2 + side * min(c.w * 0.28, c.s * 0.3)
    for i in range(2):
        y = c.h * 0.2 + i * c.s * 0.15
        books(c, shelf - c.s * 0.13, y, c.s * 0.26, c.s * 0.1)
        c.rect(shelf - c.s * 0.15, y, c.s * 0.3, c.s * 0.014, "#8a6a4f")
    desk, top = c.w / 2 + side * c.s * 0.1, line - c.s * 0.11
    _computer(c, desk + side * c.s * 0.12, top, c.s * 0.2)
    table(c, desk, top, min(c.w * 0.8, c.s * 0.66), line + c.h * 0.06)
    pot_plant(c, c.w / 2 - side * min(c.w * 0.42, c.s * 0.44), line + c.h * 0.06, c.s * 0.28)
    return on_a_table(c, small, 0.76)


def _computer(c: Canvas, x: float, foot: float, w: float) -> None:
    h = w * 0.62
    c.rect(x - w * 0.05, foot - h * 0.3, w * 0.1, h * 0.3, "#6a707c")
    c.rect(x - w * 0.2, foot - h * 0.05, w * 0.4, h * 0.06, "#6a707c")
    c.rect(x - w / 2, foot - h * 1.2, w, h, "#2f3540", rounded(w * 0.04))
    c.rect(x - w * 0.46, foot - h * 1.14, w * 0.92, h * 0.84, "#7cc4f0")
    for i, k in enumerate((0.6, 0.4, 0.7)):
        c.rect(
            x - w * 0.38, foot - h * (1.02 - 0.2 * i), w * k, h * 0.07, "#ffffff", 'opacity="0.8"'
        )


def cafe(c: Canvas, scene: Scene, wall: Rgb, small: bool) -> Ground:
    line, top = c.h * 0.72, c.h * 0.52
    boards(c, line, wood(c))
    tone = rgb(c.r.choice(("#5f4436", "#3f5a5a", "#7a4a4a", "#8a6a4f")))
    for i in range(2):
        y = c.h * (0.24 + 0.13 * i)
        c.rect(c.w * 0.06, y, c.w * 0.4, c.s * 0.014, "#8a6a4f")
        for n in range(int(c.w * 0.38 / (c.s * 0.06))):
            cup = rgb(c.r.choice(("#ffffff", "#e8b84a", "#c8503f", "#7fa8b5", "#8fb59a")))
            high = c.s * c.r.uniform(0.03, 0.07)
            c.rect(c.w * 0.07 + n * c.s * 0.06, y - high, c.s * 0.036, high, hexa(cup), rounded(5))
    board = (c.w * 0.56, c.h * 0.16, c.w * 0.34, c.h * 0.24)
    c.rect(*board, "#2f3a3f", f'stroke="#8a6a4f" stroke-width="{c.s * 0.012:.1f}"')
    for i in range(4):
        y, long = board[1] + board[3] * (0.2 + 0.2 * i), c.r.uniform(0.4, 0.6)
        c.rect(
            board[0] + board[2] * 0.1, y, board[2] * long, c.s * 0.009, "#f4efe6", 'opacity="0.85"'
        )
        c.rect(board[0] + board[2] * 0.78, y, board[2] * 0.12, c.s * 0.009, "#ffd873")
    c.rect(-9, top, c.w + 18, line - top, hexa(tone))
    step = c.s * 0.09
    for i in range(int(c.w / step) + 1):
        c.rect(i * step, top, c.s * 0.005, line - top, hexa(mix(tone, BLACK, 0.2)))
    c.rect(-9, top - c.h * 0.012, c.w + 18, c.h * 0.034, hexa(mix(wood(c), WHITE, 0.15)))
    for k in (0.2, 0.5, 0.8):
        pendant(c, scene, c.w * k, c.h * 0.05, c.s * 0.045)
    return on_a_table(c, small, 0.76)


def stage(c: Canvas, scene: Scene, wall: Rgb, small: bool) -> Ground:
    line = c.h * 0.74
    dark = rgb(c.r.choice(("#1f1838", "#241426", "#14203a")))
    c.rect(0, 0, c.w, c.h, c.linear([(0, dark, 1), (1, mix(dark, rgb("#6a4a8a"), 0.5), 1)]))
    boards(c, line, rgb("#a06c45"))
    for k in (0.25, 0.5, 0.75):
        name = c.linear([(0, rgb("#fff3c4"), 0.5), (1, rgb("#fff3c4"), 0.0)])
        x, reach = c.w * k, c.w * (0.5 + (k - 0.5) * 0.2)
        c.poly(
            [
                (x - c.s * 0.02, 0),
                (x + c.s * 0.02, 0),
                (reach + c.s * 0.2, line),
                (reach - c.s * 0.2, line),
            ],
            name,
        )
    c.oval(
        c.w / 2, c.h * 0.87, min(c.w * 0.42, c.s * 0.5), c.h * 0.075, "#ffe9b8", 'opacity="0.35"'
    )
    red = rgb(c.r.choice(("#b8323a", "#8a2f5a", "#3a3f9a")))
    fold = c.w * 0.035
    for i in range(5):
        for x in (i * fold, c.w - (i + 1) * fold):
            c.rect(x, 0, fold + 1, line + c.h * 0.03, hexa(mix(red, BLACK, 0.22 * (i % 2))))
    n = 8
    for i in range(n):
        tone = hexa(mix(red, BLACK, 0.18 * (i % 2)))
        c.oval(c.w * (i + 0.5) / n, 0, c.w / n * 0.62, c.h * 0.12, tone)
    return on_the_floor(c, 0.9)


Room = Callable[[Canvas, Scene, Rgb, bool], Ground]
FURNISHED: dict[str, Room] = {
    "kitchen": kitchen,
    "living room": living_room,
    "bedroom": bedroom,
    "bathroom": bathroom,
    "library": library,
    "classroom": classroom,
    "office": office,
    "cafe": cafe,
    "stage": stage,
}
