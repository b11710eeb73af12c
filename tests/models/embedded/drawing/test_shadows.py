"""Shadows: where objects touch the ground, and only under objects that stand."""

from __future__ import annotations

import pytest

from daguerre.models.embedded.drawing import Scene, SceneObject, things
from daguerre.models.embedded.drawing.canvas import Canvas
from daguerre.models.embedded.drawing.objects import feet
from daguerre.models.embedded.drawing.picture import paint

BALL = SceneObject("ball", ("drawn", "ball"), "", "g", 1, 0.6, False)
BALLOON = SceneObject("hot air balloon", ("drawn", "hot-air-balloon"), "", "s", 1, 0.6, False)


def num_shadows(canvas: Canvas) -> int:
    return sum("radialGradient" in text and "#101428" in text for text in canvas.defs)


@pytest.mark.parametrize("ground", ["plain", "gradient", "circle", "dots", "floor"])
@pytest.mark.parametrize(("item", "expected"), [(BALL, 1), (BALLOON, 0)])
def test_what_stands_has_a_shadow(ground: str, item: SceneObject, expected: int) -> None:
    """A ball has one before every ground; a balloon only has one on a floor."""
    scene = Scene("thing", 1024, 1024, 1, objects=(item,), background="blue", ground=ground)
    assert num_shadows(paint(scene)) == max(expected, ground == "floor")


def test_feet_are_the_lowest_part() -> None:
    """The contact of a leaning thing is at its lower end, on the other side if mirrored."""
    broom = things.BY_NAME["broom"]
    item = SceneObject("broom", things.looks(broom)[0], "", "g", 1, 0.6, False)
    flipped = SceneObject("broom", things.looks(broom)[0], "", "g", 1, 0.6, True)
    middle, wide = feet(item, 0.0, 1.0)
    mirrored, same = feet(flipped, 0.0, 1.0)
    assert middle == -mirrored and wide == same < 0.6
    assert abs(middle) > 0.1
