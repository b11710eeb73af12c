"""Words for kinds of an object that captions use in place of its name."""

from __future__ import annotations

import random
import re

import numpy as np

from daguerre.models.embedded.drawing import Scene, SceneObject, things
from daguerre.models.embedded.drawing.recolouring import COLOURS
from training import unseen
from training.captions import caption
from training.scenes.sample import placed

WORDS = {word: name for name, words in things.SPECIFIC.items() for word in words}


def test_words_mean_one_object() -> None:
    """Each belongs to one object of the table, and is not a name or a colour."""
    assert len(WORDS) == sum(map(len, things.SPECIFIC.values())) > 350
    assert things.SPECIFIC.keys() <= things.BY_NAME.keys()
    names = {word for row in things.THINGS for word in (row.name, *row.synonyms)}
    assert WORDS.keys() & names == set()
    assert all(things.meanings(word.replace("-", " ")) == {name} for word, name in WORDS.items())
    assert [word for word in WORDS if {*word.split()} & {*COLOURS}] == []


def test_unseen_words_stay_unseen() -> None:
    """The words that evaluation holds out are in none of them."""
    assert [w for w in WORDS if {w, *w.split()} & unseen.WORDS.keys()] == []


def test_a_kind_in_a_negative_prompt_excludes_nothing() -> None:
    """ "No corgi" leaves other dogs."""
    assert things.named("corgi, cat") == things.named("cat")


def test_captions_use_them() -> None:
    """Some captions of a dog name a breed."""
    rng = np.random.default_rng(1)
    dog: SceneObject = placed(random.Random(1), things.BY_NAME["dog"], 0.7)
    scene = Scene("thing", 1024, 1024, 1, objects=(dog,), background="white", ground="plain")
    texts = [caption(scene, rng).lower() for _ in range(300)]
    breed = re.compile(rf"\b({'|'.join(things.SPECIFIC['dog'])})\b")
    breeds = [text for text in texts if breed.search(text)]
    assert 0.08 < len(breeds) / len(texts) < 0.25
