"""Words that name objects which a picture does not show."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest

from training import unshown

Draw = Callable[[np.random.Generator], str]
CAPTION = "A red dog and a lock and key"
DRAWS: dict[str, Draw] = {
    "tags": lambda rng: ", ".join(unshown.tags(rng, CAPTION)),
    "clause": lambda rng: unshown.clause(rng, CAPTION).removeprefix(CAPTION),
    "lead": lambda rng: unshown.lead(rng, CAPTION).replace(CAPTION, ""),
}


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_no_word_of_the_caption_is_said_again(draw: Draw) -> None:
    """What must not be shown is not shown: no object of the caption is named twice."""
    rng = np.random.default_rng(1)
    for _ in range(400):
        words = re.findall("[a-z]+", draw(rng).lower())
        assert not {"red", "dog", "lock", "key"} & {*words}, words


def test_every_placeholder_is_filled() -> None:
    rng = np.random.default_rng(2)
    said = " ".join(draw(rng) for _ in range(500) for draw in DRAWS.values())
    assert "{" not in said and "}" not in said


def test_clauses_and_leads_keep_the_caption() -> None:
    rng = np.random.default_rng(3)
    for _ in range(200):
        assert unshown.clause(rng, f"{CAPTION}.").startswith(CAPTION)
        assert CAPTION in unshown.lead(rng, f"{CAPTION}.")


def test_vocabulary_has_no_words_of_captions() -> None:
    """Words of places, hours, weather, colours, numbers and objects always mean something."""
    words = {*unshown.vocabulary()}
    assert len(words) > 5000
    said = "sunset night winter snowing yellow seven mountain watercolor dogs elephants wearing"
    assert not words & {*said.split()}


def test_same_words_for_the_same_seed() -> None:
    first, second = (unshown.tags(np.random.default_rng(7), CAPTION) for _ in range(2))
    assert first == second
