"""Words that training never uses: they measure the text encoder's own knowledge."""

from __future__ import annotations

import re

import numpy as np
import pytest

from daguerre.models.embedded.drawing import SHAPES, things
from training import phrasing, scenes, unseen
from training.captions import caption

NUM_SCENES, NUM_CAPTIONS = 1000, 20


@pytest.fixture(scope="module")
def vocabulary() -> str:
    """All names and synonyms and 20,000 captions, in lower case."""
    rng = np.random.default_rng(8)
    texts = [word for row in things.THINGS for word in (row.name, *row.synonyms)]
    for i in range(NUM_SCENES):
        scene = scenes.sample_scene(rng, SHAPES[i % len(SHAPES)])
        texts += [phrasing.asked(caption(scene, rng), rng) for _ in range(NUM_CAPTIONS)]
    return "\n".join(texts).lower()


def test_no_caption_has_an_unseen_word(vocabulary: str) -> None:
    """No caption contains an unseen word, in any form or within a longer name."""
    either = "|".join(re.escape(word) for word in sorted(unseen.WORDS, key=len, reverse=True))
    assert set(re.findall(rf"\b({either})(?:s|es)?\b", vocabulary)) == set()


def test_unseen_words_mean_things_of_the_table() -> None:
    """Each word occurs once, and its things are in the table."""
    lines = unseen._TABLE.strip().splitlines()
    assert len(lines) == len(unseen.WORDS) > 50
    meant = {name for names in unseen.WORDS.values() for name in names}
    assert meant <= things.BY_NAME.keys()
    assert all(names for names in unseen.WORDS.values())
