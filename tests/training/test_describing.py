"""Adjectives and verbs without a field, and colours that are said apart from their object."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from daguerre.models.embedded.colour_binding import bound_colours
from daguerre.models.embedded.drawing import Scene, SceneObject, things
from daguerre.models.embedded.drawing.recolouring import COLOURS
from training import describing
from training.captions import caption
from training.wording import SPOT_WORDS, STATURE_WORDS

CAR = SceneObject("car", things.looks(things.BY_NAME["car"])[0], "red", "g", 1, 0.6, False)
DOG = SceneObject("dog", things.looks(things.BY_NAME["dog"])[0], "blue", "g", 1, 0.6, False)
ALONE = Scene("thing", 1024, 1024, 1, objects=(CAR,), background="white", ground="plain")
PAIR = replace(ALONE, kind="pair", objects=(CAR, DOG), relation="and")


def test_words_carry_no_field() -> None:
    """No adjective or verb is a colour, a size, a part of the frame or the name of an object."""
    options = [*describing.ADJECTIVES.values(), *describing.VERBS.values()]
    words = {word for text in options for word in text.split(",")}
    fields = {*COLOURS, "glowing", *(w for ws in STATURE_WORDS.values() for w in ws)}
    fields |= {word for ws in SPOT_WORDS.values() for word in ws}
    assert words & fields == set()
    assert [word for word in words if things.meanings(word)] == []
    assert set(describing.ADJECTIVES) == set(things.KINDS)


@pytest.mark.parametrize("scene", [ALONE, PAIR])
def test_a_colour_said_apart_belongs_to_its_object(scene: Scene) -> None:
    """A template names every object and its colour; "the car is red" is read as such."""
    rng = np.random.default_rng(1)
    templates = describing.predicates(scene)
    assert len(templates) > 9
    texts = {caption(scene, rng).lower() for _ in range(1500)}
    said = [text for text in texts if "the car is red" in text]
    assert said
    for text in said:
        assert bound_colours(text)["car"] == "red"
        assert len(scene.objects) == 1 or "blue" in text


@pytest.mark.parametrize(
    "scene",
    [
        replace(ALONE, objects=(replace(CAR, colour=""),)),
        replace(ALONE, objects=(replace(CAR, count=2),)),
        replace(PAIR, relation="left"),
        replace(PAIR, objects=(CAR, replace(DOG, name="woman"))),
        replace(PAIR, objects=(CAR, replace(DOG, colour=""))),
    ],
)
def test_no_colour_is_said_apart(scene: Scene) -> None:
    """Counts, sides and objects without a colour need the usual templates."""
    assert describing.predicates(scene) == ()


def test_objects_without_verbs_do_nothing() -> None:
    """What people do is a field, and what glows stands still."""
    person = replace(CAR, name="woman", place="i")
    for item, expected in ((DOG, True), (person, False), (replace(DOG, glowing=True), False)):
        assert describing.has_verb(replace(ALONE, objects=(item,))) == expected
    assert not describing.has_verb(replace(ALONE, objects=()))
