"""Several objects before a simple ground: groups, pairs in a relation, patterns.

Every arrangement is true to its caption: an object that is left of another is left of all of it,
and no counted object hides another. Sizes refer to the visible part of the art.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from daguerre.models.embedded.drawing.canvas import Canvas
from daguerre.models.embedded.drawing.colour import rgb
from daguerre.models.embedded.drawing.grid import APART, ROWS, blocks
from daguerre.models.embedded.drawing.grounds import UNIT, paint_ground
from daguerre.models.embedded.drawing.objects import bounds, put, shadow
from daguerre.models.embedded.drawing.palette import BACKS
from daguerre.models.embedded.drawing.scene import SPOTS, Scene, SceneObject


@dataclass(frozen=True)
class Placement:
    """Position of an object: the centre of its visible part, its foot, and its square's side."""

    item: SceneObject
    x: float
    foot: float
    px: float

    @property
    def width(self) -> float:
        left, _, right, _ = bounds(self.item.look)
        return (right - left) * self.px

    @property
    def height(self) -> float:
        _, top, _, bottom = bounds(self.item.look)
        return (bottom - top) * self.px

    @property
    def top(self) -> float:
        return self.foot - self.height

    def moved(self, dx: float, dy: float) -> Placement:
        return replace(self, x=self.x + dx, foot=self.foot + dy)

    def draw(self, c: Canvas) -> None:
        left, _, right, bottom = bounds(self.item.look)
        aside = ((left + right) / 2 - 0.5) * self.px * (-1 if self.item.flip else 1)
        put(c, self.item, self.x - aside, self.foot - self.px * (bottom - 0.5), self.px)


def fitted(
    item: SceneObject, width: float, height: float, x: float = 0, foot: float = 0
) -> Placement:
    """The object at the largest size that fits a width and a height."""
    left, top, right, bottom = bounds(item.look)
    return Placement(item, x, foot, min(width / (right - left), height / (bottom - top)))


def arranged(c: Canvas, scene: Scene) -> None:
    """Paints a group, a pair, a spot or a portrait with its ground."""
    back = rgb(c.r.choice(BACKS[scene.background]))
    placements = PLANS[scene.kind](c, scene)
    on_floor = scene.ground == "floor"
    first = min((s.foot - 0.16 * s.height for s in placements), default=c.h)
    paint_ground(c, scene, back, first)
    for placement in placements:
        if on_floor and not (scene.relation == "on" and placement.item == scene.objects[0]):
            shadow(c, placement.x, placement.foot - 0.01 * placement.px, placement.width * 1.05)
        placement.draw(c)


def group(c: Canvas, scene: Scene) -> list[Placement]:
    """One to seven copies of an object, in rows that fill the frame."""
    item = scene.objects[0]
    room = {rows: _cell(c, rows) for rows in ROWS[item.count]}
    best = max(min(cell) for cell in room.values())
    rows = c.r.choice([rows for rows, cell in room.items() if min(cell) > 0.85 * best])
    wide, high = room[rows]
    wide = min(wide, 1.3 * high)
    placements = []
    for i, n in enumerate(rows):
        foot = c.h / 2 + (i - (len(rows) - 1) / 2) * high
        for k in range(n):
            x = c.w / 2 + (k - (n - 1) / 2) * wide + c.r.uniform(-0.03, 0.03) * wide
            placement = fitted(item, wide * item.size, high * item.size, x)
            placements.append(replace(placement, foot=foot + placement.height / 2))
    return placements


def _cell(c: Canvas, rows: tuple[int, ...]) -> tuple[float, float]:
    """Width and height available to each object in these rows."""
    return 0.94 * c.w / max(rows), 0.92 * c.h / len(rows)


def pair(c: Canvas, scene: Scene) -> list[Placement]:
    """Two or three objects in a relation, the nearest last."""
    planned = {
        "above": _column,
        "below": _column,
        "on": _stacked,
        "under": _sheltered,
        "front": _overlapping,
        "behind": _overlapping,
    }.get(scene.relation, _row)(c, scene)
    left = min(s.x - s.width / 2 for s in planned)
    right = max(s.x + s.width / 2 for s in planned)
    top, low = min(s.top for s in planned), max(s.foot for s in planned)
    dx, dy = c.w / 2 - (left + right) / 2, c.h / 2 - (top + low) / 2
    swing_x, swing_y = (c.w - right + left) * 0.12, (c.h - low + top) * 0.12
    dx, dy = dx + c.r.uniform(-swing_x, swing_x), dy + c.r.uniform(-swing_y, swing_y)
    return [s.moved(dx, dy) for s in planned]


