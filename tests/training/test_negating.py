"""Negative prompts in training: the scene never contains what they name."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest

from daguerre.models.embedded import fields
from daguerre.models.embedded.drawing import SHAPES, Scene, compose, things
from daguerre.models.embedded.drawing.palette import BACKS
from training import negating, phrasing, scenes
from training.grammar import plural
from training.wording import STYLE_WORDS, TERRAIN_WORDS


def negated(num: int) -> Iterator[tuple[Scene, Scene, str]]:
    """Random scenes after the effect of their negative prompt, and that prompt."""
    rng, r = np.random.default_rng(5), random.Random(5)
    for i in range(num):
        scene = scenes.sample_scene(rng, SHAPES[i % len(SHAPES)])
        found, words = negating.negated(scene, r, lambda: phrasing.junk(rng))
        yield scene, found, words


CASES = tuple(negated(3000))


def listed(words: str) -> set[str]:
    return {word.removeprefix("no ") for word in words.split(", ")}


def test_half_of_the_scenes_have_none() -> None:
    """An empty negative prompt does not change the scene; others remove something."""
    empty = [scene == found for scene, found, words in CASES if not words]
    changed = sum(scene != found for scene, found, _ in CASES)
    assert all(empty) and 0.45 < len(empty) / len(CASES) < 0.55
    assert 0.15 < changed / len(CASES) < 0.3


def test_excluded_sky() -> None:
    """The sky shows nothing that the negative prompt names."""
    seen: Counter[str] = Counter()
    for _, scene, words in CASES:
        said = listed(words)
        if said & {*negating.SUN_WORDS}:
            assert not scene.sun
            seen["sun"] += 1
        if said & {*negating.MOON_WORDS}:
            assert not scene.moon
            seen["moon"] += 1
        for weather, names in negating.WEATHER_WORDS.items():
            if said & {*names}:
                assert scene.weather != weather
                seen[weather] += 1
    assert min(seen[name] for name in ("sun", "moon", *negating.WEATHER_WORDS)) > 3, seen


def test_excluded_objects() -> None:
    """No object has a name, synonym or plural that the negative prompt contains."""
    for _, scene, words in CASES:
        for item in scene.objects:
            row = things.BY_NAME.get(item.name)
            names = (row.name, *row.synonyms) if row else (item.name,)
            assert not {*names, *map(plural, names)} & listed(words), (scene, words)


@pytest.mark.parametrize("colour", BACKS)
def test_excluded_background(colour: str) -> None:
    """A background whose colour is excluded is replaced."""
    said = {f"{colour} background", f"{colour} wall"}
    scenes_of = [scene for _, scene, words in CASES if said & listed(words)]
    assert all(scene.background != colour for scene in scenes_of) and scenes_of


def test_excluded_terrain_and_style() -> None:
    """The names of the scene's style and terrain are not in its negative prompt."""
    for _, scene, words in CASES:
        own = {*STYLE_WORDS[scene.style][0]} if scene.style else set()
        own |= {*TERRAIN_WORDS[scene.terrain][1]} if scene.terrain else set()
        shared = {"palm trees", "stars", "flowers", "planets"}  # describes more than one terrain
        assert not (own - shared) & listed(words), (scene, words)


def test_changed_scenes_are_valid() -> None:
    """A changed scene can be captioned and drawn like any other."""
    for before, scene, _ in CASES:
        if scene != before:
            tokens = fields.encode(scene)
            assert fields.decode(tokens, (scene.width, scene.height), 1, 1).kind == scene.kind
    for before, scene, _ in CASES[:600]:
        if scene != before:
            assert compose(scene).startswith("<svg")
