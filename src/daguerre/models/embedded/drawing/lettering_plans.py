"""Words on simple ground: the places of a surface and of the objects with it."""

from __future__ import annotations

import re
from dataclasses import replace

from daguerre.models.embedded.drawing import things
from daguerre.models.embedded.drawing.canvas import Canvas
from daguerre.models.embedded.drawing.colour import rgb
from daguerre.models.embedded.drawing.dressing import is_figure
from daguerre.models.embedded.drawing.grounds import paint_ground
from daguerre.models.embedded.drawing.lettering import (
    BEHIND,
    HELD,
    SURFACES,
    held_box,
    hold,
    inside,
    posts,
    words_on,
)
from daguerre.models.embedded.drawing.objects import SOFT, shadow
from daguerre.models.embedded.drawing.palette import BACKS
from daguerre.models.embedded.drawing.placement import Placement, copies, fitted
from daguerre.models.embedded.drawing.scene import Scene, SceneObject
from daguerre.models.embedded.drawing.surfaces import CREAM, INK, Box, wall, write

# Icons of animals that show the head alone, besides those that are called a face.
HEADS = ("fox", "lion", "frog", "bear", "koala", "panda", "polar-bear", "wolf", "unicorn")
_FACE = re.compile(r"face$|-cat$|^cat-with")


def lettered(c: Canvas, scene: Scene) -> None:
    """Paints words on simple ground, alone or with objects."""
    back = rgb(c.r.choice(BACKS[scene.background or "blue"]))
    if scene.lettering == "wall":
        _paint_wall(c, scene)
    else:
        line = c.h * (0.72 if scene.objects else 0.76)
        paint_ground(c, scene, back, line if scene.ground == "floor" else c.h)
    placements, box = _plan(c, scene)
    if not placements or scene.relation not in HELD:
        _surface(c, scene, box, placements)
        _stand(c, scene, placements)
    elif scene.lettering != "shirt":
        _stand(c, scene, placements)
        hold(c, scene, placements[0], box)
    elif is_head(placements[0].item):
        words_on(c, scene, box)
        _stand(c, scene, placements)
    else:
        _stand(c, scene, placements)
        words_on(c, scene, box)


def is_head(item: SceneObject) -> bool:
    """True if a person or an animal is drawn as a head, so that a shirt is below it."""
    row = things.BY_NAME.get(item.name)
    if is_figure(item):
        return False
    icon = item.look[1]
    return bool(_FACE.search(icon)) or icon in HEADS or bool(row and row.kind == "p")


def _paint_wall(c: Canvas, scene: Scene) -> None:
    """Bricks all over the picture, and a pavement if something is on it."""
    wall(c, Box(0, 0, c.w, c.h), "", scene.lettering_colour)
    if scene.objects:
        line = c.h * 0.87
        c.rect(0, line, c.w, c.h - line, "#a9aab4")
        c.rect(0, line, c.w, c.h * 0.018, "#c9cad2")


def _surface(c: Canvas, scene: Scene, box: Box, placements: list[Placement]) -> None:
    support = SURFACES[scene.lettering].support
    if scene.lettering == "wall":
        ink = INK if scene.lettering_colour in ("white", "yellow") else CREAM
        write(c, box, scene.words, ink)
        return
    if support == "post":
        feet = [p.foot for p in placements if p.foot > box.low]
        posts(c, scene, box, max((box.low + 0.34 * box.h, *feet)))
    elif support == "foot" and scene.ground == "floor":
        shadow(c, box.middle, box.low - 0.01 * box.h, box.w * 1.05)
    words_on(c, scene, box)


def _stand(c: Canvas, scene: Scene, placements: list[Placement]) -> None:
    for placement in placements:
        if scene.ground == "floor" and placement.item.place != "s":
            placement.shade(c, SOFT)
        placement.draw(c)


def _plan(c: Canvas, scene: Scene) -> tuple[list[Placement], Box]:
    """The places of the objects and of the surface."""
    items = copies(scene.objects)[:6]
    if not items:
        tall = 0.6 if SURFACES[scene.lettering].support == "post" else 0.8
        frame = Box(0.08 * c.w, 0.1 * c.h, 0.84 * c.w, tall * c.h)
        return [], inside(scene.lettering, frame)
    if scene.relation in HELD:
        return _plan_held(c, scene, items)
    if scene.lettering == "bubble" or scene.relation in BEHIND:
        return _plan_above(c, scene, items)
    if scene.relation in ("above", "on"):
        return _plan_on(c, scene, items)
    if scene.lettering == "wall" or c.w < 0.75 * c.h:
        return _plan_above(c, scene, items)
    return _plan_beside(c, scene, items)


def _row(
    items: list[SceneObject], left: float, right: float, foot: float, height: float
) -> list[Placement]:
    """Objects side by side on a line."""
    wide = (right - left) / len(items)
    return [
        fitted(item, wide * 0.92, height, left + (i + 0.5) * wide, foot)
        for i, item in enumerate(items)
    ]


