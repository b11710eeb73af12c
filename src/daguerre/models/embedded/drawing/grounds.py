"""Simple backgrounds: plain tones, gradients, floors and patterns."""

from __future__ import annotations

from daguerre.models.embedded.drawing.canvas import Canvas
from daguerre.models.embedded.drawing.colour import BLACK, WHITE, Rgb, hexa, mix, rgb
from daguerre.models.embedded.drawing.scene import Scene

PATTERNED = ("stripes", "dots", "checks")
UNIT = 16  # patterns repeat in multiples of it: whole pixels even at 1/8 of the size


def paint_ground(c: Canvas, scene: Scene, back: Rgb, line: float) -> None:
    """Fills the picture with a tone of the scene's background; a floor starts at height `line`."""
    c.rect(0, 0, c.w, c.h, hexa(back))
    if scene.ground == "gradient":
        top, bottom = mix(back, WHITE, 0.30), mix(back, BLACK, 0.10)
        c.rect(0, 0, c.w, c.h, c.linear([(0, top, 1), (1, bottom, 1)]))
    elif scene.ground == "circle":
        c.oval(c.w / 2, c.h / 2, c.s * 0.45, c.s * 0.45, hexa(mix(back, WHITE, 0.40)))
    elif scene.ground == "floor":
        dark = scene.background == "black"
        floor = mix(back, WHITE, 0.12) if dark else mix(back, BLACK, 0.13)
        fill = c.linear([(0, floor, 1), (1, mix(floor, WHITE, 0.12), 1)])
        c.rect(0, line, c.w, c.h - line, fill)
    elif scene.ground in PATTERNED:
        pattern(c, scene, back)


def pattern(c: Canvas, scene: Scene, back: Rgb) -> None:
    """Stripes, dots or checks in two tones of one colour."""
    other = mix(back, WHITE, 0.45)
    if scene.background in ("white", "beige"):
        other = mix(back, rgb(c.r.choice(("#b9c6d8", "#d8c2b4", "#c4d2bd"))), 0.5)
    elif scene.background == "black":
        other = mix(back, WHITE, 0.16)
    step = UNIT * c.r.choice((3, 4, 5))
    draw = {"stripes": _stripes, "dots": _dots, "checks": _checks}[scene.ground]
    c.path(draw(c, step), hexa(other))


def _stripes(c: Canvas, step: int) -> str:
    """Vertical, horizontal or diagonal bands."""
    way = c.r.choice(("upright", "level", "slanting"))
    if way == "level":
        return "".join(f"M0 {y}h{c.w:.0f}v{step}H0z" for y in range(0, int(c.h), 2 * step))
    lean = c.h if way == "slanting" else 0.0
    start = -2 * step * (int(lean) // (2 * step) + 1)
    return "".join(
        f"M{x} {c.h:.0f}L{x + lean:.0f} 0h{step}L{x + step} {c.h:.0f}z"
        for x in range(start, int(c.w), 2 * step)
    )


def _dots(c: Canvas, step: int) -> str:
    k = step * 0.45
    return "".join(
        f"M{x + (step if row % 2 else 0) - k:.1f} {row * step}a{k:.1f} {k:.1f} 0 1 1 {2 * k:.1f} 0"
        f"a{k:.1f} {k:.1f} 0 1 1 {-2 * k:.1f} 0z"
        for row in range(int(c.h) // step + 2)
        for x in range(0, int(c.w) + 2 * step, 2 * step)
    )


def _checks(c: Canvas, step: int) -> str:
    return "".join(
        f"M{x + (step if row % 2 else 0)} {row * step}h{step}v{step}h{-step}z"
        for row in range(int(c.h) // step + 1)
        for x in range(0, int(c.w) + step, 2 * step)
    )
