"""Objects side by side: in one row, in two, or in blocks of copies.

Sizes are in proportion (`proportions`). A layout has its own units, and its caller fits it in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from daguerre.models.embedded.drawing.canvas import Canvas
from daguerre.models.embedded.drawing.grid import APART, blocks, offset
from daguerre.models.embedded.drawing.placement import Placement, extent, fitted, fitted_together
from daguerre.models.embedded.drawing.proportions import proportions
from daguerre.models.embedded.drawing.scene import Scene, SceneObject

ROW_GAP = 0.15  # between two rows
NEAR = 0.06  # gap between copies of an object in a row


def ordered(c: Canvas, scene: Scene) -> list[SceneObject]:
    """The objects from left to right; their order is open for "and" and "beside"."""
    first, *others = scene.objects
    order = [first, *others]
    if scene.relation == "right":
        order.reverse()
    elif scene.relation == "between":
        order = [others[0], first, others[-1]]
    elif scene.relation in ("and", "beside"):
        c.r.shuffle(order)
    return order


def row(c: Canvas, scene: Scene) -> list[Placement]:
    """The objects side by side, in blocks or rows if they are many."""
    order = ordered(c, scene)
    # An object on both sides has one copy on each.
    each = [1 if scene.relation == "between" else item.count for item in order]
    if scene.kind == "pair":
        narrow = c.w < 0.75 * c.h and scene.relation in ("and", "between")
        if narrow and max(each) < 4:
            return _pile(c, order, each)
        is_tall = c.w < 1.2 * c.h and scene.ground != "floor"
        if max(each) > 1 and sum(each) > (3 if is_tall else 4):
            return _blocks(c, order, each)
    floating = scene.ground != "floor"
    if scene.kind == "pair" and len(order) > 3 and floating and c.w < 1.5 * c.h:
        return _two_rows(c, order, each)
    placements = in_row(order, each, floating)
    return fitted_together(placements, c.w * 0.9, c.h * 0.68, c.w / 2, c.h * 0.8)


def _two_rows(c: Canvas, order: list[SceneObject], each: list[int]) -> list[Placement]:
    """Single objects in two rows below each other, both with the same middle."""
    singles, half = in_row(order, each), len(order) // 2
    rows = (singles[:half], singles[half:])
    centred = [[p.moved(-sum(extent(r)[::2]) / 2, 0) for p in r] for r in rows]
    down = ROW_GAP - extent(rows[1])[1]
    placements = [*centred[0], *(p.moved(0, down) for p in centred[1])]
    return fitted_together(placements, c.w * 0.88, c.h * 0.86, c.w / 2, c.h * 0.93)


def in_row(
    order: Sequence[SceneObject], each: Sequence[int], floating: bool = False
) -> list[Placement]:
    """Copies of objects side by side in proportion, the largest 1 unit; what floats is higher."""
    x, placements = 0.0, []
    for item, n, size in zip(order, each, proportions(order), strict=True):
        for _ in range(n):
            placement = fitted(item, size, size)
            rise = max(0.0, 0.55 - placement.height / 2) if floating and item.place == "s" else 0.0
            placements.append(placement.moved(x + placement.width / 2, -rise))
            x += placement.width + NEAR
        x += APART - NEAR
    return placements


def _blocks(c: Canvas, order: list[SceneObject], each: list[int]) -> list[Placement]:
    """Many copies: those of one object together, in up to three rows."""
    side, cells = blocks(each, c.w * 0.94, c.h * 0.88)
    placements, sizes = [], proportions(order)
    for cell in cells:
        high = side * 0.92 * sizes[cell.index]
        placement = fitted(order[cell.index], high, high, cell.x)
        placements.append(replace(placement, foot=cell.y + placement.height / 2))
    return placements


def _pile(c: Canvas, order: list[SceneObject], each: list[int]) -> list[Placement]:
    """Rows for a narrow frame: objects below each other, copies of one object side by side."""
    high = min(c.h * 0.94 / len(order), c.w * 0.9)
    side = min(high * 0.86, c.w * 0.81 / max(each))
    placements, sizes = [], proportions(order)
    for i, (item, n) in enumerate(zip(order, each, strict=True)):
        for k in range(n):
            x = offset(k, n, c.w * 0.9 / n)
            placement = fitted(item, side * sizes[i], side * sizes[i], x)
            placements.append(replace(placement, foot=i * high + placement.height / 2))
    return placements
