"""Flat surfaces with words: signs, banners, posters, walls, screens and speech bubbles.

A surface is painted into a box, with its words in the largest letters that fit. `lettered_things`
has the objects with words.
"""

from __future__ import annotations

import colorsys
from collections.abc import Callable
from dataclasses import dataclass

from daguerre.models.embedded.drawing.canvas import Canvas
from daguerre.models.embedded.drawing.colour import BLACK, SHADOW, WHITE, Rgb, hexa, mix, rgb
from daguerre.models.embedded.drawing.letters import fitted_text, text_svg
from daguerre.models.embedded.drawing.recolouring import TARGETS

INK, CREAM = rgb("#2b2d42"), rgb("#fff8ea")
WOODS = ("#c98f5a", "#b57a4a", "#d9a871", "#a8744a")
CLOTHS = ("#e2605c", "#3f8fd2", "#f2b632", "#4ba66b", "#8c6bd1", "#ef7fa5")
TUBES = ("#ff5fa8", "#4fe3ff", "#ffd94f", "#8dff7a", "#ff7a4f")


@dataclass(frozen=True)
class Box:
    """The place of a surface."""

    x: float
    y: float
    w: float
    h: float

    @property
    def middle(self) -> float:
        return self.x + self.w / 2

    @property
    def low(self) -> float:
        return self.y + self.h

    def inner(self, left: float, top: float, right: float, bottom: float) -> Box:
        """A part of the box; the ends are shares of its width and height."""
        x, y = self.x + left * self.w, self.y + top * self.h
        return Box(x, y, (right - left) * self.w, (bottom - top) * self.h)

    def grown(self, by: float) -> Box:
        return Box(self.x - by, self.y - by, self.w + 2 * by, self.h + 2 * by)


Paint = Callable[[Canvas, Box, str, str], None]  # canvas, place, words, colour word


def tone(c: Canvas, colour: str, usual: tuple[str, ...]) -> Rgb:
    """The colour of a colour word, or one of the usual colours."""
    chosen = rgb(c.r.choice(usual))
    if colour not in TARGETS:
        return chosen
    hue, light, saturation = TARGETS[colour]
    return colorsys.hls_to_rgb(hue, light, saturation)


def brightness(colour: Rgb) -> float:
    return 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]


def ink_on(colour: Rgb) -> Rgb:
    """The colour of words that stand out on a surface."""
    return INK if brightness(colour) > 0.58 else CREAM


def write(c: Canvas, box: Box, words: str, ink: Rgb, extra: str = "") -> None:
    """Words in the middle of a box."""
    text = fitted_text(words, box.w, box.h)
    c.raw(text_svg(text, box.middle, box.y + box.h / 2, hexa(ink), extra))


def panel(c: Canvas, box: Box, colour: Rgb, round_by: float, extra: str = "") -> None:
    c.rect(box.x, box.y, box.w, box.h, hexa(colour), f'rx="{round_by:.1f}" {extra}')


def sign(c: Canvas, box: Box, words: str, colour: str) -> None:
    """A board of wood, or painted in a colour."""
    board = tone(c, colour, WOODS)
    k = min(box.w, box.h)
    panel(c, Box(box.x, box.y + 0.035 * k, box.w, box.h), mix(board, BLACK, 0.35), 0.09 * k)
    panel(c, box, board, 0.09 * k)
    if not colour:
        _grain(c, box, mix(board, BLACK, 0.14))
    edge = f'fill="none" stroke="{hexa(mix(board, WHITE, 0.35))}" stroke-width="{0.022 * k:.1f}"'
    inner = box.grown(-0.06 * k)
    c.raw(
        f'<rect x="{inner.x:.1f}" y="{inner.y:.1f}" width="{inner.w:.1f}" height="{inner.h:.1f}"'
        f' rx="{0.05 * k:.1f}" {edge}/>'
    )
    for x in (box.x + 0.12 * k, box.x + box.w - 0.12 * k):
        c.oval(x, box.y + 0.12 * k, 0.018 * k, 0.018 * k, hexa(mix(board, BLACK, 0.5)))
    write(c, box.grown(-0.15 * k), words, ink_on(board))


