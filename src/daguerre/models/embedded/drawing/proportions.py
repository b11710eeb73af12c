"""Relative sizes of objects in one picture, from their coarse real sizes.

Real proportions would make a mouse beside an elephant a dot, so they are damped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from daguerre.models.embedded.drawing.scene import SceneObject
from daguerre.models.embedded.drawing.sizes import metres

POWER = 0.45  # of real proportions
LEAST = 0.12  # size beside the largest object, for each copy in the picture
MOST_LEAST = 0.7  # bound of the least size
# Of a lone object in a landscape: the metres at which it keeps its size, and the damping of others.
USUAL, LONE_POWER = 1.5, 0.12
SMALLER, LARGER = 0.75, 1.25  # bounds of its factor
SCALES = {"tiny": 0.26, "small": 0.4, "": 0.64, "big": 1.0, "giant": 1.3}  # by stature


def proportions(items: Sequence[SceneObject]) -> list[float]:
    """The size of each object as a share of the largest one, large enough to be seen.

    Sizes are the longer sides of the art. Objects without a real size are as large as the largest.
    A stature enlarges an object; between objects that all have one, it alone counts.
    """
    sizes = [metres(item.name) for item in items]
    largest = max((size for size in sizes if size), default=1.0)
    power = POWER * sum(not item.stature for item in items) / max(1, len(items))
    scaled = [
        SCALES[item.stature] * ((size or largest) / largest) ** power
        for item, size in zip(items, sizes, strict=True)
    ]
    least = min(MOST_LEAST, LEAST * sum(max(1, item.count) for item in items))
    return [max(least, size / max(scaled)) for size in scaled]


def in_landscape(item: SceneObject) -> SceneObject:
    """A lone object a little larger or smaller, by its real size beside that of trees."""
    size = metres(item.name)
    if size is None or item.stature or item.count > 1:
        return item
    factor = min(LARGER, max(SMALLER, (size / USUAL) ** LONE_POWER))
    return replace(item, size=item.size * factor)


def relative(item: SceneObject, other: SceneObject) -> float:
    """The size of an object as a multiple of another one's."""
    first, second = proportions((item, other))
    return first / second
