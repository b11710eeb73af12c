"""People in training: how many scenes have them, and captions that say what they wear and do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from daguerre.models.embedded import drawing, fields
from daguerre.models.embedded.drawing import dressing
from training import captions, people, scenes

WOMAN = drawing.SceneObject("woman", ("figure", "woman"), "", "g", 1, 0.9, False)


def caption(seed: int = 1, **said: object) -> str:
    item = replace(WOMAN, **said)  # type: ignore[arg-type]
    scene = drawing.Scene("thing", 1024, 1024, 5, objects=(item,), background="blue")
    return captions.caption(scene, np.random.default_rng(seed)).lower()


def test_a_fifth_of_scenes_has_people() -> None:
    """About as many scenes have people as prompts ask for."""
    rng = np.random.default_rng(3)
    found = [scenes.sample_scene(rng, (1024, 1024)) for _ in range(400)]
    share = sum(any(map(dressing.is_figure, scene.objects)) for scene in found) / len(found)
    assert 0.13 < share < 0.3


def test_captions_say_what_people_wear_and_do() -> None:
    """Nearly all say all of it; some leave something open."""
    texts = [caption(i, pose="running", outfit="dress", hat="straw hat") for i in range(20)]
    said = [people.POSE_WORDS["running"], people.HAT_WORDS["straw hat"]]
    said.append(people.OUTFIT_WORDS["dress"])
    full = [text for text in texts if all(any(w in text for w in words) for words in said)]
    assert len(full) >= 16


def test_colour_is_said_of_the_clothes() -> None:
    """No woman is red herself."""
    texts = [caption(seed, colour="red") for seed in range(30)]
    assert not any("red woman" in text or "red lady" in text for text in texts)


def test_every_value_has_words() -> None:
    """Captions can say every pose, outfit and hat."""
    assert people.POSE_WORDS.keys() == {*dressing.POSES}
    assert people.OUTFIT_WORDS.keys() == {*dressing.OUTFITS}
    assert people.HAT_WORDS.keys() == {*dressing.HATS}


def test_people_are_tokens() -> None:
    """What a person wears and does is decoded as it was encoded."""
    size = fields.SIZES[17]
    item = replace(WOMAN, pose="reading", outfit="coat", hat="cap", colour="green", size=size)
    scene = drawing.Scene("thing", 1024, 1024, 5, objects=(item,), background="blue")
    back = fields.decode(fields.encode(scene), (1024, 1024), 5, 0)
    assert back.objects[0] == replace(item, size=back.objects[0].size)


def test_captions_say_what_animals_wear() -> None:
    """Nearly all say the hat of an animal."""
    cat = drawing.SceneObject("cat", ("noto", "cat"), "black", "g", 1, 0.7, False, hat="top hat")
    scene = drawing.Scene("thing", 1024, 1024, 5, objects=(cat,), background="blue")
    texts = [captions.caption(scene, np.random.default_rng(i)).lower() for i in range(20)]
    said = [t for t in texts if any(word in t for word in people.HAT_WORDS["top hat"])]
    assert len(said) >= 16


def test_somebody_walks_a_dog() -> None:
    """The walk is said once: "a woman walking a dog"."""
    woman = replace(WOMAN, pose="walking")
    dog = drawing.SceneObject("dog", ("noto", "dog"), "", "g", 1, 0.7, False)
    scene = drawing.Scene(
        "pair", 1024, 1024, 5, objects=(woman, dog), background="blue", relation="beside"
    )
    texts = [captions.caption(scene, np.random.default_rng(i)).lower() for i in range(20)]
    assert sum(" walking " in text for text in texts) >= 8
    assert not any("walking walking" in text for text in texts)
