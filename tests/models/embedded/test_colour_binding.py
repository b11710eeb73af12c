"""Colour words of a prompt: which object each belongs to, and when that is not certain."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from daguerre.models.embedded.colour_binding import bound_colours
from daguerre.models.embedded.compatibility import CompatibilityTables
from daguerre.models.embedded.fields import AT, FIELDS, NUM_LOGITS, STARTS
from daguerre.models.embedded.sampler import MAX_STEPS, Noise, SceneSampler


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("a red giraffe", {"giraffe": "red"}),
        ("a white handbag and a red giraffe", {"handbag": "white", "giraffe": "red"}),
        ("two purple butterflies", {"butterfly": "purple"}),
        ("Grey Elephants!", {"elephant": "gray"}),
        ("a violet-coloured bus", {"bus": "purple"}),
        ("a red double-decker bus next to a house", {"bus": "red", "house": ""}),
        ("an orange cat", {"cat": "orange"}),
        ("a yellow orange", {"orange": "yellow"}),
        ("an orange and a pink car", {"car": "pink"}),
        ("a green car, a blue t-shirt", {"car": "green", "shirt": "blue"}),
        ("a teddy bear in a red hat", {}),
        ("a woman in a red dress", {"woman": "red"}),
        ("a man in a black suit and a blue car", {"man": "black", "car": "blue"}),
        ("an old man with a blue hat and a white horse", {"old man": "", "horse": "white"}),
        ("a red dress", {"dress": "red"}),
        ("a woman and a red dress", {"woman": "", "dress": "red"}),
        ("a red fox in the snow", {"fox": ""}),
        ("a red fox and a red car", {"fox": "", "car": "red"}),
        ("a red fluffy fox", {"fox": "red"}),
        ("an orange tree and a blue car", {"tree": "", "car": "blue"}),
        ("a great white shark", {"shark": ""}),
        ("a black tea", {"tea": ""}),
        ("a black woman and a red car", {"woman": "", "car": "red"}),
        ("a black woman in a white dress", {"woman": "white"}),
        ("a white knight", {"knight": "white"}),
        ("the sky is red and a blue car", {"car": "blue"}),
        ("a glass of white wine", {"wine glass": ""}),
        ("a glass of red wine and cheese", {"wine glass": "", "cheese": ""}),
        ("an orange and a cat", {"cat": ""}),
        ("a black cat and a dog", {"dog": ""}),
        ("a cat on a green meadow under a blue sky", {"cat": ""}),
        ("a dog in a yellow raincoat", {"dog": ""}),
        ("a cow and a camel on a green meadow", {"cow": "", "camel": ""}),
        ("a white wine glass", {"wine glass": "white"}),
        ("the car is red", {"car": "red"}),
        ("A car and a dog. The car is red.", {"car": "red", "dog": ""}),
        ("The car is red and the dog is blue.", {"car": "red", "dog": "blue"}),
    ],
)
def test_bound(prompt: str, expected: Mapping[str, str]) -> None:
    """A colour belongs to the object that it stands before; others then keep their own."""
    found = bound_colours(prompt)
    assert {name: found.get(name) for name in expected} == expected


@pytest.mark.parametrize(
    "prompt",
    [
        "",
        "a cat",
        "a black cat",  # an object of its own
        "a red and white car",
        "a blue and a red car",
        "a red brick house",
        "a red roof house",
        "a red hair girl",
        "a white wine bottle",
        "a green thumb farmer",
        "a black man",
        "a road without red cars",
        "a red, white and blue balloon",
        "a red car and a blue car",
        "a blue glow over a car",
        "a cat in blue light and shades of pink",
        "a car in black and white",
        "a girl wearing orange",
        "a girl in orange with a car",
        "a red-haired woman",
        "the car is red and white",
        "the car is red, white and blue",
        "the car is red hot",
    ],
)
def test_uncertain(prompt: str) -> None:
    """The network decides if a colour belongs to several objects, to none, or comes later."""
    assert not any(bound_colours(prompt).values())
    assert bound_colours(prompt).get("car", "free") == "free"


@pytest.mark.parametrize(
    ("colours", "expected"),
    [
        ({"car": "blue"}, ["blue", "green"]),
        ({"cat": "red"}, ["green", "green"]),
    ],
)
def test_a_bound_colour_is_chosen(colours: Mapping[str, str], expected: list[str]) -> None:
    """A bound colour wins against the logits if the scene has its object, and only then."""
    logits = np.zeros(NUM_LOGITS, np.float32)
    for slot, name in ((1, "car"), (2, "dog")):
        at = AT[slot, "name"]
        logits[STARTS[at] + FIELDS[at].index[name]] = 50
        colour = AT[slot, "colour"]
        logits[STARTS[colour] + FIELDS[colour].index["green"]] = 50
    sampler = SceneSampler(Noise.draw(1), CompatibilityTables({}), MAX_STEPS, 0.5, {}, colours)
    for index in range(MAX_STEPS):
        sampler.step(logits, index)
    found = [FIELDS[AT[s, "colour"]].values[sampler.tokens[AT[s, "colour"]]] for s in (1, 2)]
    assert found == expected
