"""Food on top of food: berries on a cake, an egg on noodles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from daguerre.models.embedded.drawing import things
from daguerre.models.embedded.drawing.grid import BACK_TO_FRONT, offset
from daguerre.models.embedded.drawing.placement import Placement, fitted
from daguerre.models.embedded.drawing.scene import SceneObject


@dataclass(frozen=True)
class Top:
    """The upper face of a food's first look: its ends, and the foot of what is on it."""

    left: float
    right: float
    foot: float
    side: float = 0.3  # of one topping; all are shares of the art's square
    icon: str = ""  # a drawing of ours without toppings; "" for the first look


TOPS: dict[str, Top] = {
    "cake": Top(0.2, 0.8, 0.36, 0.34, "plain-cake"),
    "birthday cake": Top(0.24, 0.76, 0.56, 0.24),
    "cupcake": Top(0.3, 0.7, 0.26),
    "pancakes": Top(0.22, 0.78, 0.26),
    "waffle": Top(0.26, 0.74, 0.6, 0.28),
    "ice cream": Top(0.34, 0.66, 0.24, 0.26),
    "noodles": Top(0.22, 0.78, 0.66, 0.32),
    "rice": Top(0.26, 0.74, 0.24),
    "curry": Top(0.2, 0.8, 0.74, 0.28),
    "stew": Top(0.28, 0.72, 0.64, 0.24),
    "salad": Top(0.22, 0.78, 0.46),
    "pizza": Top(0.36, 0.7, 0.6, 0.24),
    "toast": Top(0.26, 0.74, 0.66, 0.34),
    "spaghetti": Top(0.3, 0.7, 0.64, 0.28),
    "pie": Top(0.26, 0.74, 0.56, 0.26),
    "custard": Top(0.36, 0.64, 0.26, 0.26),
    "shaved ice": Top(0.34, 0.66, 0.18, 0.26),
}


def is_topped(items: Sequence[SceneObject]) -> bool:
    """True if the last of the objects is food that has the others, also food, on it."""
    *others, base = items
    rows = [things.BY_NAME.get(item.name) for item in others]
    return base.name in TOPS and bool(rows) and all(row and row.kind == "f" for row in rows)


def topped(
    toppings: Sequence[SceneObject], base: SceneObject, width: float, height: float
) -> list[Placement]:
    """A food of at most a width and a height, and up to seven toppings on it."""
    top = TOPS[base.name]
    usual = things.looks(things.BY_NAME[base.name])[0]
    look = ("vessel", top.icon) if top.icon else usual
    low = fitted(replace(base, look=look, flip=False), width, height)
    left, upper = low.corner
    rows = BACK_TO_FRONT[min(len(toppings), max(BACK_TO_FRONT))]
    rest = iter(toppings)
    wide = (top.right - top.left) * low.px
    side = min(top.side * low.px, 1.1 * wide / max(rows)) if max(rows) > 1 else top.side * low.px
    placements = [low]
    for i, n in enumerate(rows):
        behind = 0.45 * side * (len(rows) - 1 - i)
        for k in range(n):
            x = left + low.px * (top.left + top.right) / 2 + offset(k, n, wide / max(rows))
            foot = upper + top.foot * low.px - behind
            placements.append(replace(fitted(next(rest), side, side, x, foot), lies=False))
    return placements
