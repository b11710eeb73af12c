"""Captions: short, clean and true of scenes with and without things; no art is drawn for them."""

from __future__ import annotations

import random
import re
import string
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from training import captions, things, wording
from training.recolouring import COLOURS
from training.scenes import Placed, Scene, sample
from training.scenes.palette import BACKS

TIME_WORDS = {
    "dawn": r"\b(dawn|sunrise|morning)\b",
    "day": r"\b(daytime|daylight|by day|during the day|sunny|blue sky|bright day)\b",
    "sunset": r"\b(at sunset|during sunset|golden hour|sunset light|sunset over)\b",
    "dusk": r"\b(dusk|twilight|evening|after sunset)\b",
    "night": r"\b(night|starry|moonlight)\b",
}
COLOUR_WORDS = re.compile(rf"\b({'|'.join({*COLOURS, *BACKS, 'grey'})})\b")


def landscapes(seed: int, n: int) -> list[Scene]:
    r = random.Random(seed)
    return [sample.sample_landscape(r, 1024, 1024, "landscape") for _ in range(n)]


def alone(seed: int) -> Iterator[Scene]:
    """Each thing of the table once, in some colour, before some background."""
    r = random.Random(seed)
    for thing in things.THINGS:
        colour = r.choice(COLOURS) if thing.recolourable else ""
        item = Placed(thing.name, ("drawn", "ball"), colour, thing.place, 1, 0.6, False)
        back = r.choice(tuple(BACKS))
        yield Scene("thing", 1024, 1024, 0, things=(item,), background=back, ground="plain")


def mixed(seed: int) -> Iterator[Scene]:
    """Each thing that can stand in a landscape, one to three times in some landscape."""
    r = random.Random(seed)
    for thing in things.THINGS:
        scene = sample.sample_landscape(r, 1024, 1024, "mixed")
        if thing.place != "i" and scene.terrain not in sample.CROWDED:
            num = r.choice((1, 2, 3))
            item = Placed(thing.name, ("drawn", "ball"), "", thing.place, num, 0.3, False)
            yield replace(scene, things=(item,))


def worded(scenes: list[Scene], seed: int) -> Iterator[tuple[Scene, str]]:
    rng = np.random.default_rng(seed)
    for scene in scenes:
        for is_held_out in (False, True):
            yield scene, captions.caption(scene, rng, is_held_out)


def test_captions_claim_no_other_time() -> None:
    """A caption names the hour of its landscape or none."""
    for scene, text in worded([*landscapes(6, 1500), *mixed(7)], 5):
        for time, words in TIME_WORDS.items():
            assert time == scene.time or not re.search(words, text.lower()), (text, scene)


def test_captions_claim_no_other_colour() -> None:
    """A caption of a lone thing names its colour, its background's, or none."""
    for scene, text in worded([*alone(1), *alone(2), *alone(3)], 4):
        item = scene.things[0]
        row = things.BY_NAME[item.name]
        rest = text.lower()
        for name in sorted((row.name, *row.synonyms), key=len, reverse=True):
            rest = re.sub(rf"\b{re.escape(name)}\b", "", rest)
        true = {item.colour or row.colour, scene.background}
        true |= {"grey"} if "gray" in true else set()
        assert set(COLOUR_WORDS.findall(rest)) <= true, (text, scene)


def test_captions_are_short_and_clean() -> None:
    """No caption is empty or long, and no field that stayed empty leaves a trace."""
    for _, text in worded([*landscapes(9, 800), *alone(9), *mixed(9)], 8):
        assert 1 <= len(text.split()) <= 26, text
        assert not re.search(r"  |,,|\{|\}| ,| \.|\.\.|^,", text), text


@pytest.mark.parametrize("family", wording.TEMPLATES)
def test_held_out_wordings_are_not_trained(family: str) -> None:
    """Each family of scenes has templates to judge by that training never uses."""
    assert wording.HELD_OUT_TEMPLATES[family]
    assert not set(wording.HELD_OUT_TEMPLATES[family]) & set(wording.TEMPLATES[family])


def test_templates_ask_for_what_there_is() -> None:
    """Every field of every template can be filled in for some scene of its family."""
    rng = np.random.default_rng(3)
    by_family: dict[str, Scene] = {}
    for scene in [*landscapes(1, 400), *alone(1), *mixed(1)]:
        by_family.setdefault(captions.family(scene), scene)
    assert by_family.keys() == wording.TEMPLATES.keys() == wording.HELD_OUT_TEMPLATES.keys()
    for family, scene in by_family.items():
        words = captions.Words(scene, rng)
        for template in (*wording.TEMPLATES[family], *wording.HELD_OUT_TEMPLATES[family]):
            for _, field, _, _ in string.Formatter().parse(template):
                assert field is None or isinstance(words[field], str)


def test_every_terrain_has_words() -> None:
    """Chance draws no terrain that captions cannot name, nor place a thing in."""
    assert wording.TERRAIN_WORDS.keys() == sample.TERRAINS.keys()
    assert wording.INSIDE.keys() == sample.TERRAINS.keys() - set(sample.CROWDED)