def _row(c: Canvas, scene: Scene) -> list[Placement]:
    first, *others = scene.objects
    order = [first, *others]
    if scene.relation == "right":
        order.reverse()
    elif scene.relation == "between":
        order = [others[0], first, others[-1]]
    elif scene.relation in ("and", "beside"):
        c.r.shuffle(order)
    # An object on both sides has one copy on each.
    each = [1 if scene.relation == "between" else item.count for item in order]
    if c.w < 0.75 * c.h and scene.relation in ("and", "between") and max(each) < 4:
        return _pile(c, order, each)
    if sum(each) > 4:
        return _blocks(c, order, each)
    wide = min(c.w * 0.96 / (sum(each) + APART * (len(order) - 1)), c.h * 0.75)
    x, placements = 0.0, []
    for item, n in zip(order, each, strict=True):
        for _ in range(n):
            side = wide * 0.94 * item.size
            placement = fitted(item, side, min(side * 1.5, c.h * 0.8), x)
            floats = item.place == "s" and scene.ground != "floor"
            placements.append(
                replace(placement, foot=placement.height / 2 if floats else wide * 0.4)
            )
            x += wide
        x += APART * wide
    return placements


def _blocks(c: Canvas, order: list[SceneObject], each: list[int]) -> list[Placement]:
    """Many copies: those of one object together, in up to three rows."""
    side, cells = blocks(each, c.w * 0.94, c.h * 0.88)
    placements = []
    for cell in cells:
        item = order[cell.index]
        placement = fitted(item, side * 0.92 * item.size, side * 0.92 * item.size, cell.x)
        placements.append(replace(placement, foot=cell.y + placement.height / 2))
    return placements


def _pile(c: Canvas, order: list[SceneObject], each: list[int]) -> list[Placement]:
    """Rows for a narrow frame: objects below each other, copies of one object side by side."""
    high = min(c.h * 0.94 / len(order), c.w * 0.9)
    placements = []
    for i, (item, n) in enumerate(zip(order, each, strict=True)):
        wide = c.w * 0.9 / n
        for k in range(n):
            placement = fitted(item, wide * 0.9, high * 0.86 * item.size, (k - (n - 1) / 2) * wide)
            placements.append(replace(placement, foot=i * high + placement.height / 2))
    return placements


def _column(c: Canvas, scene: Scene) -> list[Placement]:
    upper, lower = scene.objects if scene.relation == "above" else reversed(scene.objects)
    high, wide = c.h * 0.45, c.w * 0.8
    top = fitted(upper, wide * upper.size, high * 0.86 * upper.size)
    low = fitted(lower, wide * lower.size, high * 0.86 * lower.size)
    aside = c.r.uniform(-0.1, 0.1) * top.width
    return [top.moved(aside, 0), low.moved(0, low.height + c.h * c.r.uniform(0.05, 0.09))]


def _stacked(c: Canvas, scene: Scene) -> list[Placement]:
    upper, lower = scene.objects
    low = fitted(lower, c.w * 0.72, c.h * 0.5)
    top = fitted(upper, low.width * 0.62, c.h * 0.36)
    return [low, top.moved(0, low.top + low.height * SEATS.get(lower.name, 0.06))]


def _sheltered(c: Canvas, scene: Scene) -> list[Placement]:
    below, cover = scene.objects
    high = cover.name in TALL_COVERS
    roof = fitted(cover, c.w * 0.85, c.h * (0.8 if high else 0.5))
    guest = fitted(below, roof.width * (0.5 if high else 0.7), c.h * 0.36)
    drop = 0.12 * guest.height if high else guest.height + c.h * 0.02
    return [roof, guest.moved(c.r.uniform(-0.04, 0.04) * roof.width, drop)]


def _overlapping(c: Canvas, scene: Scene) -> list[Placement]:
    near, far = scene.objects if scene.relation == "front" else reversed(scene.objects)
    back = fitted(far, c.w * 0.7, c.h * 0.66)
    front = fitted(near, c.w * 0.42, min(c.h * 0.42, back.height * 0.66))
    aside = c.r.choice((-1, 1)) * c.r.uniform(0.18, 0.32) * back.width
    return [back, front.moved(aside, front.height * c.r.uniform(0.2, 0.32))]


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


def portrait(c: Canvas, scene: Scene) -> list[Placement]:
    """An object larger than the frame, with its upper end visible."""
    item = scene.objects[0]
    placement = Placement(item, c.w * (0.5 + c.r.uniform(-0.05, 0.05)), 0, item.size * c.s)
    top = min(c.h * c.r.uniform(0.02, 0.08), (c.h - placement.height) / 2)
    return [
        placement.moved(0, (top if placement.height > 0.8 * c.h else 0.08 * c.h) + placement.height)
    ]


PLANS = {"group": group, "pair": pair, "spot": spot, "portrait": portrait}
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
}
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
TALL_COVERS = ("umbrella", "beach umbrella", "tree", "palm tree", "bare tree", "table")


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
