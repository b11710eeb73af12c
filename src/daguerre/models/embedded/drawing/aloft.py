"""Objects of the sky in scenes indoors: outside the window, or high in the room.

A moon or a star makes the hour night. Objects of tables and shelves stay where they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from daguerre.models.embedded.drawing import things
from daguerre.models.embedded.drawing.canvas import Canvas
from daguerre.models.embedded.drawing.placement import Placement, copies, fitted
from daguerre.models.embedded.drawing.scene import Scene, SceneObject

NIGHTLY = ("moon", "star", "comet", "planet")  # parts of names of what the night shows
NEARBY = ("earth", "fire", "water drop", "splash", "wave", "sparkles")  # not of the sky
SURFACES = ("table", "shelf")  # settings
JOINING = ("on", "under", "in")  # relations that leave an object of the sky in the room


def is_celestial(item: SceneObject) -> bool:
    """True for the sun, the moon, clouds and the like."""
    row = things.BY_NAME.get(item.name)
    return row is not None and row.kind == "k" and item.name not in NEARBY


def outside(scene: Scene) -> tuple[SceneObject, ...]:
    """The objects of a room that are outside its window."""
    if scene.relation in JOINING or scene.setting in SURFACES:
        return ()
    return tuple(filter(is_celestial, scene.objects))


def inside(scene: Scene) -> tuple[SceneObject, ...]:
    """The objects of a room that are in it."""
    beyond = outside(scene)
    return tuple(item for item in scene.objects if item not in beyond)


def at_its_hour(scene: Scene) -> Scene:
    """The scene at night if the moon or stars are outside and no other hour is known."""
    seen = any(word in item.name for item in outside(scene) for word in NIGHTLY)
    if scene.time in ("", "day") and (scene.moon or seen):
        return replace(scene, time="night")
    return scene


def draw_aloft(
    c: Canvas, items: Sequence[SceneObject], x: float, y: float, width: float, height: float
) -> None:
    """Draws objects side by side in the middle of a box with its top left corner at (x, y)."""
    every = copies(items)
    for i, item in enumerate(every):
        wide = width / len(every)
        one = fitted(item, wide * 0.8, height * 0.8, x + (i + 0.5) * wide)
        one.moved(0, y + (height + one.height) / 2).draw(c)


def raised(scene: Scene, placements: Sequence[Placement], top: float) -> list[Placement]:
    """Raises objects that fly above the ground, but not above `top`.

    On tables and shelves, only animals fly.
    """
    found = []
    for one in placements:
        row = things.BY_NAME.get(one.item.name)
        is_small = scene.setting in SURFACES and (row is None or row.kind != "a")
        if one.item.place == "s" and one.lies and not is_small:
            up = min(0.7 * one.height, max(0.0, one.top - top))
            one = replace(one.moved(0, -up), lies=False)
        found.append(one)
    return found
