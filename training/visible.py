"""What a picture shows: the objects inside its frame, their boxes, and their colours.

The boxes come from the painter, which knows where it draws; the colours from the finished pixels
under each object's own outline.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from daguerre.models.embedded.drawing import Scene, art, render, things
from daguerre.models.embedded.drawing.canvas import PlacedObject
from daguerre.models.embedded.drawing.objects import bounds
from daguerre.models.embedded.drawing.picture import paint

MIN_SHARE = 0.3  # of an object's box that must be inside the frame
MIN_SIDE = 0.03  # of the frame's short side
PATTERN_COUNT = 20  # copies of an object that a pattern counts as
SCALE = 2  # colours are read at 1 / SCALE of the full size
SHARE = 0.35  # of an object's pixels that make a colour one of its colours

Box = tuple[float, float, float, float]  # left, top, right, bottom
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class VisibleObject:
    """An object inside the frame; `placed` is None for furniture."""

    name: str
    box: Box
    placed: PlacedObject | None


def visible_objects(scene: Scene) -> list[VisibleObject]:
    """The objects of a scene's picture that the frame does not cut off, the largest first."""
    found = []
    for placed in dict.fromkeys(paint(scene).objects):  # a reflection places its object again
        box = _box(placed)
        if is_visible(box, scene):
            found.append(VisibleObject(placed.item.name, _clipped(box, scene), placed))
    copies = PATTERN_COUNT if scene.kind == "pattern" else 1
    return sorted(found * copies, key=lambda seen: -_area(seen.box))


def is_visible(box: Box, scene: Scene) -> bool:
    """True if enough of a box is inside the frame."""
    inside = _clipped(box, scene)
    side = max(inside[2] - inside[0], inside[3] - inside[1])
    is_large = side >= MIN_SIDE * min(scene.width, scene.height)
    return is_large and _area(inside) >= MIN_SHARE * _area(box)


def _box(placed: PlacedObject) -> Box:
    """The bounds of the visible part of an object's art."""
    left, top, right, bottom = bounds(placed.item.look)
    if placed.item.flip:
        left, right = 1 - right, 1 - left
    x, y, side = placed.x - placed.side / 2, placed.y - placed.side / 2, placed.side
    return x + left * side, y + top * side, x + right * side, y + bottom * side


def _clipped(box: Box, scene: Scene) -> Box:
    left, top = max(box[0], 0), max(box[1], 0)
    return left, top, max(left, min(box[2], scene.width)), max(top, min(box[3], scene.height))


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def colour_name(r: float, g: float, b: float) -> str:
    """One of eleven colour words for a colour from 0 to 1."""
    hue, light, saturation = colorsys.rgb_to_hls(r, g, b)
    chroma = saturation * (1 - abs(2 * light - 1))
    if light < 0.14 or (light < 0.3 and chroma < 0.10):
        return "black"
    if chroma < 0.10:
        return "white" if light > 0.82 else "black" if light < 0.25 else "gray"
    if light > 0.93:
        return "white"
    if 0.02 <= hue < 0.125 and light < 0.44 and (saturation < 0.75 or light < 0.3):
        return "brown"
    if hue < 0.03 or hue >= 0.955:
        return "pink" if light > 0.70 else "red" if light > 0.22 else "brown"
    ends = {"orange": 0.11, "yellow": 0.19, "green": 0.45, "blue": 0.69, "purple": 0.82}
    return next((name for name, end in ends.items() if hue < end), "pink")


def has_colour(pixels: Pixels, colour: str) -> bool:
    """True if pixels (n, 3) have a colour most often, or in a good part."""
    shares = colour_shares(pixels)
    share = shares.get(colour, 0)
    return share > 0 and (share >= SHARE or share == max(shares.values()))


def colour_shares(pixels: Pixels) -> dict[str, float]:
    """Share of each colour word among pixels (n, 3)."""
    names, cube = _cube()
    counts = np.bincount(cube[tuple((pixels >> 4).T)], minlength=len(names))
    return {n: k / len(pixels) for n, k in zip(names, counts.tolist(), strict=True) if k}


@lru_cache(maxsize=1)
def _cube() -> tuple[list[str], NDArray[np.int64]]:
    """Colour words, and for each of 16 x 16 x 16 colours the index of its word."""
    middles = (np.arange(16) + 0.5) / 16
    each = [colour_name(r, g, b) for r in middles for g in middles for b in middles]
    names, indices = np.unique(each, return_inverse=True)
    return [str(name) for name in names], indices.reshape(16, 16, 16)


class PictureColours:
    """Reads colours from a scene's picture, which is rendered when first needed."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._image: Pixels | None = None

    def under(self, seen: VisibleObject) -> Pixels:
        """The picture's pixels (n, 3) under the outline of an object; furniture has none."""
        if seen.placed is None:
            return np.zeros((0, 3), np.uint8)
        if self._image is None:
            self._image = render(
                self._scene, self._scene.width // SCALE, self._scene.height // SCALE
            )
        placed = seen.placed
        side = max(4, round(placed.side / SCALE))
        rows, columns = np.nonzero(_outline(placed, side))
        rows += round((placed.y - placed.side / 2) / SCALE)
        columns += round((placed.x - placed.side / 2) / SCALE)
        height, width, _ = self._image.shape
        inside = (rows >= 0) & (columns >= 0) & (rows < height) & (columns < width)
        found: Pixels = self._image[rows[inside], columns[inside]]
        return found


def _outline(placed: PlacedObject, side: int) -> NDArray[np.bool_]:
    """(side, side): where an object's art is opaque."""
    if placed.item.look[0] == "glow":
        return np.ones((side, side), bool)
    drawn = art.draw(art.document(*things.drawn(placed.item.look)), side, side)
    shown: NDArray[np.bool_] = drawn[..., 3] > 200
    return shown[:, ::-1] if placed.item.flip else shown
