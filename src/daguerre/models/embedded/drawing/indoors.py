"""Indoor scenes: a wall with a floor, a table, a shelf, or a window with a view of a landscape.

The objects are in a row on the floor, the table, the shelf or the window sill. The caller passes
the function that paints the view.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from daguerre.models.embedded.drawing import things
from daguerre.models.embedded.drawing.aloft import at_its_hour, draw_aloft, inside, outside, raised
from daguerre.models.embedded.drawing.canvas import Canvas
from daguerre.models.embedded.drawing.colour import BLACK, SHADOW, WHITE, Rgb, hexa, mix, rgb
from daguerre.models.embedded.drawing.floors import boards, rug, skirting
from daguerre.models.embedded.drawing.furnished import FURNISHED
from daguerre.models.embedded.drawing.furniture import cloth, small_window, wood
from daguerre.models.embedded.drawing.grid import offset
from daguerre.models.embedded.drawing.objects import SOFT, feet
from daguerre.models.embedded.drawing.palette import BACKS
from daguerre.models.embedded.drawing.placement import Placement, copies, fitted, fitted_together
from daguerre.models.embedded.drawing.relations import TOUCHING, related
from daguerre.models.embedded.drawing.rows import in_row
from daguerre.models.embedded.drawing.scene import Scene, SceneObject

Paint = Callable[[Canvas, Scene], None]
WINDOWLESS = ("library", "classroom", "cafe", "stage")
FAINT = 'opacity="0.7"'
# Furniture and the like, which is on the floor; other things of rooms are on tables.
STANDING = frozenset(
    "sofa,bed,chair,table,desk,floor lamp,bookshelf,wardrobe,dresser,bench,refrigerator,stove,"
    "washing machine,toilet,shower,bathtub,shopping cart,mirror,door,guitar,harp,violin,drum,"
    "bicycle,suitcase,backpack,umbrella,telescope,balloon,christmas tree,robot,skateboard,"
    "wheelchair,vacuum cleaner,broom,statue,gift,package,television,barrel".split(",")
)


def paint_room(c: Canvas, scene: Scene, view: Paint) -> None:
    """Paints an indoor scene with its objects."""
    scene = at_its_hour(scene)
    wall = rgb(c.r.choice(BACKS[scene.background or "beige"]))
    if scene.is_after_sunset:
        wall = mix(wall, rgb("#2a2a55"), 0.35)
    paint_wall(c, wall)
    if scene.setting == "window":
        _window(c, scene, wall, view)
    elif scene.setting in FURNISHED:
        _furnished(c, scene, wall)
    else:
        {"room": _room, "table": _table, "shelf": _shelf}[scene.setting](c, scene, wall)


def _furnished(c: Canvas, scene: Scene, wall: Rgb) -> None:
    items = inside(scene)
    is_small = bool(items) and all(map(_is_small, items))
    ground = FURNISHED[scene.setting](c, scene, wall, is_small)
    if scene.setting in WINDOWLESS:
        draw_aloft(c, outside(scene), c.w * 0.3, c.h * 0.04, c.w * 0.4, c.h * 0.3)
    width, height = ground.width, ground.height
    many = sum(item.count for item in items)
    if many == 1:
        height *= 0.82
    _line_up(c, scene, width, height, ground.foot, ground.on_floor, ground.x)


def _is_small(item: SceneObject) -> bool:
    """True for a thing that is put on tables and counters."""
    row = things.BY_NAME.get(item.name)
    return row is not None and row.kind in "fo" and item.name not in STANDING


def paint_wall(c: Canvas, wall: Rgb) -> None:
    """A wall in one tone, sometimes with faint wallpaper."""
    fill = c.linear([(0, mix(wall, WHITE, 0.12), 1), (1, mix(wall, BLACK, 0.05), 1)])
    c.rect(0, 0, c.w, c.h, fill)
    if c.r.random() < 0.35:
        step = c.s * c.r.choice((0.05, 0.08))
        d = "".join(f"M{i * 2 * step:.1f} 0h{step:.1f}V{c.h:.0f}h{-step:.1f}z" for i in range(60))
        c.path(d, hexa(mix(wall, WHITE, 0.5)), 'opacity="0.35"')


def paint_floor(c: Canvas, line: float, wall: Rgb) -> None:
    """Floorboards below a height, and a skirting board along the wall."""
    boards(c, line, wood(c))
    skirting(c, line, wall, 0.028)


def _room(c: Canvas, scene: Scene, wall: Rgb) -> None:
    line = c.h * c.r.uniform(0.62, 0.72)
    paint_floor(c, line, wall)
    foot = line + (c.h - line) * 0.55
    if outside(scene):
        small_window(c, scene, c.w / 2 - c.s * 0.2, c.h * 0.08, c.s * 0.4, c.h * 0.28)
    if c.r.random() < 0.6:
        rug(c, foot, min(c.w * 0.46, c.s * 0.6), (c.h - line) * 0.36)
    _line_up(c, scene, c.w * 0.92, min(foot * 0.72, c.s * 0.62), foot, True)


def _table(c: Canvas, scene: Scene, wall: Rgb) -> None:
    paint_floor(c, c.h * 0.86, wall)
    top = c.h * c.r.uniform(0.6, 0.68)
    half, thick = min(c.w * 0.45, c.s * 0.72), c.s * 0.045
    tone = wood(c)
    for side in (-1, 1):
        leg = c.w / 2 + side * half * 0.86
        c.rect(leg - c.s * 0.022, top, c.s * 0.044, c.h * 0.94 - top, hexa(mix(tone, BLACK, 0.28)))
    c.rect(c.w / 2 - half * 0.9, top, half * 1.8, thick * 2.2, hexa(mix(tone, BLACK, 0.2)))
    edge = f'rx="{thick * 0.3:.1f}"'
    if c.r.random() < 0.35:
        cover = cloth(c)
        c.rect(c.w / 2 - half * 0.97, top, half * 1.94, thick * 3.2, hexa(cover), edge)
        fold = hexa(mix(cover, WHITE, 0.55))
        c.rect(c.w / 2 - half * 0.97, top + thick * 2.5, half * 1.94, thick * 0.35, fold)
    c.rect(c.w / 2 - half, top, half * 2, thick, hexa(mix(tone, WHITE, 0.1)), edge)
    _line_up(c, scene, half * 1.7, min(top * 0.8, c.s * 0.5), top + thick * 0.12, False)


def _shelf(c: Canvas, scene: Scene, wall: Rgb) -> None:
    top = c.h * c.r.uniform(0.58, 0.66)
    half, thick = min(c.w * 0.46, c.s * 0.8), c.s * 0.04
    tone = wood(c)
    for side in (-1, 1):
        x = c.w / 2 + side * half * 0.7
        foot = top + thick + c.s * 0.12
        arm = [(x, top + thick), (x + side * -c.s * 0.1, top + thick), (x, foot)]
        c.poly(arm, hexa(mix(tone, BLACK, 0.35)))
    c.rect(c.w / 2 - half, top + thick, half * 2, thick * 0.6, hexa(mix(wall, BLACK, 0.18)), FAINT)
    c.rect(c.w / 2 - half, top, half * 2, thick, hexa(tone), f'rx="{thick * 0.2:.1f}"')
    _line_up(c, scene, half * 1.75, min(top * 0.8, c.s * 0.5), top + thick * 0.06, False)


def _window(c: Canvas, scene: Scene, wall: Rgb, view: Paint) -> None:
    wide, high = min(c.w * 0.72, c.h * 1.15), min(c.h * 0.66, c.w * 1.15)
    x, y = (c.w - wide) / 2, c.h * c.r.uniform(0.1, 0.16)
    _view(c, scene, (x, y, wide, high), view)
    frame, k = hexa(mix(wall, WHITE, 0.85)), c.s * 0.028
    line = f'fill="none" stroke="{frame}" stroke-width="{k:.1f}"'
    c.raw(f'<rect x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{high:.1f}" {line}/>')
    c.rect(c.w / 2 - k * 0.35, y, k * 0.7, high, frame)
    if c.r.random() < 0.6:
        c.rect(x, y + high * 0.42, wide, k * 0.7, frame)
    if c.r.random() < 0.5:
        _curtains(c, y, wide, high)
    sill = y + high + k * 0.5
    c.rect(x - k * 2.4, sill, wide + k * 4.8, k * 1.5, frame)
    c.rect(x - k * 2.0, sill + k * 1.5, wide + k * 4, k * 0.5, hexa(mix(wall, BLACK, 0.2)), FAINT)
    _line_up(c, scene, wide * 0.7, high * 0.52, sill + k * 0.5, False)


def _view(c: Canvas, scene: Scene, frame: tuple[float, float, float, float], view: Paint) -> None:
    """A landscape behind an opening (left, top, width, height)."""
    x, y, wide, high = frame
    seed = c.r.getrandbits(32)
    beyond = tuple(replace(item, size=0.3, glowing=True) for item in outside(scene))
    landscape = replace(scene, kind="landscape", objects=beyond, relation="")
    inner = Canvas(replace(landscape, width=round(wide), height=round(high), seed=seed))
    inner.defs = c.defs  # one list of definitions keeps identifiers unique
    view(inner, landscape)
    c.objects.extend(replace(one, x=one.x + x, y=one.y + y) for one in inner.objects)
    clip = c.new_id()
    c.defs.append(
        f'<clipPath id="{clip}"><rect width="{wide:.1f}" height="{high:.1f}"/></clipPath>'
    )
    body = "".join(inner.parts)
    c.raw(f'<g transform="translate({x:.1f} {y:.1f})"><g clip-path="url(#{clip})">{body}</g></g>')


def _curtains(c: Canvas, y: float, wide: float, high: float) -> None:
    tone = cloth(c)
    low, over = y + high * 1.04, c.s * 0.04
    for side in (-1, 1):
        edge = c.w / 2 + side * (wide / 2 + over)
        inner = edge - side * wide * 0.2
        c.path(
            f"M{edge:.1f} {y - over:.1f}H{inner:.1f}Q{inner:.1f} {y + high * 0.6:.1f} "
            f"{edge - side * wide * 0.09:.1f} {low:.1f}H{edge:.1f}z",
            hexa(tone),
        )
        fold = edge - side * wide * 0.06
        d = f"M{fold:.1f} {y:.1f}V{low:.1f}"
        dark = hexa(mix(tone, BLACK, 0.15))
        c.path(d, "none", f'stroke="{dark}" stroke-width="{c.s * 0.008:.1f}"')
    bar = c.s * 0.018
    left = c.w / 2 - wide / 2 - over * 1.6
    c.rect(left, y - over - bar, wide + over * 3.2, bar, "#8a6a4f", f'rx="{bar / 2:.1f}"')


def _line_up(
    c: Canvas,
    scene: Scene,
    width: float,
    height: float,
    foot: float,
    on_floor: bool,
    middle: float = 0.0,
) -> None:
    """Draws the objects in a row around a middle, the picture's by default."""
    shift = middle - c.w / 2 if middle else 0.0
    placements = [p.moved(shift, 0) for p in lined_up(c, scene, width, height, foot)]
    if scene.relation not in TOUCHING:
        placements = raised(scene, placements, c.h * 0.06)
    for placement in placements:
        if placement.lies and on_floor:
            placement.shade(c, SOFT)
        elif placement.lies:
            x, wide = feet(placement.item, placement.corner[0] + placement.px / 2, placement.px)
            c.oval(x, foot, wide * 0.55, c.s * 0.008, SHADOW, 'opacity="0.25"')
        placement.draw(c)


def lined_up(c: Canvas, scene: Scene, width: float, height: float, foot: float) -> list[Placement]:
    """The scene's objects side by side, the first on the left unless the relation is "right".

    Objects that touch or hide each other are one group.
    """
    order = list(inside(scene))
    if scene.relation in TOUCHING and len(order) > 1:
        group = related(c, replace(scene, objects=tuple(order)))
        return fitted_together(group, width, height * 1.1, c.w / 2, foot)
    if scene.relation == "right":
        order.reverse()
    if len(order) > 1:
        row = in_row(order, [item.count for item in order])
        return fitted_together(row, width * 0.94, height, c.w / 2, foot)
    items = copies(order)
    wide = min(width / max(1, len(items)), height * (1.15 if len(items) > 1 else 1.5))
    placements = []
    for i, item in enumerate(items):
        x = c.w / 2 + offset(i, len(items), wide) + c.r.uniform(-0.04, 0.04) * wide
        placements.append(fitted(item, wide * 0.84 * item.size, height * item.size, x, foot))
    return placements
