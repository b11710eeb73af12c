"""How many of each object a prompt states."""

from __future__ import annotations

import numpy as np
import pytest

from daguerre.models.embedded.compatibility import CompatibilityTables
from daguerre.models.embedded.fields import AT, FIELDS, NUM_LOGITS, STARTS
from daguerre.models.embedded.object_binding import bound_objects
from daguerre.models.embedded.sampler import MAX_STEPS, Noise, SceneSampler

SEVERAL = "234567"


@pytest.mark.parametrize(
    ("prompt", "counts"),
    [
        ("three dogs", {"dog": "3"}),
        ("6 small red apples", {"apple": "6"}),
        ("two sheep and seven birds", {"sheep": "2", "bird": "7"}),
        ("three reindeer and a pair of dice", {"deer": "3", "dice": "2"}),
        ("four people", {"person": "4"}),
        ("three books", {"book": "3"}),
        ("a dog. 2 cats", {"dog": "1", "cat": "2"}),
        ("two cups of tea", {"tea": "2"}),
        ("two women with curly hair", {"woman with curly hair": "2"}),
        ("a pair of red sneakers", {"shoe": "2"}),
        ("half a dozen eggs", {"egg": "6"}),
        ("two cats. The cats sleep.", {"cat": "2"}),
        ("a road without two cars", {}),
        ("two dogs and three dogs", {}),
        ("chapter three cats", {"cat": SEVERAL}),
        ("2.5 apples", {"apple": SEVERAL}),
        ("1/2 apples", {"apple": SEVERAL}),
        ("16:9 dogs", {"dog": SEVERAL}),
        ("two or three dogs", {"dog": "23"}),
        ("3-5 small dogs", {"dog": "345"}),
        ("between 2 and 4 dogs", {"dog": "234"}),
        ("more than three dogs", {"dog": SEVERAL}),
        ("at least two dogs", {"dog": SEVERAL}),
        ("up to five dogs", {"dog": SEVERAL}),
        ("two out of three dogs", {"dog": SEVERAL}),
        ("one of two dogs", {"dog": SEVERAL}),
        ("a group of five dogs", {"dog": "5"}),
        ("girls aged 7 and cats", {"girl": SEVERAL, "cat": SEVERAL}),
        ("age 7 girls", {"girl": SEVERAL}),
    ],
)
def test_numbers(prompt: str, counts: dict[str, str]) -> None:
    """A number before a plural is a count."""
    assert bound_objects(prompt).counts == {name: {*said} for name, said in counts.items()}


@pytest.mark.parametrize(
    "prompt",
    [
        *("nine dogs", "12 dogs", "a dozen dogs", "two dozen dogs", "two hundred small dogs"),
        *("twenty two dogs", "a hundred dogs", "99 dogs"),
    ],
)
def test_larger_numbers_are_the_largest_that_a_scene_has(prompt: str) -> None:
    """A scene has seven of an object at most."""
    assert bound_objects(prompt).counts == {"dog": {"7"}}


@pytest.mark.parametrize(
    ("prompt", "name"),
    [
        ("five blue pumpkins and a pink tractor", "tractor"),
        ("an old red car", "car"),
        ("one sheep", "sheep"),
        ("the cat and five dogs", "cat"),
        ("a cat sleeping on a sofa", "cat"),
        ("a cat. The cat is red.", "cat"),
    ],
)
def test_an_article_before_a_singular_is_one(prompt: str, name: str) -> None:
    """Only one object is meant."""
    assert bound_objects(prompt).counts[name] == {"1"}


@pytest.mark.parametrize(
    ("prompt", "name"),
    [
        ("tulips in front of a windmill", "tulip"),
        ("the dogs", "dog"),
        ("a plate of cookies", "cookie"),
        ("slices of pizza", "pizza"),
    ],
)
def test_a_plural_is_several(prompt: str, name: str) -> None:
    """The network chooses among two to seven."""
    assert bound_objects(prompt).counts[name] == {*SEVERAL}


@pytest.mark.parametrize(
    ("prompt", "name"),
    [
        ("a cat and another cat", "cat"),
        ("a flower field", "flower"),
        ("a dog toy", "dog"),
        ("cat", "cat"),
        ("a four door car", "car"),
        ("three bedroom houses", "house"),
        ("six string guitars", "guitar"),
        ("three tier cakes", "cake"),
        ("two dogs and a dog", "dog"),
        ("cherries", "cherries"),
        ("the fish", "fish"),
        ("the reindeer", "deer"),
        ("sheep", "sheep"),
        ("people", "group of people"),
    ],
)
def test_open_counts(prompt: str, name: str) -> None:
    """Other names, parts of longer names and plurals of single drawings leave the count open."""
    assert name not in bound_objects(prompt).counts


def test_a_count_is_chosen_among_the_possible_ones() -> None:
    """The network prefers one tulip, then three; the prompt excludes the first."""
    logits = np.zeros(NUM_LOGITS, np.float32)
    for field, value, score in (
        (AT[1, "name"], "tulip", 50),
        (AT[1, "count"], "1", 90),
        (AT[1, "count"], "3", 50),
    ):
        logits[STARTS[field] + FIELDS[field].index[value]] = score
    objects = bound_objects("tulips")
    sampler = SceneSampler(Noise.draw(1), CompatibilityTables({}), MAX_STEPS, 0.5, objects=objects)
    for index in range(MAX_STEPS):
        sampler.step(logits, index)
    field = AT[1, "count"]
    assert FIELDS[field].values[sampler.tokens[field]] == "3"
