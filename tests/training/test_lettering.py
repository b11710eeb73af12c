"""Scenes with words and their captions, which must agree with what the server reads in a prompt."""

from __future__ import annotations

import random
import re
from collections import Counter

import numpy as np
import pytest

from daguerre.models.embedded import fields
from daguerre.models.embedded.drawing.scene import LETTERINGS
from daguerre.models.embedded.quoted_words import PLACEHOLDER, quoted_words
from training import captions, phrasing
from training.scenes.lettering import RELATIONS, WEIGHTS, sample_lettering

SCENES = [sample_lettering(random.Random(seed), 1024, 1024) for seed in range(600)]


def test_every_surface_is_sampled() -> None:
    """Every surface occurs, alone and in all kinds of scenes with words."""
    assert set(WEIGHTS) == set(RELATIONS) == set(LETTERINGS)
    kinds = Counter(scene.kind for scene in SCENES)
    assert kinds.keys() == {"lettering", "landscape", "mixed", "room"}
    assert kinds["lettering"] > 300
    assert {scene.lettering for scene in SCENES} == set(LETTERINGS)


def test_captions_have_the_placeholder() -> None:
    """Every caption has the placeholder once, also after it is reworded as a request."""
    rng = np.random.default_rng(4)
    for scene in SCENES:
        for is_held_out in (False, True):
            text = phrasing.asked(captions.caption(scene, rng, is_held_out), rng)
            assert text.lower().count(PLACEHOLDER) == 1, text


def test_the_server_reads_the_same_surface() -> None:
    """The rules find the surface and the colour of most captions, and hardly ever others."""
    rng = np.random.default_rng(5)
    right = wrong = 0
    for scene in SCENES:
        text = re.sub(PLACEHOLDER, '"OPEN"', captions.caption(scene, rng), flags=re.IGNORECASE)
        found = quoted_words(text)
        assert found.words == "OPEN" and PLACEHOLDER in found.prompt, text
        is_same = (found.surface, found.colour) == (scene.lettering, scene.lettering_colour)
        right += is_same
        wrong += bool(found.surface) and not is_same
    assert right > 0.95 * len(SCENES)
    assert wrong < 0.01 * len(SCENES)


@pytest.mark.parametrize("scene", SCENES[:40])
def test_fields_hold_the_scene(scene: object) -> None:
    """The fields of words are decoded as they were encoded."""
    tokens = fields.encode(scene)  # type: ignore[arg-type]
    decoded = fields.decode(tokens, (1024, 1024), 1, 0)
    for name in ("kind", "lettering", "lettering_colour", "relation"):
        assert getattr(decoded, name) == getattr(scene, name)


def test_two_things_beside_words_are_joined_by_and() -> None:
    """Two things beside a surface have the relation that a prompt with "and" fixes."""
    pairs = [s for s in SCENES if s.kind == "lettering" and len(s.objects) == 2]
    assert {"and"} < {scene.relation for scene in pairs} and len(pairs) > 15
    assert "beside" not in {scene.relation for scene in pairs}
