"""The place of an object in a picture, by the bounds of its visible part.

Layouts return placements in the order of drawing. A layout in units of its own is then fitted into
a frame or onto a stretch of ground.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from daguerre.models.embedded.drawing.canvas import Canvas, PlacedObject
from daguerre.models.embedded.drawing.objects import Tint, bounds, put, under
from daguerre.models.embedded.drawing.scene import SceneObject


@dataclass(frozen=True)
class Rim:
    """The front edge of an opening, as shares of the art's square; it sags by `bulge`."""

    left: float
    right: float
    height: float
    bulge: float


@dataclass(frozen=True)
class Placement:
    """Position of an object: the centre of its visible part, its foot, and its square's side."""

    item: SceneObject
    x: float
    foot: float
    px: float
    rim: Rim | None = None  # draws only what is below it, over what is inside
    alpha: float = 1.0
    lies: bool = True  # on the ground, with a shadow; False for what is on or in another object

    @classmethod
    def of(cls, placed: PlacedObject) -> Placement:
        """The placement of an object that is on the canvas already."""
        foot = placed.y + placed.side * (bounds(placed.item.look)[3] - 0.5)
        return cls(placed.item, placed.x + aside(placed.item, placed.side), foot, placed.side)

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

    @property
    def longer_side(self) -> float:
        return max(self.width, self.height)

    @property
    def is_overlay(self) -> bool:
        """True for the second drawing of an object, over what is inside it."""
        return self.rim is not None or self.alpha < 1

    @property
    def corner(self) -> tuple[float, float]:
        """Left and top of the art's square."""
        left = self.x - aside(self.item, self.px) - self.px / 2
        return left, self.foot - self.px * bounds(self.item.look)[3]

    def moved(self, dx: float, dy: float) -> Placement:
        return replace(self, x=self.x + dx, foot=self.foot + dy)

    def scaled(self, k: float) -> Placement:
        return replace(self, x=self.x * k, foot=self.foot * k, px=self.px * k)

    def shade(self, c: Canvas, strength: float) -> None:
        """Draws its soft shadow on the floor."""
        under(c, self.item, self.corner[0] + self.px / 2, self.foot, self.px, strength)

    def draw(self, c: Canvas, tint: Tint | None = None) -> None:
        left, top = self.corner
        mark = len(c.parts)
        put(c, self.item, left + self.px / 2, top + self.px / 2, self.px, tint)
        if not self.is_overlay:
            return
        c.objects.pop()  # it is on the canvas once already
        text = "".join(c.parts[mark:])
        del c.parts[mark:]
        clip = f' clip-path="url(#{self._clip(c, left, top)})"' if self.rim else ""
        c.raw(f'<g opacity="{self.alpha:.2f}"{clip}>{text}</g>')

    def _clip(self, c: Canvas, left: float, top: float) -> str:
        """The identifier of a clip that hides what is above the rim."""
        rim = self.rim
        assert rim is not None, "no rim to clip at. This is a bug."
        name, k = c.new_id(), self.px
        x0, x1, y = left + rim.left * k, left + rim.right * k, top + rim.height * k
        if self.item.flip:
            x0, x1 = left + (1 - rim.right) * k, left + (1 - rim.left) * k
        low = top + 1.05 * k
        c.defs.append(
            f'<clipPath id="{name}"><path d="M{x0 - k:.1f} {y:.1f}H{x0:.1f}'
            f"A{(x1 - x0) / 2:.1f} {max(0.1, rim.bulge * k):.1f} 0 0 0 {x1:.1f} {y:.1f}"
            f'H{x1 + k:.1f}V{low:.1f}H{x0 - k:.1f}z"/></clipPath>'
        )
        return name


def aside(item: SceneObject, side: float) -> float:
    """The distance from the middle of the art's square to that of its visible part."""
    left, _, right, _ = bounds(item.look)
    return ((left + right) / 2 - 0.5) * side * (-1 if item.flip else 1)


def copies(items: Sequence[SceneObject]) -> list[SceneObject]:
    """Each object as often as its count says, at least once."""
    return [item for item in items for _ in range(max(1, item.count))]


def fitted(
    item: SceneObject, width: float, height: float, x: float = 0, foot: float = 0
) -> Placement:
    """The object at the largest size that fits a width and a height."""
    left, top, right, bottom = bounds(item.look)
    return Placement(item, x, foot, min(width / (right - left), height / (bottom - top)))


def extent(placements: Sequence[Placement]) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of all placements together."""
    return (
        min(p.x - p.width / 2 for p in placements),
        min(p.top for p in placements),
        max(p.x + p.width / 2 for p in placements),
        max(p.foot for p in placements),
    )


def fitted_together(
    placements: Sequence[Placement], width: float, height: float, x: float, foot: float
) -> list[Placement]:
    """The placements at the largest size for a box, with its foot's centre at (x, foot)."""
    left, top, right, low = extent(placements)
    k = min(width / (right - left), height / (low - top))
    dx, dy = x - k * (left + right) / 2, foot - k * low
    return [p.scaled(k).moved(dx, dy) for p in placements]


def within_frame(
    placements: Sequence[Placement], width: float, height: float, margin: float
) -> list[Placement]:
    """Shrinks and moves placements that come closer to the frame's edge than a margin."""
    if not placements:
        return []
    left, top, right, low = extent(placements)
    k = min(1.0, (width - 2 * margin) / (right - left), (height - 2 * margin) / (low - top))
    left, top, right, low = k * left, k * top, k * right, k * low
    x, y = (1 - k) * width / 2, (1 - k) * height / 2  # about the middle of the frame
    dx = min(max(x, margin - left), width - margin - right)
    dy = min(max(y, margin - top), height - margin - low)
    return [p.scaled(k).moved(dx, dy) for p in placements]