def _grain(c: Canvas, box: Box, colour: Rgb) -> None:
    k = min(box.w, box.h)
    for share in (0.27, 0.51, 0.76):
        y = box.y + box.h * (share + c.r.uniform(-0.03, 0.03))
        left, right = (box.x + box.w * c.r.uniform(a, b) for a, b in ((0.04, 0.2), (0.8, 0.96)))
        d = f"M{left:.1f} {y:.1f}Q{box.middle:.1f} {y + 0.03 * k:.1f} {right:.1f} {y:.1f}"
        c.path(d, "none", f'stroke="{hexa(colour)}" stroke-width="{0.012 * k:.1f}"')


def banner(c: Canvas, box: Box, words: str, colour: str) -> None:
    """A ribbon with folded ends."""
    cloth = tone(c, colour, CLOTHS)
    dark, end, drop = mix(cloth, BLACK, 0.42), 0.13 * box.w, 0.2 * box.h
    for side in (-1, 1):
        out = box.middle + side * box.w / 2
        fold, back = out - side * end, out - side * end * 0.45
        top, low = box.y + drop, box.low + drop * 0.62
        notch = out - side * 0.055 * box.w
        tail = [(out, top), (notch, (top + low) / 2), (out, low), (back - side * end, low)]
        c.poly([*tail, (back - side * end, top)], hexa(mix(cloth, BLACK, 0.2)))
        c.poly([(fold, box.low), (fold - side * end * 0.5, box.low), (fold, low)], hexa(dark))
    front = box.inner(0.13, 0.0, 0.87, 1.0)
    panel(c, front, cloth, 0.02 * box.h)
    for y in (front.y + 0.08 * box.h, front.low - 0.11 * box.h):
        c.rect(front.x, y, front.w, 0.03 * box.h, hexa(mix(cloth, WHITE, 0.45)))
    write(c, front.inner(0.04, 0.17, 0.96, 0.83), words, ink_on(cloth))


def poster(c: Canvas, box: Box, words: str, colour: str) -> None:
    """A printed sheet with a border, and tape at its corners."""
    ground = tone(c, colour, (*CLOTHS, "#f4efe6", "#26547c"))
    k = min(box.w, box.h)
    panel(c, Box(box.x + 0.02 * k, box.y + 0.03 * k, box.w, box.h), BLACK, 3, 'opacity="0.18"')
    panel(c, box, rgb("#fbf7ef"), 3)
    inner = box.grown(-0.05 * k)
    panel(c, inner, ground, 2)
    pale = hexa(mix(ground, WHITE, 0.22))
    c.oval(inner.middle, inner.y + inner.h / 2, 0.36 * k, 0.36 * k, pale)
    for x in (box.x + 0.1 * k, box.x + box.w - 0.1 * k):
        turn = f'transform="rotate({"-" if x < box.middle else ""}35 {x:.1f} {box.y:.1f})"'
        c.rect(
            x - 0.1 * k, box.y - 0.035 * k, 0.2 * k, 0.07 * k, "#f3e7b5", f'{turn} opacity="0.9"'
        )
    write(c, inner.grown(-0.08 * k), words, ink_on(ground))


def chalkboard(c: Canvas, box: Box, words: str, colour: str) -> None:
    """A green or black board in a wooden frame, with a ledge and chalk."""
    board = tone(c, "" if colour in ("white", "yellow") else colour, ("#2f5d50", "#33373d"))
    board = mix(board, BLACK, max(0.0, brightness(board) - 0.32))
    k, wood = min(box.w, box.h), rgb(c.r.choice(WOODS))
    panel(c, Box(box.x, box.y + 0.02 * k, box.w, box.h), mix(wood, BLACK, 0.4), 0.03 * k)
    panel(c, box, wood, 0.03 * k)
    inner = box.grown(-0.06 * k)
    panel(c, inner, board, 0.015 * k)
    haze = f'opacity="0.07" transform="rotate(-8 {box.middle:.1f} {inner.y + inner.h / 2:.1f})"'
    c.oval(box.middle, inner.y + inner.h * 0.55, inner.w * 0.42, inner.h * 0.3, "#ffffff", haze)
    c.rect(
        box.x + 0.1 * box.w,
        box.low - 0.035 * k,
        0.8 * box.w,
        0.05 * k,
        hexa(mix(wood, BLACK, 0.25)),
    )
    for share, chalk in ((0.68, "#ffffff"), (0.78, "#f6c9d4")):
        c.rect(box.x + share * box.w, box.low - 0.06 * k, 0.08 * k, 0.025 * k, chalk, 'rx="3"')
    write(c, inner.grown(-0.07 * k), words, rgb("#f6f3ea"))


