"""Objects inside others: in a bowl, a basket or a box, behind glass, in the crown of a tree.

A container is drawn, then its content, and then its front once more up to the rim. Glass is drawn
again over the content, nearly transparent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from daguerre.models.embedded.drawing import things
from daguerre.models.embedded.drawing.canvas import Canvas
from daguerre.models.embedded.drawing.grid import BACK_TO_FRONT, offset
from daguerre.models.embedded.drawing.objects import bounds
from daguerre.models.embedded.drawing.placement import Placement, Rim, copies, fitted
from daguerre.models.embedded.drawing.scene import Scene, SceneObject


@dataclass(frozen=True)
class Vessel:
    """A container with an opening: its own look with it, and the rim."""

    rim: Rim
    icon: str = ""  # a drawing of ours that is open and empty; "" for the usual look
    deep: float = 0.3  # share of the content's height that is hidden
    spread: float = 1.0  # width of the content, as a share of the opening


VESSELS: dict[str, Vessel] = {
    "bowl": Vessel(Rim(0.04, 0.96, 0.38, 0.12), "open-bowl"),
    "basket": Vessel(Rim(0.09, 0.94, 0.33, 0.07)),
    "bucket": Vessel(Rim(0.13, 0.87, 0.22, 0.06), "open-bucket"),
    "package": Vessel(Rim(0.1, 0.9, 0.4, 0.0), "open-box", 0.36),
    "crate": Vessel(Rim(0.08, 0.92, 0.3, 0.0), "open-crate"),
    "vase": Vessel(Rim(0.22, 0.78, 0.24, 0.06), "empty-vase", 0.3, 1.35),
    "mug": Vessel(Rim(0.16, 0.7, 0.17, 0.05)),
    "dinner plate": Vessel(Rim(0.08, 0.92, 0.76, 0.11), "flat-plate", 0.06, 0.92),
    "egg": Vessel(Rim(0.12, 0.88, 0.5, 0.0), "cracked-egg", 0.3, 0.95),
    "nest": Vessel(Rim(0.06, 0.96, 0.34, 0.16)),
    "wheelbarrow": Vessel(Rim(0.1, 0.72, 0.3, 0.0)),
    "bathtub": Vessel(Rim(0.04, 0.96, 0.48, 0.0)),
    "barrel": Vessel(Rim(0.22, 0.78, 0.07, 0.04)),
    "canoe": Vessel(Rim(0.04, 0.96, 0.5, 0.08)),
}


@dataclass(frozen=True)
class Glass:
    """A clear container: its own drawing, and the box for what is inside."""

    icon: str
    box: tuple[float, float, float, float]  # left, top, right, bottom as shares of its square


GLASSES: dict[str, Glass] = {
    "fish bowl": Glass("clear-bowl", (0.2, 0.3, 0.8, 0.78)),
    "jar": Glass("clear-jar", (0.16, 0.36, 0.84, 0.93)),
    "bottle": Glass("clear-bottle", (0.08, 0.36, 0.6, 0.7)),
}
# Trees, and the box of the crown as shares of the visible part.
CROWNS: dict[str, tuple[float, float, float, float]] = {
    "tree": (0.14, 0.1, 0.86, 0.62),
    "bare tree": (0.16, 0.08, 0.84, 0.5),
    "fir tree": (0.28, 0.3, 0.72, 0.78),
    "christmas tree": (0.28, 0.3, 0.72, 0.78),
}
# Places in a crown, as shares of its box.
FORKS = (
    (0.5, 0.25),
    (0.16, 0.6),
    (0.84, 0.6),
    (0.5, 0.85),
    (0.14, 0.12),
    (0.86, 0.12),
    (0.5, 0.55),
)


def contained(c: Canvas, scene: Scene) -> list[Placement]:
    """The other objects inside the last one, which is 1 unit high."""
    *inside, vessel = scene.objects
    items = copies(inside)[: max(BACK_TO_FRONT)]
    if vessel.name in CROWNS:
        return in_crown(c, items, vessel)
    if vessel.name in GLASSES:
        return _behind_glass(items, vessel)
    return _in_opening(items, vessel)


def is_container(item: SceneObject) -> bool:
    """True for a known container, glass or tree."""
    return item.name in VESSELS or item.name in GLASSES or item.name in CROWNS


def is_vehicle(item: SceneObject) -> bool:
    """True for a vehicle, whose upper third is taken as its opening."""
    row = things.BY_NAME.get(item.name)
    return row is not None and row.kind == "v"


def open_look(item: SceneObject) -> SceneObject:
    """The container with a look that is open and empty."""
    known = VESSELS.get(item.name) or GLASSES.get(item.name)
    if known is None:
        return item
    usual = things.looks(things.BY_NAME[item.name])[0]  # the one that the rim is measured on
    return replace(item, look=("vessel", known.icon) if known.icon else usual)


def _vessel(item: SceneObject) -> Vessel:
    """The shape of a container; of a vehicle, the upper third is open."""
    left, top, right, low = bounds(item.look)
    return VESSELS.get(item.name) or Vessel(Rim(left, right, top + 0.3 * (low - top), 0.0))


def _in_opening(inside: Sequence[SceneObject], vessel: SceneObject) -> list[Placement]:
    shape = _vessel(vessel)
    base = fitted(open_look(vessel), 1.0, 1.0)
    left, top = base.corner
    rim, k = shape.rim, base.px
    wide = (rim.right - rim.left) * k * shape.spread
    near = (1 - rim.right, 1 - rim.left) if vessel.flip else (rim.left, rim.right)
    middle = left + k * sum(near) / 2
    level = top + (rim.height + rim.bulge * 0.6) * k
    rows, rest = BACK_TO_FRONT[len(inside)], iter(inside)
    cell = wide * (0.92 / max(rows) if max(rows) > 1 else 0.82)
    high = cell * 1.2 if max(rows) > 1 else 0.95
    placements = [base]
    for i, n in enumerate(rows):
        for j in range(n):
            x = middle + offset(j, n, cell)
            one = fitted(next(rest), cell * 1.04, high, x)
            rise = 0.68 * one.height * (len(rows) - 1 - i)
            deep = shape.deep if len(rows) == 1 else 0.4 * shape.deep
            foot = level + one.height * deep - rise
            placements.append(replace(one, foot=foot, lies=False))
    return [*placements, replace(base, rim=rim, lies=False)]


def _behind_glass(inside: Sequence[SceneObject], vessel: SceneObject) -> list[Placement]:
    shape = GLASSES[vessel.name]
    base = fitted(open_look(replace(vessel, flip=False)), 1.0, 1.0)
    left, top = base.corner
    x0, y0, x1, y1 = shape.box
    rows, rest = BACK_TO_FRONT[len(inside)], iter(inside)
    cell, high = (x1 - x0) * base.px / max(rows), (y1 - y0) * base.px / len(rows)
    placements = [base]
    for i, n in enumerate(rows):
        for j in range(n):
            x = left + base.px * (x0 + x1) / 2 + offset(j, n, cell)
            one = fitted(next(rest), cell * 0.94, high * 0.96, x)
            spare = (high - one.height) / 2 if one.item.place == "u" else 0.0
            foot = top + y1 * base.px - (len(rows) - 1 - i) * high - spare
            placements.append(replace(one, foot=foot, lies=False))
    return [*placements, replace(base, alpha=0.22, lies=False)]


def in_crown(c: Canvas, inside: Sequence[SceneObject], tree: SceneObject) -> list[Placement]:
    """Objects in the crown of a tree."""
    base = fitted(tree, 1.4, 1.0)
    x0, y0, x1, y1 = CROWNS[tree.name]
    n = len(inside)
    side = base.width * (0.34 if n == 1 else 0.26 if n < 4 else 0.2)
    side = min(side, base.width * (x1 - x0) * (0.75 if n == 1 else 0.38))
    forks = c.r.sample(FORKS[:4], n) if n < 4 else FORKS[:n]
    placements = [base]
    for item, (across, down) in zip(inside, forks, strict=True):
        x = base.x - base.width / 2 + base.width * (x0 + (x1 - x0) * across)
        middle = base.top + base.height * (y0 + (y1 - y0) * down)
        one = fitted(item, side, side, x)
        placements.append(replace(one, foot=middle + one.height / 2, lies=False))
    return placements
