"""Rooms of a home: kitchen, living room, bedroom and bathroom. `furnished` has the other rooms."""

from __future__ import annotations

from daguerre.models.embedded.drawing.aloft import outside
from daguerre.models.embedded.drawing.canvas import Canvas
from daguerre.models.embedded.drawing.colour import BLACK, WHITE, Rgb, hexa, mix, rgb
from daguerre.models.embedded.drawing.floors import (
    Ground,
    boards,
    on_a_table,
    on_the_floor,
    rug,
    skirting,
    tiles,
)
from daguerre.models.embedded.drawing.furniture import (
    bed,
    bedside_lamp,
    cloth,
    cupboard,
    drapes,
    floor_lamp,
    painting,
    pot_plant,
    rounded,
    small_window,
    sofa,
    wood,
)
from daguerre.models.embedded.drawing.scene import Scene


def kitchen(c: Canvas, scene: Scene, wall: Rgb, small: bool) -> Ground:
    line, top = c.h * 0.76, c.h * 0.54
    tiles(c, line, rgb(c.r.choice(("#efe6d8", "#dfe6ea", "#f0e0d0"))))
    tone = rgb(c.r.choice(("#f4efe6", "#7fa8b5", "#8fb59a", "#d9a871", "#e6c3b5")))
    band = mix(wall, WHITE, 0.6)
    c.rect(0, top - c.h * 0.15, c.w, c.h * 0.15, hexa(band))
    step, grout = c.s * 0.05, hexa(mix(band, BLACK, 0.1))
    for i in range(int(c.w / step) + 1):
        c.rect(i * step, top - c.h * 0.15, c.s * 0.003, c.h * 0.15, grout)
    for i in range(1, 3):
        c.rect(0, top - c.h * 0.05 * i, c.w, c.s * 0.003, grout)
    gap = min(c.s * 0.36, c.w * 0.36)
    reach = (c.w - gap) / 2 - c.s * 0.05
    doors = max(1, round(reach / (c.s * 0.15)))
    for left in (0.0, c.w - reach):
        cupboard(c, left, c.h * 0.08, reach, c.h * 0.24, tone, doors)
    small_window(c, scene, (c.w - gap) / 2 + c.s * 0.02, c.h * 0.1, gap - c.s * 0.04, c.h * 0.22)
    cupboard(c, -9, top, c.w + 18, line - top, tone, max(4, round(c.w / (c.s * 0.2))))
    stove = c.w / 2 + c.r.choice((-1, 1)) * min(c.w * 0.34, c.s * 0.36)
    _stove(c, stove, top, c.s * 0.26, line)
    c.rect(-9, top - c.h * 0.012, c.w + 18, c.h * 0.032, hexa(mix(wood(c), WHITE, 0.15)))
    c.rect(-9, line - c.h * 0.012, c.w + 18, c.h * 0.012, "#5a5048", 'opacity="0.5"')
    if small:
        x = c.w / 2 - (stove - c.w / 2) * 0.35
        return Ground(x, top - c.h * 0.008, min(c.w * 0.6, c.s * 0.66), c.h * 0.36, False)
    return on_the_floor(c, 0.91)


def _stove(c: Canvas, x: float, top: float, w: float, foot: float) -> None:
    steel = rgb("#c9ced6")
    c.rect(x - w / 2, top, w, foot - top, hexa(steel))
    c.rect(
        x - w * 0.38,
        top + (foot - top) * 0.38,
        w * 0.76,
        (foot - top) * 0.46,
        "#3a3f4a",
        rounded(6),
    )
    c.rect(x - w * 0.34, top + (foot - top) * 0.28, w * 0.68, c.s * 0.008, "#8a929e", rounded(3))
    for k in (-0.3, -0.1, 0.1, 0.3):
        c.oval(x + w * k, top + (foot - top) * 0.17, w * 0.045, w * 0.045, "#5a606c")


def living_room(c: Canvas, scene: Scene, wall: Rgb, small: bool) -> Ground:
    line = c.h * 0.66
    boards(c, line, wood(c))
    skirting(c, line, wall)
    rug(c, c.h * 0.86, min(c.w * 0.42, c.s * 0.6), c.h * 0.1)
    side = c.r.choice((-1, 1))
    middle, wide = c.w / 2, min(c.w * 0.62, c.s * 0.68)
    if outside(scene):
        small_window(c, scene, middle - c.s * 0.2, c.h * 0.1, c.s * 0.4, c.s * 0.28)
    else:
        painting(c, middle - c.s * 0.15, c.h * 0.14, c.s * 0.3, c.s * 0.2)
    if not _shows(scene, "sofa", "bed"):
        sofa(c, middle, line + c.h * 0.07, wide, cloth(c))
    floor_lamp(c, scene, middle + side * (wide / 2 + c.s * 0.1), line + c.h * 0.05, c.s * 0.46)
    pot_plant(c, middle - side * (wide / 2 + c.s * 0.09), line + c.h * 0.06, c.s * 0.26)
    return on_a_table(c, small, 0.76)


