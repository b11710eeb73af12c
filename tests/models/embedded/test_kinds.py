"""Words for kinds of objects: where they are read, and that they are unambiguous."""

from __future__ import annotations

import random
import re

import numpy as np
import pytest

from daguerre.models.embedded import kinds
from daguerre.models.embedded.drawing import Scene, SceneObject, things
from daguerre.models.embedded.drawing.palette import BACKS
from daguerre.models.embedded.drawing.recolouring import COLOURS
from daguerre.models.embedded.kinds import KINDS, with_known_names
from training import unseen
from training.captions import caption
from training.scenes.sample import placed

WORDS = {word: name for name, words in KINDS.items() for word in words}


@pytest.mark.parametrize(
    ("prompt", "read"),
    [
        ("a pug in a yellow raincoat", "a dog in a yellow raincoat"),
        ("an old grandfather clock", "an old mantel clock"),
        ("A Calf and two Pugs", "a cow and two dogs"),
        ("an acoustic guitar on a wall", "a guitar on a wall"),
        ("an ugly alsatian, a corgi", "an ugly alsatian, a dog"),
        ("a great-dane statue", "a dog statue"),
        ("nine blue marbles, 8k", "nine blue balls, 8k"),
        ("two wolf cubs and three timber wolves", "two wolf cubs and three wolves"),
        ("a siamese cat", "a cat"),
        ("a poodle and a Cat", "a poodle and a Cat"),  # both are names
        ("a space rocket", "a rocket"),
        ("a king penguin beside a king", "a penguin beside a king"),
        ("a husky dog, two corgi puppies", "a dog, two puppies"),
        ("an akita inu pup by a willow tree", "a dog by a tree"),
        ("two macaw parrots", "two parrots"),
        ("a fox pup and a whale calf", "a fox pup and a whale calf"),
        ("a corgi called Lily", "a dog called lily"),
        ("an animal called okapi", "an animal called giraffe"),
        ("a snake plant in a fish tank", "a potted plant in a fish bowl"),
        ("", ""),
    ],
)
def test_kinds_are_read_as_objects(prompt: str, read: str) -> None:
    """The longest word wins; the article fits; other prompts stay as they are."""
    assert with_known_names(prompt) == read


@pytest.mark.parametrize(
    "prompt",
    [
        *("a calico dress", "siamese twins", "Sandra Bullock", "farmers sow seeds", "Captain Nemo"),
        *("Wolverine of the X-Men", "python code", "a blue iris in her eye", "Princess Jasmine"),
        *("lilac walls", "a cornflower blue dress", "a succulent steak", "a gravel road"),
        *("a cobblestone street", "almond-shaped eyes", "a walnut desk", "a theater marquee"),
        *("a caravan in the desert", "a Tesla coil", "Harley Quinn", "the birth of Venus"),
        *("a base on Mars", "Lego style", "a vr headset", "keep calm and carry on"),
        *("two people converse", "sapphire blue eyes", "mobile wallpaper", "in comic book style"),
        *("a vintage postcard of Paris", "a pixie cut", "the pupil of an eye", "Adobe Illustrator"),
        *("a mop of hair", "a martian landscape", "caramel skin", "pike place market", "Cape Cod"),
        *("the Stork Club", "Abbey Road", "a pine cone", "calf-length boots", "an iPhone photo"),
        *("a saber-toothed tiger", "a rose gold ring", "Ryan Gosling", "a movie by John Carpenter"),
    ],
)
def test_words_with_other_meanings_stay(prompt: str) -> None:
    """Verbs, adjectives, colours, styles, places and persons are no kinds of objects."""
    assert with_known_names(prompt) == prompt


def test_words_mean_one_object() -> None:
    """Each belongs to one object of the table, and is not a name or a colour."""
    assert len(WORDS) == sum(map(len, KINDS.values())) > 2000
    assert KINDS.keys() <= things.BY_NAME.keys()
    assert [word for word in WORDS if things.meanings(word)] == []
    assert [word for word in WORDS if {*word.split()} & {*COLOURS, *BACKS, "grey"}] == []
    assert [word for word in WORDS if not re.fullmatch(r"[a-z0-9']+( [a-z0-9']+)*", word)] == []


@pytest.mark.parametrize("name", KINDS)
def test_a_word_is_read_as_its_object(name: str) -> None:
    """Each word is read as the name of its object; the name itself stays as it is."""
    for word in KINDS[name]:
        assert with_known_names(f"the {word}") in (f"the {name}", f"the {kinds._plural(name)}")
    assert with_known_names(name) == name


def test_unseen_words_stay_unseen() -> None:
    """The words that evaluation holds out are in none of them."""
    assert [w for w in WORDS if {w, *w.split()} & unseen.WORDS.keys()] == []


def test_captions_use_them() -> None:
    """Some captions of a dog name a breed."""
    rng = np.random.default_rng(1)
    dog: SceneObject = placed(random.Random(1), things.BY_NAME["dog"], 0.7)
    scene = Scene("thing", 1024, 1024, 1, objects=(dog,), background="white", ground="plain")
    texts = [caption(scene, rng).lower() for _ in range(300)]
    breed = re.compile(rf"\b({'|'.join(KINDS['dog'])})\b")
    breeds = [text for text in texts if breed.search(text)]
    assert 0.08 < len(breeds) / len(texts) < 0.25


@pytest.mark.parametrize(
    ("prompt", "read"),
    [
        ("a boy in a green hoodie", "a boy in a green hoodie"),
        ("a pug wearing a yellow raincoat", "a dog wearing a yellow raincoat"),
        ("a hoodie", "a sweater"),
    ],
)
def test_worn_garments_are_no_objects(prompt: str, read: str) -> None:
    """The clothes of a wearer keep their word; a garment alone is an object."""
    assert with_known_names(prompt) == read
