"""Layouts of different objects in a relation, with the nearest last.

Every layout is true to its caption: an object that is left of another is left of all of it. Sizes
refer to the visible part of the art; a layout has its own units, and its caller fits it in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from daguerre.models.embedded.drawing import things
from daguerre.models.embedded.drawing.canvas import Canvas
from daguerre.models.embedded.drawing.grid import offset
from daguerre.models.embedded.drawing.placement import (
    Placement,
    copies,
    extent,
    fitted,
    fitted_together,
)
from daguerre.models.embedded.drawing.proportions import proportions, relative
from daguerre.models.embedded.drawing.rows import row
from daguerre.models.embedded.drawing.scene import Scene, SceneObject
from daguerre.models.embedded.drawing.toppings import is_topped, topped
from daguerre.models.embedded.drawing.vessels import (
    CROWNS,
    contained,
    in_crown,
    is_container,
    is_vehicle,
)

# Relations in which objects touch or hide each other.
TOUCHING = ("on", "under", "front", "behind", "in")
# Objects to sit on, and how far below their top, as a share of their height.
SEATS = {
    "sofa": 0.5,
    "chair": 0.5,
    "bed": 0.35,
    "horse": 0.4,
    "elephant": 0.12,
    "turtle": 0.1,
    "car": 0.06,
    "bus": 0.04,
    "rock": 0.12,
    "mushroom": 0.08,
    "hamburger": 0.06,
    "gift": 0.16,
    "book": 0.14,
    "television": 0.12,
    "pumpkin": 0.16,
    "house": 0.06,
    "cloud": 0.12,
    "birthday cake": 0.2,
    "pancakes": 0.1,
    "whale": 0.3,
    "laptop": 0.1,
    "ball": 0.02,
    "drum": 0.14,
    "cheese": 0.14,
    "watermelon": 0.1,
    "delivery truck": 0.05,
    "table": 0.06,
    "desk": 0.06,
    "tree stump": 0.14,
    "bench": 0.45,
    "suitcase": 0.2,
    "package": 0.14,
    "washing machine": 0.05,
    "bridge": 0.62,
}
NEARER = 1.3  # enlargement of what is in front of another object
MUCH_LARGER = 1.25  # size at which an object in front has the farther one at its side
MOST_NEARER = 0.92  # of the size of the farther one, which stays in view
STAND_SHARE = 0.44  # width of a container, as a share of the width below it
WIDE_SEATS = {"bridge": 0.36, "table": 0.5, "desk": 0.5, "house": 0.4, "bed": 0.5}
# Objects to be under; below those of the second kind, the other object is at their foot.
COVERS = (
    "cloud",
    "rainbow",
    "ufo",
    "moon",
    "star",
    "sun",
    "balloon",
    "hot air balloon",
    "airplane",
)
# Places beside a trunk, as shares of the tree's width from its middle.
TRUNKS = {"tree": (-0.27, 0.27), "bare tree": (-0.27, 0.27), "palm tree": (-0.22,)}
TALL_COVERS = ("umbrella", "beach umbrella", "tree", "palm tree", "bare tree", "table")


def drawable(scene: Scene) -> Scene:
    """The scene with a relation that can be drawn: only containers and vehicles have an inside."""
    items = scene.objects
    if scene.relation != "in" or len(items) < 2 or has_stand(items):
        return scene
    if is_container(items[-1]) or is_vehicle(items[-1]):
        return scene
    row = things.BY_NAME.get(items[-1].name)
    is_building = row is not None and row.kind == "b"
    return replace(scene, relation="front" if is_building else "beside")


def related(c: Canvas, scene: Scene) -> list[Placement]:
    """The objects of a scene in their relation."""
    planned = {
        "above": _column,
        "below": _column,
        "on": _stacked,
        "under": _sheltered,
        "front": _overlapping,
        "behind": _overlapping,
        "in": _contained,
    }.get(scene.relation, row)
    return planned(c, scene)


def pair(c: Canvas, scene: Scene) -> list[Placement]:
    """Two or more objects in a relation, near the middle of the frame."""
    planned = related(c, scene)
    if scene.relation == "in":
        left, top, right, low = extent(planned)
        k = min(c.w * 0.84 / (right - left), c.h * 0.84 / (low - top))
        planned = [one.scaled(k) for one in planned]
    left, top, right, low = extent(planned)
    dx, dy = c.w / 2 - (left + right) / 2, c.h / 2 - (top + low) / 2
    swing_x, swing_y = (c.w - right + left) * 0.12, (c.h - low + top) * 0.12
    dx, dy = dx + c.r.uniform(-swing_x, swing_x), dy + c.r.uniform(-swing_y, swing_y)
    return [s.moved(dx, dy) for s in planned]


def _column(c: Canvas, scene: Scene) -> list[Placement]:
    upper, lower = scene.objects if scene.relation == "above" else reversed(scene.objects)
    first, second = proportions((upper, lower))
    top, low = fitted(upper, first, first), fitted(lower, second, second)
    aside, gap = c.r.uniform(-0.1, 0.1) * top.width, c.r.uniform(0.08, 0.14)
    column = [top.moved(aside, 0), low.moved(0, low.height + gap)]
    return fitted_together(column, c.w * 0.8, c.h * 0.84, c.w / 2, c.h * 0.92)


def _stacked(c: Canvas, scene: Scene) -> list[Placement]:
    *others, lower = scene.objects
    uppers = copies(others)
    if lower.name in CROWNS:
        return in_crown(c, uppers[:7], lower)
    if is_topped(scene.objects):
        return topped(uppers, lower, c.w * 0.78, c.h * 0.62)
    low = fitted(lower, c.w * 0.72, c.h * 0.5)
    n = len(uppers)
    share = WIDE_SEATS.get(lower.name, 0.62)
    share = share if n == 1 else max(share, 0.9) / n
    seat = low.top + low.height * SEATS.get(lower.name, 0.06)
    placements = [low]
    for i, item in enumerate(uppers):
        side = low.longer_side * relative(item, lower)
        x = offset(i, n, low.width * share * 1.04)
        top = fitted(item, min(side, low.width * share), min(side, c.h * 0.36), x)
        placements.append(replace(top, foot=seat, lies=False))
    return placements


def has_stand(items: Sequence[SceneObject]) -> bool:
    """True if the last of the objects carries a container, which is the one before it."""
    if len(items) < 3 or not is_container(items[-2]) or items[-2].name in CROWNS:
        return False
    return items[-1].name in SEATS and not is_container(items[-1])


def _contained(c: Canvas, scene: Scene) -> list[Placement]:
    *inside, stand = scene.objects
    if not has_stand(scene.objects):
        return contained(c, scene)
    filled = contained(c, replace(scene, objects=tuple(inside)))
    low = fitted(stand, filled[0].width / STAND_SHARE, 2.4)
    seat = low.top + low.height * SEATS[stand.name]
    return [low, *(replace(p.moved(0, seat), lies=False) for p in filled)]


def _sheltered(c: Canvas, scene: Scene) -> list[Placement]:
    *others, cover = scene.objects
    below = copies(others)
    high = cover.name in TALL_COVERS
    roof = fitted(cover, c.w * 0.85, c.h * (0.8 if high else 0.5))
    n = len(below)
    wide = roof.width * (0.5 if high else 0.7) * (1.0 if n == 1 else 1.7 / n)
    highest = c.h * 0.36
    aside = c.r.uniform(-0.04, 0.04) * roof.width
    if cover.name in TRUNKS and n == 1:  # beside the trunk and below the crown
        wide, highest = roof.width * 0.34, roof.height * 0.42
        aside += c.r.choice(TRUNKS[cover.name]) * roof.width
    placements = [roof]
    for i, item in enumerate(below):
        side = roof.longer_side * relative(item, cover)
        guest = fitted(item, min(side, wide), min(side, highest))
        drop = 0.12 * guest.height if high else guest.height + c.h * 0.02
        placements.append(guest.moved(aside + offset(i, n, wide), drop))
    return placements


def _peeking(c: Canvas, near: SceneObject, far: SceneObject) -> list[Placement]:
    """A smaller object at the side of a larger one that is in front of it."""
    front = fitted(near, c.w * 0.7, c.h * 0.66)
    side = 1.2 * front.longer_side / relative(near, far)
    back = fitted(far, side, side)
    x = c.r.choice((-1, 1)) * (front.width / 2 + 0.12 * back.width)
    return [back.moved(x, 0), front.moved(0, 0.3 * back.height)]


def _overlapping(c: Canvas, scene: Scene) -> list[Placement]:
    *nears, far = scene.objects if scene.relation == "front" else scene.objects[::-1]
    near = copies(nears)
    if len(near) == 1 and relative(near[0], far) > MUCH_LARGER:
        return _peeking(c, near[0], far)
    back = fitted(far, c.w * 0.7, c.h * 0.66)
    n = len(near)
    side = c.w * (0.6 if n == 1 else 0.42 * 1.6 / n)
    fronts = []
    for item in near:
        most = min(MOST_NEARER, NEARER * relative(item, far)) * back.longer_side
        high = min(c.h * 0.6, back.height * MOST_NEARER)
        fronts.append(fitted(item, min(side, most), min(high, most)))
    aside = c.r.uniform(0.18, 0.32) * back.width * (1.0 if n == 1 else 0.3)
    if n == 1:  # half of the farther one is seen beside a wide one
        aside = max(aside, fronts[0].width / 2 - 0.05 * back.width)
    aside *= c.r.choice((-1, 1))
    drop = back.height * c.r.uniform(0.1, 0.18)
    placements = [back]
    for i, front in enumerate(fronts):
        placements.append(front.moved(aside + offset(i, n, side), drop))
    return placements
