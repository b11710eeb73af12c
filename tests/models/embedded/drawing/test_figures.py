"""Figures of people and whole animals: clothes, poses and hats are visible, seeds give variants."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from daguerre.models.embedded import drawing
from daguerre.models.embedded.drawing import art, dressing, figures, garments, hatted, poses, things
from daguerre.models.embedded.drawing.colour import rgb
from daguerre.models.embedded.drawing.people import PEOPLE
from daguerre.models.embedded.drawing.picture import paint

MAN = drawing.SceneObject("man", ("figure", "man"), "", "g", 1, 0.9, False)
SCENE = drawing.Scene("thing", 1024, 1024, 5, objects=(MAN,), background="white", ground="plain")


def test_every_person_is_a_thing() -> None:
    """The table of things has each person of people.txt; the first look is the figure."""
    for name in PEOPLE:
        assert things.looks(things.BY_NAME[name])[0] == ("figure", name.replace(" ", "-"))


def test_clothes_and_poses_of_the_tables_exist() -> None:
    """What people.txt names can be drawn, and so can what a scene says."""
    for who in PEOPLE.values():
        assert who.pose in poses.POSES and who.outfit in {"", *garments.OUTFITS}
        assert who.hat in {"", *garments.HATS} and {*who.others} <= PEOPLE.keys()
        assert not who.prop or garments.PROPS[who.prop.replace(" ", "-")]
    assert {*dressing.POSES} <= poses.POSES.keys()
    assert {*dressing.OUTFITS} <= garments.OUTFITS.keys()
    assert {*dressing.HATS} <= garments.HATS.keys()


@pytest.mark.parametrize("name", sorted(PEOPLE))
def test_every_figure_is_whole_and_inside_the_view(name: str) -> None:
    """A figure covers a part of its view and does not touch the sides."""
    pixels = art.draw(art.document(*figures.drawn(f"{name}|||||3")), 64, 64)[..., 3] > 40
    assert 0.04 < pixels.mean() < 0.5
    assert not pixels[0].any() and not pixels[:, [0, -1]].any()


def picture(**said: object) -> np.ndarray:
    item = replace(MAN, **said)  # type: ignore[arg-type]
    return drawing.render(replace(SCENE, objects=(item,)), 96, 96).astype(int)


@pytest.mark.parametrize(
    "said", [{"pose": "running"}, {"outfit": "suit"}, {"hat": "top hat"}, {"colour": "red"}]
)
def test_what_a_scene_says_is_visible(said: dict[str, str]) -> None:
    """Pose, outfit, hat and colour each change the picture."""
    assert np.abs(picture(**said) - picture()).max() > 60


def test_seed_decides_what_is_left_open() -> None:
    """Another seed shows another man; the same seed shows the same."""
    looks = {dressing.dressed(replace(SCENE, seed=i)).objects[0].look for i in range(20)}
    assert len(looks) > 10
    assert dressing.dressed(SCENE) == dressing.dressed(SCENE)


def test_copies_are_different_people() -> None:
    look = dressing.dressed(SCENE).objects[0].look
    assert len({dressing.varied(look, i) for i in range(5)}) == 5
    assert dressing.varied(("noto", "cat"), 3) == ("noto", "cat")


@pytest.mark.parametrize("name", ["fox", "bear", "lion", "frog", "unicorn", "robot"])
def test_portraits_show_heads_and_other_scenes_what_is_whole(name: str) -> None:
    row = things.BY_NAME[name]
    assert {look[0] for look in things.looks_in(row, "thing")} == {"whole"}
    assert "whole" not in {look[0] for look in things.looks_in(row, "portrait")}


@pytest.mark.parametrize("name", sorted(hatted.HEADS))
def test_animals_wear_hats(name: str) -> None:
    """The colour of a hat, which no animal has, is in the drawing."""
    row = things.BY_NAME[name]
    look = things.looks_in(row, "thing")[0]
    item = drawing.SceneObject(name, look, "", row.place, 1, 0.9, False, hat="wizard hat")
    worn = dressing.dressed(replace(SCENE, objects=(item,))).objects[0]
    assert worn.look[0] == hatted.HATTED
    pixels = art.draw(art.document(*things.drawn(worn.look)), 64, 64)
    away = np.abs(pixels[..., :3] - 255 * np.array(rgb(garments.HATS["wizard hat"]))).max(axis=-1)
    assert ((away < 8) & (pixels[..., 3] > 200)).sum() >= 4


def test_animals_in_profile_wear_no_glasses() -> None:
    assert "glasses" in hatted.hats_of("cat") and "glasses" not in hatted.hats_of("horse")
    assert hatted.hats_of("apple") == ()


def test_portraits_of_people_show_the_upper_half() -> None:
    """The feet are below the frame, the head is inside it."""
    portrait = replace(SCENE, kind="portrait", objects=(replace(MAN, size=1.2),))
    (placed,) = paint(portrait).objects
    left, top, right, bottom = things.bounds(placed.item.look)
    assert placed.y + (bottom - 0.5) * placed.side > 1.3 * 1024
    assert placed.y + (top - 0.5) * placed.side > 0