def neon(c: Canvas, box: Box, words: str, colour: str) -> None:
    """Glowing tubes on a dark panel."""
    chosen = "" if colour in ("black", "gray", "brown") else colour
    tube = mix(tone(c, chosen, TUBES), WHITE, 0.12)
    k = min(box.w, box.h)
    panel(c, box, rgb("#1a1630"), 0.12 * k)
    c.glow(box.middle, box.y + box.h / 2, box.w * 0.55, tube, 0.5, box.h / box.w)
    frame = box.grown(-0.07 * k)
    for width, alpha, shade in ((0.055, 0.25, tube), (0.026, 1, tube), (0.009, 0.9, WHITE)):
        line = f'stroke="{hexa(shade)}" stroke-width="{width * k:.1f}" stroke-opacity="{alpha}"'
        c.raw(
            f'<rect x="{frame.x:.1f}" y="{frame.y:.1f}" width="{frame.w:.1f}"'
            f' height="{frame.h:.1f}" rx="{0.08 * k:.1f}" fill="none" {line}/>'
        )
    inner = box.grown(-0.19 * k)
    for width, alpha in ((150, 0.13), (80, 0.28)):
        rim = f'stroke="{hexa(tube)}" stroke-width="{width}" stroke-linejoin="round"'
        write(c, inner, words, tube, f'{rim} opacity="{alpha}"')
    write(c, inner, words, mix(tube, WHITE, 0.62))


def wall(c: Canvas, box: Box, words: str, colour: str) -> None:
    """Bricks with painted words."""
    brick = tone(c, colour, ("#b5654a", "#c47a5a", "#9c5a4a", "#8d8f98"))
    c.rect(box.x, box.y, box.w, box.h, hexa(mix(brick, BLACK, 0.16)))
    side = max(box.h / 11, box.w / 22)
    rows, columns = int(box.h / side) + 1, int(box.w / (2.1 * side)) + 2
    clip = c.new_id()
    c.defs.append(
        f'<clipPath id="{clip}"><rect x="{box.x:.1f}" y="{box.y:.1f}" width="{box.w:.1f}"'
        f' height="{box.h:.1f}"/></clipPath>'
    )
    shades: list[list[str]] = [[], [], []]
    for row in range(rows):
        for column in range(columns):
            x = box.x + (column - 0.5 * (row % 2)) * 2.1 * side
            wide, high = 2 * side, 0.9 * side
            start = f"M{x:.1f} {box.y + row * side:.1f}"
            c.r.choice(shades).append(f"{start}h{wide:.1f}v{high:.1f}h{-wide:.1f}z")
    body = "".join(
        f'<path d="{"".join(d)}" fill="{hexa(mix(brick, WHITE, 0.06 * i))}"/>'
        for i, d in enumerate(shades)
    )
    c.raw(f'<g clip-path="url(#{clip})">{body}</g>')
    write(c, box.inner(0.09, 0.12, 0.91, 0.88), words, CREAM if brightness(brick) < 0.75 else INK)


