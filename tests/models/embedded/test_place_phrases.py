"""The places that a prompt states or excludes."""

from __future__ import annotations

import pytest

from daguerre.models.embedded.place_phrases import excluded_terrains, stated_terrain


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
