"""Sizes of objects that are in one picture: true in order, and large enough to be seen."""

from __future__ import annotations

from dataclasses import replace

import pytest

from daguerre.models.embedded import drawing
from daguerre.models.embedded.drawing import Scene, SceneObject, sizes, things
from daguerre.models.embedded.drawing.picture import paint
from daguerre.models.embedded.drawing.placement import Placement
from daguerre.models.embedded.drawing.proportions import proportions

SEEN = 0.12  # of the short side


def thing(name: str, stature: str = "", count: int = 1) -> SceneObject:
    row = things.BY_NAME[name]
    look = things.looks_in(row, "pair")[0]
    return SceneObject(name, look, "", row.place, count, 0.3, False, stature=stature)


def heights(scene: Scene) -> dict[str, float]:
    """The longer side of each object, in shares of the short side."""
    short = min(scene.width, scene.height)
    return {p.item.name: Placement.of(p).longer_side / short for p in paint(scene).objects}


def test_every_size_is_of_a_known_thing() -> None:
    """No row of the table names an unknown thing or tag, and none is in two rows."""
    known = {f"@{tag}" for row in things.THINGS for tag in row.tags}
    known |= {*things.BY_NAME, "glowing mushroom"}
    words = [word for row in sizes.TABLE.split("\n") for word in row.partition("|")[2].split(",")]
    words = [word for word in words if word]
    assert set(words) <= known and len(words) == len(set(words)) > 200


@pytest.mark.parametrize(
    ("small", "large"),
    [("mouse", "cat"), ("parrot", "pirate"), ("tulip", "windmill"), ("car", "palm tree")],
)
def test_small_things_are_smaller(small: str, large: str) -> None:
    share, whole = proportions((thing(small), thing(large)))
    assert share < 0.85 * whole == 0.85


def test_what_has_no_size_is_as_large_as_its_company() -> None:
    assert proportions((thing("heart"), thing("mouse"))) == [1.0, 1.0]


def test_statures_count_more_than_real_sizes() -> None:
    """A giant mouse is larger than a tiny elephant, a big cat larger than a usual one."""
    mouse, elephant = proportions((thing("mouse", "giant"), thing("elephant", "tiny")))
    assert elephant < 0.5 * mouse
    assert proportions((thing("cat", "big"), thing("dog")))[1] < 1
    assert (
        proportions((thing("mouse", "big"), thing("elephant")))[0]
        > proportions((thing("mouse"), thing("elephant")))[0]
    )


@pytest.mark.parametrize("relation", ["and", "left", "above", "on", "front"])
@pytest.mark.parametrize("kind", ["pair", "mixed", "room"])
def test_the_smaller_object_is_seen(kind: str, relation: str) -> None:
    """Everywhere, a mouse is smaller than an elephant, and not too small to be seen."""
    for shape in drawing.SHAPES:
        scene = Scene(
            kind, *shape, 2, 0, "day", "clear", objects=(thing("mouse"), thing("elephant"))
        )
        scene = replace(scene, terrain="hills", setting="room", relation=relation)
        found = heights(replace(scene, background="blue", ground="plain"))
        assert SEEN <= found["mouse"] < 0.6 * found["elephant"]


@pytest.mark.parametrize("numbers", [(1, 3), (2, 2), (4, 3), (7, 2)])
def test_many_objects_are_seen(numbers: tuple[int, int]) -> None:
    """Copies of something small beside something large are not dots."""
    items = (thing("mouse", count=numbers[0]), thing("house", count=numbers[1]))
    for shape in drawing.SHAPES:
        scene = Scene("pair", *shape, 2, objects=items, background="blue", ground="plain")
        found = heights(replace(scene, relation="and"))
        assert 0.5 * SEEN < found["mouse"] < found["house"]


def test_what_is_above_a_house_in_a_landscape_flies() -> None:
    """A bird above a house does not hide behind it."""
    scene = Scene("mixed", 1024, 1024, 2, 0, "day", "clear", "meadow", relation="above")
    bird, house = paint(replace(scene, objects=(thing("bird"), thing("house")))).objects
    assert Placement.of(bird).foot < Placement.of(house).top


@pytest.mark.parametrize("shape", drawing.SHAPES)
def test_a_castle_alone_is_larger_than_a_mouse_alone(shape: tuple[int, int]) -> None:
    """Beside the trees of a landscape, unless a stature is stated."""
    scene = Scene("mixed", *shape, 2, 0, "day", "clear", "hills")
    castle, mouse, tiny = (
        heights(replace(scene, objects=(item,)))[item.name]
        for item in (thing("castle"), thing("mouse"), thing("castle", "tiny"))
    )
    assert SEEN < mouse < 0.75 * castle and tiny < castle
