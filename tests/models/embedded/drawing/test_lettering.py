"""Words in pictures: every surface alone, with objects, outdoors and indoors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from daguerre.models.embedded.drawing import SHAPES, Scene, SceneObject, render, things
from daguerre.models.embedded.drawing.lettering import SURFACES
from daguerre.models.embedded.drawing.picture import paint
from daguerre.models.embedded.drawing.scene import LETTERINGS

CAT = SceneObject("cat", things.looks(things.BY_NAME["cat"])[0], "", "g", 1, 0.4, False)
ALONE = Scene(
    "lettering", 1024, 1024, 3, background="blue", ground="floor", lettering="sign", words="OPEN"
)
OUTDOORS = Scene("mixed", 1024, 1024, 3, time="day", weather="clear", terrain="hills")
SCENES = {
    "alone": ALONE,
    "beside": replace(ALONE, objects=(CAT,), relation="left"),
    "below": replace(ALONE, objects=(CAT,), relation="below"),
    "on": replace(ALONE, objects=(CAT,), relation="on"),
    "held": replace(ALONE, objects=(CAT,), relation="holding"),
    "outdoors": replace(OUTDOORS, objects=(CAT,)),
    "held outdoors": replace(OUTDOORS, objects=(CAT,), relation="holding"),
    "in space": Scene("landscape", 1024, 1024, 3, terrain="space"),
    "room": Scene("room", 1024, 1024, 3, objects=(CAT,), background="beige", setting="room"),
    "pattern": Scene("pattern", 1024, 1024, 3, objects=(CAT,), background="blue", ground="plain"),
    "thing": Scene("thing", 1024, 1024, 3, objects=(CAT,), background="blue", ground="plain"),
}


def test_every_surface_has_a_painter() -> None:
    assert set(SURFACES) == set(LETTERINGS)


@pytest.mark.parametrize("surface", LETTERINGS)
def test_words_are_visible(surface: str) -> None:
    """Other words change many pixels, and the words alone decide them."""
    scene = replace(ALONE, lettering=surface)
    first, again = (render(scene, 128, 128) for _ in range(2))
    other = render(replace(scene, words="SHUT"), 128, 128)
    assert np.array_equal(first, again)
    changed = np.abs(first.astype(int) - other).max(axis=2) > 60
    assert changed.sum() > 60


def test_letters_without_a_surface_are_on_a_sign() -> None:
    """The painter needs no surface, with or without words."""
    blank = render(replace(ALONE, lettering="", words=""), 64, 64)
    assert np.array_equal(render(replace(ALONE, lettering=""), 64, 64), render(ALONE, 64, 64))
    assert not np.array_equal(blank, render(ALONE, 64, 64))


@pytest.mark.parametrize("place", SCENES)
def test_every_place(place: str) -> None:
    """Words show on every surface in every kind of scene."""
    for surface in LETTERINGS:
        scene = replace(SCENES[place], lettering=surface, words="OPEN")
        blank = replace(scene, words="")
        assert not np.array_equal(render(scene, 64, 64), render(blank, 64, 64)), surface


@pytest.mark.parametrize("shape", SHAPES)
def test_surfaces_are_inside_the_frame(shape: tuple[int, int]) -> None:
    """Nothing of a sign's letters is cut off."""
    width, height = shape
    for name in ("alone", "beside", "below", "on", "held", "outdoors"):
        scene = replace(SCENES[name], width=width, height=height, lettering="sign")
        scene = replace(scene, words="WWWWWWWW WWWWWWWW")
        size = width // 8, height // 8
        pictures = render(scene, *size), render(replace(scene, words=""), *size)
        changed = (pictures[0] != pictures[1]).any(axis=2)
        rim = changed.copy()
        rim[2:-2, 2:-2] = False
        assert changed.any() and not rim.any(), name


def test_the_colour_of_a_surface() -> None:
    red = render(replace(ALONE, lettering_colour="red", words=""), 64, 64)
    centre = red[24:32, 24:40].reshape(-1, 3).mean(axis=0)
    assert centre[0] > 1.5 * max(centre[1], centre[2])


def test_objects_stay_in_the_scene() -> None:
    """The painter names the objects beside the words."""
    assert [placed.item.name for placed in paint(SCENES["beside"]).objects] == ["cat"]
