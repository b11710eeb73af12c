"""The places that a prompt states or excludes."""

from __future__ import annotations

import pytest

from daguerre.models.embedded.object_binding import bound_objects
from daguerre.models.embedded.place_phrases import (
    excluded_moons,
    excluded_terrains,
    stated_terrain,
    with_known_places,
)


@pytest.mark.parametrize(
    "prompt",
    [
        "a snowman in the snow",
        "pls a red fox sleeping in the deep snow at night",
        "two children playing in the snow",
        "hello there, a snowman in the snow would be great",
    ],
)
def test_objects_in_the_snow(prompt: str) -> None:
    """They are in a snowy field."""
    assert stated_terrain(prompt) == {"terrain": "snowfield"}


@pytest.mark.parametrize(
    "prompt",
    [
        "",
        "a snowman",
        "the snow",
        "a cabin in the woods in the snow",
        "a man in the snow in a small town",
        "in the snow, two streets",
        "a fox in the snow globe shop",
        "mountains in the snow",
        "a fox in the rain",
        "a fox not in the snow",
        "a house in the snow globe",
        "a girl in the snow white costume",
        "a cat in the snow leopard's den",
    ],
)
def test_other_places(prompt: str) -> None:
    """The network chooses the place where the prompt has another one, or no object in the snow."""
    assert stated_terrain(prompt) == {}


def test_a_negative_prompt_excludes_the_snowy_field() -> None:
    """Then the network chooses a place."""
    assert stated_terrain("a fox in the snow", {"snowfield"}) == {}


@pytest.mark.parametrize(
    ("prompt", "excluded"),
    [
        ("a dog catching a frisbee", {"moonscape"}),
        ("a witch across the full moon", {"moonscape"}),
        ("a dolphin jumping out of the water", {"moonscape", "underwater"}),
        ("a flag on the moon", set()),
        ("the surface of the moon", set()),
        ("an astronaut and a cat", set()),
        ("a lunar landscape", set()),
    ],
)
def test_excluded_terrains(prompt: str, excluded: set[str]) -> None:
    """The surface of the moon needs a word for it; above water is not under water."""
    assert excluded_terrains(prompt) == excluded


@pytest.mark.parametrize(
    ("prompt", "read"),
    [
        ("seven ducks on a Pond", "seven ducks on a lake"),
        ("a boat in the canal, 8k", "a boat in the river, 8k"),
        ("a pond turtle", "a pond turtle"),
        ("a stream of light", "a stream of light"),
    ],
)
def test_known_places(prompt: str, read: str) -> None:
    """A place after a preposition is read as the most similar one that is known."""
    assert with_known_places(prompt) == read


def test_who_is_on_the_moon_is_beside_no_moon() -> None:
    """In "on the moon", the moon is a place; in "under the moon", it is an object."""
    assert "moon" not in bound_objects("an astronaut standing on the moon").said
    assert "moon" in bound_objects("a fox under the moon").said
    assert {"moon", "full moon"} <= excluded_moons("an astronaut standing on the moon")
    assert not excluded_moons("a fox under the moon")