def _plan_held(c: Canvas, scene: Scene, items: list[SceneObject]) -> tuple[list[Placement], Box]:
    first, *others = items
    middle = c.w * (0.5 if not others else 0.36)
    wide = c.w * (0.8 if not others else 0.5)
    aside = _row(others, c.w * 0.66, c.w * 0.98, c.h * 0.9, c.h * 0.4) if others else []
    if scene.lettering != "shirt":
        holder = fitted(first, wide, c.h * 0.78, middle, c.h * 0.87)
        return [holder, *aside], held_box(scene, holder, wide)
    wearer, box = _plan_worn(c, first, wide, middle)
    return [wearer, *aside], box


def _plan_worn(c: Canvas, item: SceneObject, wide: float, middle: float) -> tuple[Placement, Box]:
    """Somebody in a shirt with words; a head is drawn above it."""
    if is_figure(item):
        wearer = fitted(item, wide, c.h * 0.84, middle, c.h * 0.92)
        height = 0.36 * wearer.height
        width = 0.95 * height * SURFACES["shirt"].aspect
        top = wearer.foot - (0.58 if item.hat else 0.64) * wearer.height
        return wearer, Box(wearer.x - width / 2, top, width, height)
    if is_head(item):
        wearer = fitted(item, wide * 0.8, c.h * 0.48, middle, c.h * 0.53)
        height = min(c.h * 0.5, wide * 0.85)
        top = wearer.foot - 0.17 * height
    else:
        wearer = fitted(item, wide * 0.9, c.h * 0.8, middle, c.h * 0.9)
        height = min(0.54 * wearer.height, 1.15 * wearer.width / SURFACES["shirt"].aspect)
        top = wearer.foot - 0.54 * wearer.height
    width = height * SURFACES["shirt"].aspect
    return wearer, Box(middle - width / 2, top, width, height)


def _plan_above(c: Canvas, scene: Scene, items: list[SceneObject]) -> tuple[list[Placement], Box]:
    is_behind = scene.relation == "front" and SURFACES[scene.lettering].support == "foot"
    foot = c.h * 0.94
    if is_behind and scene.lettering != "wall":
        frame = Box(c.w * 0.08, c.h * 0.05, c.w * 0.84, c.h * 0.83)
        box = inside(scene.lettering, frame)
        return _row(items, c.w * 0.2, c.w * 0.8, foot, c.h * 0.36), replace(
            box, y=c.h * 0.88 - box.h
        )
    row = _row(items, c.w * 0.1, c.w * 0.9, foot, c.h * 0.46)
    top = min(placement.top for placement in row)
    frame = Box(c.w * 0.07, c.h * 0.05, c.w * 0.86, top - c.h * 0.09)
    if scene.lettering == "wall":
        return row, frame
    box = inside(scene.lettering, frame)
    if scene.lettering == "bubble":
        x = row[0].x - box.w / 2
        box = replace(
            box, x=min(max(x, 0.04 * c.w), 0.96 * c.w - box.w), y=top - 0.02 * c.h - box.h
        )
    return row, box


def _plan_on(c: Canvas, scene: Scene, items: list[SceneObject]) -> tuple[list[Placement], Box]:
    post = SURFACES[scene.lettering].support == "post"
    frame = Box(c.w * 0.1, c.h * 0.45, c.w * 0.8, c.h * (0.36 if post else 0.48))
    box = inside(scene.lettering, frame)
    box = replace(box, y=frame.y)
    top = box.y + box.h * {"cake": 0.22, "mug": 0.24, "shirt": 0.1}.get(scene.lettering, 0.01)
    return _row(items, box.x + 0.1 * box.w, box.x + 0.9 * box.w, top, c.h * 0.38), box


def _plan_beside(c: Canvas, scene: Scene, items: list[SceneObject]) -> tuple[list[Placement], Box]:
    """Objects on one side, the surface on the other; both stand on one line."""
    on_left = scene.relation == "left" or (scene.relation != "right" and c.r.random() < 0.5)
    share = 0.36 if scene.lettering == "banner" else 0.42 if len(items) == 1 else 0.5
    foot = c.h * (0.86 if scene.ground == "floor" else 0.78)
    margin = 0.05 * c.w
    wide = (c.w - 2 * margin) * share
    left = margin if on_left else c.w - margin - wide
    row = _row(items, left, left + wide, foot, c.h * 0.62)
    start = margin + wide + 0.02 * c.w if on_left else margin
    frame = Box(start, c.h * 0.12, c.w - 2 * margin - wide - 0.02 * c.w, c.h * 0.74)
    box = inside(scene.lettering, frame)
    support = SURFACES[scene.lettering].support
    if support == "foot":
        return row, replace(box, y=foot - box.h)
    if support == "post":
        return row, replace(box, y=foot - 1.34 * box.h)
    height = max(placement.height for placement in row)
    return row, replace(box, y=max(0.06 * c.h, foot - height / 2 - box.h / 2))
