"""Objects before a simple ground: groups, spots in the frame, portraits and patterns.

No counted object hides another. Sizes refer to the visible part of the art. `relations` has the
layouts of different objects.
"""

from __future__ import annotations

from dataclasses import replace

from daguerre.models.embedded.drawing.canvas import Canvas
from daguerre.models.embedded.drawing.colour import rgb
from daguerre.models.embedded.drawing.dressing import is_figure, is_group
from daguerre.models.embedded.drawing.grid import ROWS, offset
from daguerre.models.embedded.drawing.grounds import UNIT, paint_ground
from daguerre.models.embedded.drawing.objects import FAINT, SOFT, stands
from daguerre.models.embedded.drawing.palette import BACKS
from daguerre.models.embedded.drawing.placement import Placement, aside, fitted, within_frame
from daguerre.models.embedded.drawing.relations import pair
from daguerre.models.embedded.drawing.scene import SPOTS, Scene

MARGIN = 0.03  # between objects and the edge of the frame, as a share of its short side


def arranged(c: Canvas, scene: Scene) -> None:
    """Paints a group, a pair, a spot or a portrait with its ground."""
    back = rgb(c.r.choice(BACKS[scene.background]))
    placements = planned(c, scene)
    on_floor = scene.ground == "floor"
    first = min((s.foot - 0.16 * s.height for s in placements), default=c.h)
    paint_ground(c, scene, back, first)
    is_level = scene.relation not in ("above", "below", "behind")
    for placement in placements:
        if placement.lies and (on_floor or (stands(placement.item) and is_level)):
            placement.shade(c, SOFT if on_floor else FAINT)
        placement.draw(c)


def planned(c: Canvas, scene: Scene) -> list[Placement]:
    """The layout of a scene; only the objects of portraits may leave the frame."""
    placements = PLANS[scene.kind](c, scene)
    if scene.kind == "portrait":
        return placements
    return within_frame(placements, c.w, c.h, MARGIN * c.s)


def group(c: Canvas, scene: Scene) -> list[Placement]:
    """One to seven copies of an object, in rows that fill the frame."""
    item = scene.objects[0]
    room = {rows: _cell(c, rows) for rows in ROWS[item.count]}
    if scene.ground == "floor" and item.count < 4 and item.count * c.h <= 3 * c.w:
        room = {rows: cell for rows, cell in room.items() if len(rows) == 1}  # all on the floor
    best = max(min(cell) for cell in room.values())
    rows = c.r.choice([rows for rows, cell in room.items() if min(cell) > 0.85 * best])
    wide, high = room[rows]
    wide = min(wide, 1.3 * high)
    placements = []
    for i, n in enumerate(rows):
        foot = c.h / 2 + offset(i, len(rows), high)
        for k in range(n):
            x = c.w / 2 + offset(k, n, wide) + c.r.uniform(-0.03, 0.03) * wide
            placement = fitted(item, wide * item.size, high * item.size, x)
            placements.append(replace(placement, foot=foot + placement.height / 2))
    return placements


def _cell(c: Canvas, rows: tuple[int, ...]) -> tuple[float, float]:
    """Width and height available to each object in these rows."""
    return 0.94 * c.w / max(rows), 0.92 * c.h / len(rows)


def spot(c: Canvas, scene: Scene) -> list[Placement]:
    """An object of a given size somewhere in the frame."""
    item = scene.objects[0]
    placement = fitted(item, item.size * c.s, item.size * c.s)
    across, down = SPOTS[item.spot or "centre"]
    margin = 0.05 * c.s
    free_x, free_y = c.w - placement.width - 2 * margin, c.h - placement.height - 2 * margin
    loose = 0.06 if item.spot else 0.1
    x = margin + placement.width / 2 + free_x * across + c.r.uniform(-loose, loose) * c.s / 2
    foot = margin + placement.height + free_y * down + c.r.uniform(-loose, loose) * c.s / 2
    return [placement.moved(x, foot)]


BUST = 2.0  # enlargement of a figure whose upper half fills a portrait


def portrait(c: Canvas, scene: Scene) -> list[Placement]:
    """An object larger than the frame, with its upper end visible."""
    item = scene.objects[0]
    bust = BUST if is_figure(item) and not is_group(item) else 1.0
    placement = Placement(item, c.w * (0.5 + c.r.uniform(-0.05, 0.05)), 0, item.size * c.s * bust)
    top = c.h * c.r.uniform(0.02, 0.08)
    if is_group(item):
        return [placement.moved(0, (c.h + placement.height) / 2)]
    if is_figure(item):  # whose head, not what is in the hands, is in the middle
        return [placement.moved(aside(item, placement.px), top + placement.height)]
    if placement.height <= 0.8 * c.h:
        top = 0.08 * c.h
    return [placement.moved(0, top + placement.height)]


PLANS = {"group": group, "pair": pair, "spot": spot, "portrait": portrait}


def repeated(c: Canvas, scene: Scene) -> None:
    """One object, or two in alternation, in staggered rows across the picture."""
    back = rgb(c.r.choice(BACKS[scene.background]))
    paint_ground(c, scene, back, c.h)
    step = 2 * UNIT * c.r.choice((9, 11, 13))
    mark = len(c.parts)
    for i, item in enumerate((scene.objects[0], scene.objects[-1])):
        at = step * (0.25 + 0.5 * i)
        placement = fitted(item, step * 0.4, step * 0.4, at)
        replace(placement, foot=at + placement.height / 2).draw(c)
    tile = "".join(c.parts[mark:])
    del c.parts[mark:]
    name = c.new_id()
    c.defs.append(f'<g id="{name}">{tile}</g>')
    for y in range(0, int(c.h), step):
        for x in range(0, int(c.w), step):
            c.raw(f'<use xlink:href="#{name}" x="{x}" y="{y}"/>')
