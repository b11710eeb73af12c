"""Objects with each other: on one level, beside a trunk, in rows, and whole."""

from __future__ import annotations

from dataclasses import replace

import pytest

from daguerre.models.embedded import drawing
from daguerre.models.embedded.drawing import Scene, SceneObject, arrangement, things
from daguerre.models.embedded.drawing.canvas import Canvas
from daguerre.models.embedded.drawing.picture import paint
from daguerre.models.embedded.drawing.placement import Placement, extent
from daguerre.models.embedded.drawing.relations import TRUNKS


def thing(name: str) -> SceneObject:
    row = things.BY_NAME[name]
    return SceneObject(name, things.looks_in(row, "pair")[0], "", row.place, 1, 0.3, False)


def together_in(shape: tuple[int, int], seed: int, relation: str, *names: str) -> list[Placement]:
    """The layout of a pair."""
    scene = Scene("pair", *shape, seed, objects=tuple(map(thing, names)), relation=relation)
    scene = replace(scene, background="blue", ground="plain")
    return arrangement.PLANS["pair"](Canvas(scene), scene)


def apart(a: Placement, b: Placement) -> bool:
    across = abs(a.x - b.x) >= (a.width + b.width) / 2
    return across or a.foot <= b.top or b.foot <= a.top


@pytest.mark.parametrize("name", ["fisherman", "knight", "sorceress"])
def test_the_head_is_in_the_middle_of_a_portrait(name: str) -> None:
    """What somebody holds does not move the head aside."""
    for seed in range(6):
        scene = Scene("portrait", 1024, 1024, seed, objects=(replace(thing(name), size=1.2),))
        (placed,) = paint(replace(scene, background="blue", ground="plain")).objects
        assert abs(placed.x - 512) < 0.06 * 1024 and Placement.of(placed).top > 0


def test_people_side_by_side_stand_on_one_level() -> None:
    for seed in range(6):
        scene = Scene("mixed", 1024, 1024, seed, 0, "day", "clear", "meadow", relation="and")
        scene = replace(scene, objects=(thing("man"), thing("woman")))
        first, second = (Placement.of(placed).foot for placed in paint(scene).objects)
        assert first == pytest.approx(second, abs=1)


@pytest.mark.parametrize("cover", TRUNKS)
def test_one_guest_is_beside_the_trunk_of_a_tree(cover: str) -> None:
    """A bear under a tree is beside its middle, and lower than the middle of its crown."""
    for placements in (
        together_in(shape, seed, "under", "bear", cover)
        for shape in drawing.SHAPES
        for seed in range(4)
    ):
        tree, bear = placements
        assert abs(bear.x - tree.x) > 0.15 * tree.width
        assert bear.top > tree.top + 0.5 * tree.height


def test_four_objects_use_two_rows() -> None:
    """In a square frame, four objects are larger than they could be in one row."""
    placements = together_in((1024, 1024), 3, "and", "dog", "cat", "bear", "horse")
    assert all(apart(a, b) for i, a in enumerate(placements) for b in placements[:i])
    assert sum(p.width for p in placements) > 1024 and extent(placements)[3] <= 1024


@pytest.mark.parametrize("other", ["butterfly", "flower", "house"])
@pytest.mark.parametrize("kind", ["pair", "mixed", "room"])
def test_nothing_is_inside_what_is_no_container(kind: str, other: str) -> None:
    """A cat in a butterfly or a house is whole: beside it, or before the house."""
    items = (thing("ball"), thing(other))
    scene = Scene(kind, 1024, 1024, 3, 0, "day", "clear", "hills", objects=items)
    scene = replace(scene, relation="in", background="blue", ground="plain", setting="room")
    c = paint(scene)
    assert [placed.item.name for placed in c.objects].count(other) == 1
    a, b = (Placement.of(placed) for placed in c.objects)
    assert apart(a, b) == (other != "house")
