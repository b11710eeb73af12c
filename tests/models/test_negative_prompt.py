"""What a negative prompt rules out, and that the sampler keeps to it."""

from __future__ import annotations

import numpy as np
import pytest

from daguerre.models.embedded.fields import (
    AT,
    FIELDS,
    MASKED,
    NUM_LOGITS,
    SCENE_FIELDS,
    STARTS,
    CompatibilityTables,
)
from daguerre.models.embedded.negative_prompt import _ALSO, excluded_values
from daguerre.models.embedded.sampler import Noise, SceneSampler


@pytest.mark.parametrize(
    ("text", "field", "values"),
    [
        ("mountains", "terrain", {"mountains"}),
        ("no Mountain, people", "terrain", {"mountains"}),
        ("sun", "sun", {"yes"}),
        ("the moon and clouds", "moon", {"yes"}),
        ("the moon and clouds", "weather", {"cloudy"}),
        ("snow", "weather", {"snow"}),
        ("snow", "terrain", {"snowfield"}),
        ("night sky, northern lights", "time", {"night"}),
        ("white background", "background", {"white"}),
        ("glowing mushrooms", "terrain", {"mushrooms"}),
        ("glowing mushrooms", "name", {"glowing mushroom"}),
        ("cities", "terrain", {"city"}),
    ],
)
def test_unwanted(text: str, field: str, values: set[str]) -> None:
    """Places, hours, weather, lights and backgrounds are found by name, singular or plural."""
    assert excluded_values(text).get(field, frozenset()) == values


@pytest.mark.parametrize(
    "text", ["", "blurry, low quality", "clear", "blue, white", "bad sun rays"]
)
def test_nothing_is_named(text: str) -> None:
    """Words that name no value by themselves rule nothing out."""
    assert not set(excluded_values(text)) - {"name"}


def test_other_names_are_of_values_that_there_are() -> None:
    """A renamed value would leave its names behind."""
    assert all(value in SCENE_FIELDS[field] for field, names in _ALSO.items() for value in names)


def test_sampler_leaves_out_what_is_unwanted() -> None:
    """The likeliest value is not taken where it is unwanted, unless the rules leave no other."""
    logits = np.zeros(NUM_LOGITS, np.float32)
    terrain = AT[0, "terrain"]
    logits[STARTS[terrain] + FIELDS[terrain].index["mountains"]] = 50.0

    def drawn(words: str, rules: CompatibilityTables) -> str:
        sampler = SceneSampler(Noise.draw(1), rules, 1, 1.0, excluded_values(words))
        sampler.step(logits, 0)
        return str(FIELDS[terrain].values[sampler.tokens[terrain]])

    assert (
        drawn("", CompatibilityTables({}))
        == "mountains"
        != drawn("mountain", CompatibilityTables({}))
    )


def test_rules_come_first() -> None:
    """Where every value but the unwanted one is ruled out, it is taken."""

    class Only(CompatibilityTables):
        def allowed(self, field: int, tokens: np.ndarray) -> np.ndarray:
            found = np.zeros(MASKED[field], bool)
            found[0 if FIELDS[field].name != "terrain" else FIELDS[field].index["sea"]] = True
            return found

    sampler = SceneSampler(Noise.draw(1), Only({}), 1, 1.0, excluded_values("sea"))
    sampler.step(np.zeros(NUM_LOGITS, np.float32), 0)
    assert FIELDS[AT[0, "terrain"]].values[sampler.tokens[AT[0, "terrain"]]] == "sea"