def bedroom(c: Canvas, scene: Scene, wall: Rgb, small: bool) -> Ground:
    line = c.h * 0.66
    boards(c, line, wood(c))
    skirting(c, line, wall)
    rug(c, c.h * 0.88, min(c.w * 0.4, c.s * 0.55), c.h * 0.085)
    wide = min(c.w * 0.66, c.s * 0.72)
    x = c.w / 2 + c.s * 0.06
    drapes(c, x - c.s * 0.13, c.h * 0.12, c.s * 0.28, c.s * 0.28, cloth(c))
    small_window(c, scene, x - c.s * 0.13, c.h * 0.12, c.s * 0.28, c.s * 0.28)
    if not _shows(scene, "sofa", "bed"):
        bed(c, x, line + c.h * 0.09, wide, cloth(c))
        stand, top = x - wide / 2 - c.s * 0.1, line - c.s * 0.06
        cupboard(c, stand - c.s * 0.07, top, c.s * 0.14, line + c.h * 0.06 - top, wood(c), 1)
        bedside_lamp(c, scene, stand, top, c.s * 0.15)
    return on_a_table(c, small, 0.76)


def _shows(scene: Scene, *names: str) -> bool:
    """True if the scene has an object that would be in the room twice."""
    return any(item.name in names for item in scene.objects)


def bathroom(c: Canvas, scene: Scene, wall: Rgb, small: bool) -> Ground:
    line = c.h * 0.7
    tile = mix(wall, WHITE, 0.55)
    c.rect(0, c.h * 0.3, c.w, line - c.h * 0.3, hexa(tile))
    step, grout = c.s * 0.075, hexa(mix(tile, BLACK, 0.09))
    for i in range(int(c.w / step) + 1):
        c.rect(i * step, c.h * 0.3, c.s * 0.003, line - c.h * 0.3, grout)
    for i in range(int((line - c.h * 0.3) / step) + 1):
        c.rect(0, c.h * 0.3 + i * step, c.w, c.s * 0.003, grout)
    tiles(c, line, rgb(c.r.choice(("#e8eef2", "#cfdfe6", "#efe6d8"))))
    side = c.r.choice((-1, 1))
    basin = c.w / 2 + side * min(c.w * 0.3, c.s * 0.33)
    c.rect(basin - c.s * 0.1, c.h * 0.2, c.s * 0.2, c.s * 0.24, "#8fa8b5", rounded(c.s * 0.02))
    c.rect(
        basin - c.s * 0.088,
        c.h * 0.2 + c.s * 0.012,
        c.s * 0.176,
        c.s * 0.216,
        "#dff2fb",
        rounded(c.s * 0.015),
    )
    c.rect(basin - c.s * 0.02, c.h * 0.56, c.s * 0.04, line - c.h * 0.53, "#e9eef2")
    c.path(
        f"M{basin - c.s * 0.12:.1f} {c.h * 0.53:.1f}h{c.s * 0.24:.1f}q0 {c.s * 0.08:.1f} "
        f"{-c.s * 0.12:.1f} {c.s * 0.08:.1f}t{-c.s * 0.12:.1f} {-c.s * 0.08:.1f}z",
        "#ffffff",
    )
    c.rect(basin - c.s * 0.008, c.h * 0.49, c.s * 0.016, c.h * 0.04, "#9aa6b2")
    if outside(scene):
        x = c.w / 2 - side * min(c.w * 0.2, c.s * 0.22)
        small_window(c, scene, x - c.s * 0.15, c.h * 0.1, c.s * 0.3, c.s * 0.26)
    if not _shows(scene, "bathtub"):
        _tub(c, c.w / 2 - side * min(c.w * 0.2, c.s * 0.22), line + c.h * 0.06, c.s * 0.48)
    return on_a_table(c, small, 0.76)


def _tub(c: Canvas, x: float, foot: float, w: float) -> None:
    h = w * 0.4
    for k in (-0.34, 0.3):
        c.rect(x + w * k, foot - h * 0.14, w * 0.05, h * 0.14, "#b9a26a")
    c.path(
        f"M{x - w * 0.47:.1f} {foot - h * 0.9:.1f}H{x + w * 0.47:.1f}Q{x + w * 0.46:.1f} "
        f"{foot - h * 0.1:.1f} {x + w * 0.28:.1f} {foot - h * 0.1:.1f}H{x - w * 0.28:.1f}"
        f"Q{x - w * 0.46:.1f} {foot - h * 0.1:.1f} {x - w * 0.47:.1f} {foot - h * 0.9:.1f}z",
        c.linear([(0, rgb("#ffffff"), 1), (1, rgb("#dbe4ea"), 1)]),
    )
    c.rect(x - w / 2, foot - h, w, h * 0.13, "#f4f8fa", rounded(h * 0.06))
    for dx, k in ((-0.3, 0.06), (-0.2, 0.085), (-0.08, 0.065), (0.04, 0.05)):
        c.oval(x + dx * w, foot - h * 1.02, k * w, k * w, "#ffffff", 'opacity="0.9"')