def bubble(c: Canvas, box: Box, words: str, colour: str) -> None:
    """A speech bubble whose tail points down."""
    fill = tone(c, colour, ("#ffffff",))
    body = box.inner(0, 0, 1, 0.84)
    k = min(body.w, body.h)
    line = f'stroke="{hexa(INK)}" stroke-width="{0.028 * k:.1f}" stroke-linejoin="round"'
    panel(c, body, fill, 0.3 * k, line)
    x, y = body.middle, body.low - 0.014 * k
    tail = f"M{x - 0.1 * k:.1f} {y:.1f}L{x:.1f} {box.low:.1f}L{x + 0.12 * k:.1f} {y:.1f}"
    c.path(tail, hexa(fill), line)
    c.rect(x - 0.09 * k, y - 0.04 * k, 0.2 * k, 0.045 * k, hexa(fill))
    write(c, body.inner(0.09, 0.1, 0.91, 0.9), words, ink_on(fill))


def billboard(c: Canvas, box: Box, words: str, colour: str) -> None:
    """A large board in a steel frame, with lamps above."""
    ground = tone(c, colour, ("#fdfbf5", *CLOTHS))
    box = box.inner(0, 0.1, 1, 1)
    k, steel = min(box.w, box.h), rgb("#5b6474")
    for share in (0.2, 0.5, 0.8):
        x = box.x + share * box.w
        c.rect(x - 0.012 * k, box.y - 0.1 * k, 0.024 * k, 0.12 * k, hexa(steel))
        c.rect(
            x - 0.06 * k,
            box.y - 0.125 * k,
            0.12 * k,
            0.04 * k,
            hexa(mix(steel, BLACK, 0.3)),
            'rx="4"',
        )
    panel(c, Box(box.x, box.y + 0.03 * k, box.w, box.h), mix(steel, BLACK, 0.4), 0.02 * k)
    panel(c, box, steel, 0.02 * k)
    inner = box.grown(-0.05 * k)
    fill = c.linear([(0, mix(ground, WHITE, 0.15), 1), (1, mix(ground, BLACK, 0.05), 1)])
    c.rect(inner.x, inner.y, inner.w, inner.h, fill)
    write(c, inner.inner(0.05, 0.1, 0.95, 0.9), words, ink_on(ground))


def paper(c: Canvas, box: Box, words: str, colour: str) -> None:
    """A sheet with a folded corner."""
    sheet = tone(c, colour, ("#fffdf6", "#fff6d8", "#f4f8ff"))
    k, fold = min(box.w, box.h), 0.16 * min(box.w, box.h)
    right, shade = box.x + box.w, hexa(mix(sheet, BLACK, 0.16))
    c.rect(box.x + 0.02 * k, box.y + 0.03 * k, box.w, box.h, SHADOW, 'rx="4" opacity="0.18"')
    corners = [(box.x, box.y), (right - fold, box.y), (right, box.y + fold), (right, box.low)]
    c.poly([*corners, (box.x, box.low)], hexa(sheet))
    c.poly([(right - fold, box.y), (right - fold, box.y + fold), (right, box.y + fold)], shade)
    write(c, box.inner(0.1, 0.17, 0.9, 0.88), words, ink_on(sheet))


def screen(c: Canvas, box: Box, words: str, colour: str) -> None:
    """A computer's screen on its foot."""
    shown = tone(c, colour, ("#26547c", "#2b2d42", "#3d348b", "#f4f8ff"))
    case = box.inner(0, 0, 1, 0.82)
    k = min(case.w, case.h)
    neck, foot = box.inner(0.43, 0.8, 0.57, 0.96), box.inner(0.28, 0.94, 0.72, 1)
    panel(c, neck, rgb("#8e97a6"), 0)
    panel(c, foot, rgb("#aab2bf"), 0.03 * k)
    panel(c, case, rgb("#3a3f4b"), 0.06 * k)
    inner = case.grown(-0.055 * k)
    panel(c, inner, shown, 0.02 * k)
    shine = [
        (inner.x, inner.y),
        (inner.x + 0.36 * inner.w, inner.y),
        (inner.x, inner.y + 0.7 * inner.h),
    ]
    c.poly(shine, "#ffffff", 'opacity="0.09"')
    write(c, inner.inner(0.07, 0.1, 0.93, 0.9), words, ink_on(shown))
