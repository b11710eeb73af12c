"""The evaluation: its prompts, and what counts as correct."""

from __future__ import annotations

from dataclasses import replace

import pytest

from daguerre.models.embedded.drawing import Scene, SceneObject, things
from training import evaluate

CAT = SceneObject("cat", ("noto", "cat"), "", "g", 1, 0.7, False)
DOG = SceneObject("dog", ("noto", "dog"), "", "g", 1, 0.7, False)


def scene(*items: SceneObject, relation: str = "") -> Scene:
    return Scene("pair", 1024, 1024, 1, objects=items, relation=relation, background="blue")


def test_prompts_name_what_they_ask_for() -> None:
    """Every figure has prompts in every wording, all different apart from their seeds."""
    found = evaluate.cases(every=10)
    assert {
        "thing",
        "place and time",
        "colour",
        "count of 7",
        "two counts",
        "left and right",
    } <= found.keys()
    for wordings in found.values():
        for cases in wordings.values():
            assert len({case.prompt for case in cases}) > 0.8 * len(cases) > 0


def test_a_single_object_must_be_alone() -> None:
    """A prompt of one object is correct only with that object and no other."""
    holds = evaluate.shows("cat")
    assert holds(scene(CAT)) and not holds(scene(DOG)) and not holds(scene(CAT, DOG))


def test_sides_have_two_descriptions() -> None:
    """ "Left of" and "right of" describe the same scene."""
    holds = evaluate._sides("cat", "dog")
    assert holds(scene(CAT, DOG, relation="left")) and holds(scene(DOG, CAT, relation="right"))
    assert not holds(scene(CAT, DOG, relation="right")) and not holds(scene(CAT, DOG))


def test_both_counts_must_hold() -> None:
    """Two objects with their numbers are correct in any order."""
    holds = evaluate._both(("cat", 2), ("dog", 3))
    cats, dogs = replace(CAT, count=2), replace(DOG, count=3)
    assert holds(scene(cats, dogs)) and holds(scene(dogs, cats))
    assert not holds(scene(CAT, dogs)) and not holds(scene(cats))


@pytest.mark.parametrize("num", [1, 2, 7, 8, 20])
def test_pairs_are_of_different_things(num: int) -> None:
    """Prompts about left and right never name one object twice, however few objects there are."""
    rows = things.THINGS[:num]
    pairs = evaluate._pairs(rows)
    assert [first for first, _ in pairs] == list(rows if num > 1 else ())
    assert all(first != second for first, second in pairs)
