"""Values that a negative prompt excludes, and the sampler's use of them."""

from __future__ import annotations

import numpy as np
import pytest

from daguerre.models.embedded.compatibility import CompatibilityTables
from daguerre.models.embedded.fields import AT, FIELDS, MASKED, NUM_LOGITS, SCENE_FIELDS, STARTS
from daguerre.models.embedded.negative_prompt import excluded_values
from daguerre.models.embedded.sampler import Noise, SceneSampler
from daguerre.models.embedded.synonyms import SYNONYMS


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
        ("blizzards, rainstorm", "weather", {"rain", "snow"}),
        ("night sky, northern lights", "time", {"night"}),
        ("white background", "background", {"white"}),
        ("glowing mushrooms", "terrain", {"mushrooms"}),
        ("glowing mushrooms", "name", {"glowing mushroom"}),
        ("cities", "terrain", {"city"}),
        ("alley, kitchen", "terrain", {"street"}),
        ("alley, kitchen", "setting", {"kitchen"}),
        ("coffee shops", "setting", {"cafe"}),
    ],
)
def test_excluded_values(text: str, field: str, values: set[str]) -> None:
    """Places, hours, weather, lights and backgrounds are found by name, singular or plural."""
    assert excluded_values(text).get(field, frozenset()) == values


@pytest.mark.parametrize(
    "text", ["", "blurry, low quality", "clear", "blue, white", "bad sun rays"]
)
def test_nothing_is_named(text: str) -> None:
    """Words that name no value exclude nothing."""
    assert not set(excluded_values(text)) - {"name"}


def test_synonyms_belong_to_existing_values() -> None:
    """Every synonym belongs to an existing value."""
    assert all(value in SCENE_FIELDS[field] for field, names in SYNONYMS.items() for value in names)


def test_sampler_avoids_excluded_values() -> None:
    """The most likely value is not chosen if it is excluded, unless no other is permitted."""
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


def test_tables_have_priority() -> None:
    """If the tables permit only an excluded value, it is chosen."""

    class Only(CompatibilityTables):
        def allowed(self, field: int, tokens: np.ndarray) -> np.ndarray:
            found = np.zeros(MASKED[field], bool)
            found[0 if FIELDS[field].name != "terrain" else FIELDS[field].index["sea"]] = True
            return found

    sampler = SceneSampler(Noise.draw(1), Only({}), 1, 1.0, excluded_values("sea"))
    sampler.step(np.zeros(NUM_LOGITS, np.float32), 0)
    assert FIELDS[AT[0, "terrain"]].values[sampler.tokens[AT[0, "terrain"]]] == "sea"
