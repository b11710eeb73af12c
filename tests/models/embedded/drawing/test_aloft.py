"""Objects of the sky in rooms: outside the window or in the air, at the hour that they state."""

from __future__ import annotations

from dataclasses import replace

import pytest

from daguerre.models.embedded import drawing
from daguerre.models.embedded.drawing import Scene, SceneObject, things
from daguerre.models.embedded.drawing.canvas import PlacedObject
from daguerre.models.embedded.drawing.furnished import FURNISHED
from daguerre.models.embedded.drawing.picture import paint
from daguerre.models.embedded.drawing.placement import Placement


def thing(name: str) -> SceneObject:
    row = things.BY_NAME[name]
    return SceneObject(name, things.looks_in(row, "room")[0], "", row.place, 1, 0.9, False)


def room(setting: str, *names: str, shape: tuple[int, int] = (1024, 1024)) -> Scene:
    scene = Scene("room", *shape, 4, 0, "day", "clear", "hills", relation="and", setting=setting)
    return replace(scene, objects=tuple(map(thing, names)))


def placed(scene: Scene, name: str) -> PlacedObject:
    (found,) = (one for one in paint(scene).objects if one.item.name == name)
    return found


@pytest.mark.parametrize("name", ["moon", "sun", "cloud"])
@pytest.mark.parametrize("setting", ["room", "window", *FURNISHED])
def test_the_sky_is_not_on_the_floor(setting: str, name: str) -> None:
    """In every room, a moon is in the window or high up, and the cat alone is on the floor."""
    for shape in drawing.SHAPES:
        scene = room(setting, "cat", name, shape=shape)
        sky, cat = (Placement.of(placed(scene, one)) for one in (name, "cat"))
        assert 0 <= sky.top and sky.foot < (0.7 if setting == "window" else 0.56) * shape[1]
        assert cat.foot > sky.foot and cat.height > 0.12 * min(shape)


def test_the_moon_makes_it_night() -> None:
    """A bedroom with the moon is darker than one with the sun."""
    night, day = (
        drawing.render(room("bedroom", "cat", name), 96, 96).mean() for name in ("moon", "sun")
    )
    assert night < 0.9 * day
    moonlit = replace(room("bedroom", "cat"), moon=True)
    assert drawing.render(moonlit, 96, 96).mean() < 0.9 * day


@pytest.mark.parametrize("relation", ["left", "right", "behind", "beside"])
def test_the_moon_is_outside_in_any_relation(relation: str) -> None:
    moon = Placement.of(placed(replace(room("bedroom", "moon", "bed"), relation=relation), "moon"))
    assert moon.foot < 0.5 * 1024


@pytest.mark.parametrize("setting", ["room", "living room", "shelf"])
def test_butterflies_fly_indoors(setting: str) -> None:
    butterfly, cat = (
        Placement.of(placed(room(setting, "cat", "butterfly"), name))
        for name in ("butterfly", "cat")
    )
    assert butterfly.foot < cat.foot - 0.3 * butterfly.height


def test_a_star_on_a_table_stays_on_it() -> None:
    star, mug = (
        Placement.of(placed(room("table", "mug", "star"), name)) for name in ("star", "mug")
    )
    assert star.foot == pytest.approx(mug.foot, abs=1)
