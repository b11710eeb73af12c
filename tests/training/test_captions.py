"""Captions: short, clean, and true of their scenes. No art is drawn for them."""

from __future__ import annotations

import random
import re
import string
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from daguerre.models.embedded.drawing import Scene, SceneObject, things
from daguerre.models.embedded.drawing.palette import BACKS
from daguerre.models.embedded.drawing.recolouring import COLOURS
from daguerre.models.embedded.drawing.scene import RELATIONS
from daguerre.models.embedded.kinds import KINDS
from training import captions, held_out, templates, wording
from training.lettering import Lettering
from training.relating import Relating
from training.scenes import sample
from training.scenes.styles import COLOURLESS

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
        item = SceneObject(thing.name, ("drawn", "ball"), colour, thing.place, 1, 0.6, False)
        back = r.choice(tuple(BACKS))
        yield Scene("thing", 1024, 1024, 0, objects=(item,), background=back, ground="plain")


def mixed(seed: int) -> Iterator[Scene]:
    """Each thing that suits landscapes, one to three times, in some landscape."""
    r = random.Random(seed)
    for thing in things.THINGS:
        scene = sample.sample_landscape(r, 1024, 1024, "mixed")
        if thing.place != "i" and scene.terrain not in sample.CROWDED:
            num = r.choice((1, 2, 3))
            item = SceneObject(thing.name, ("drawn", "ball"), "", thing.place, num, 0.3, False)
            yield replace(scene, objects=(item,))


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
    """A caption of a single object names its colour, its background's, or none."""
    for scene, text in worded([*alone(1), *alone(2), *alone(3)], 4):
        item = scene.objects[0]
        row = things.BY_NAME[item.name]
        rest = text.lower()
        for name in sorted((row.name, *row.synonyms), key=len, reverse=True):
            rest = re.sub(rf"\b{re.escape(name)}\b", "", rest)
        true = {item.colour or row.colour, scene.background}
        true |= {"grey"} if "gray" in true else set()
        assert set(COLOUR_WORDS.findall(rest)) <= true, (text, scene)


def test_captions_are_short_and_clean() -> None:
    """No caption is empty or long, and empty fields leave no trace."""
    for _, text in worded([*landscapes(9, 800), *alone(9), *mixed(9)], 8):
        assert 1 <= len(text.split()) <= 26, text
        assert not re.search(r"  |,,|\{|\}| ,| \.|\.\.|^,", text), text


@pytest.mark.parametrize("family", templates.TEMPLATES)
def test_held_out_wordings_are_not_trained(family: str) -> None:
    """Each family of scenes has evaluation templates that training never uses."""
    assert held_out.HELD_OUT_TEMPLATES[family]
    assert not set(held_out.HELD_OUT_TEMPLATES[family]) & set(templates.TEMPLATES[family])


def ball(**changes: object) -> SceneObject:
    plain = SceneObject("ball", ("drawn", "ball"), "", "g", 1, 0.6, False)
    return replace(plain, **changes)  # type: ignore[arg-type]


BALLOON = SceneObject("hot air balloon", ("drawn", "hot-air-balloon"), "", "s", 1, 0.6, False)
TENT = replace(BALLOON, name="tent", place="g")
TREE = replace(TENT, name="tree")


def arranged() -> list[Scene]:
    """Scenes of every family with several objects, or one in an unusual arrangement."""
    plain = Scene("pair", 1024, 1024, 1, background="white", ground="plain")
    relations = [name for name in RELATIONS if name != "wearing"]  # which is for words
    found = [replace(plain, relation=name, objects=(ball(), TENT)) for name in relations]
    at = relations.index("between")
    found[at] = replace(found[at], objects=(ball(), replace(TENT, count=2)))
    found.append(replace(found[0], objects=(ball(), TENT, BALLOON)))
    found.append(replace(plain, relation="on", objects=(ball(), BALLOON, TENT)))
    found += [replace(plain, relation="in", objects=(ball(count=n), TREE)) for n in (1, 5)]
    found.append(replace(plain, relation="in", objects=(ball(count=5), TENT)))
    for kind, item in (
        ("group", ball()),
        ("group", ball(count=4)),
        ("spot", ball(stature="giant")),
        ("spot", ball(spot="top left")),
        ("portrait", ball()),
        ("pattern", ball(count=0)),
        ("thing", ball(glowing=True)),
    ):
        found.append(replace(plain, kind=kind, objects=(item,)))
    for setting in ("room", "table", "shelf"):
        two = replace(plain, kind="room", setting=setting, objects=(ball(), TENT))
        found += [replace(two, relation=name) for name in ("left", "right", "on")]
    found.append(replace(plain, kind="room", setting="kitchen", time="night"))
    bowl, bench = replace(TENT, name="bowl"), replace(TENT, name="bench")
    for full in (ball(), ball(count=5)):
        table = replace(plain, kind="room", setting="table", relation="in")
        found.append(replace(table, objects=(full, bowl)))
        for seen in (plain, replace(plain, kind="mixed", terrain="beach", time="day")):
            found.append(replace(seen, relation="in", objects=(full, bowl, bench)))
    view = Scene("room", 1024, 1024, 1, time="sunset", weather="clear", terrain="lake")
    found += [replace(view, setting="window", objects=seen) for seen in ((), (ball(),))]
    lake = replace(view, kind="mixed")
    found.append(replace(lake, objects=(replace(BALLOON, place="w", is_reflected=True),)))
    found.append(replace(lake, objects=(BALLOON,)))
    words = replace(plain, kind="lettering", lettering="sign", objects=(ball(),))
    found += [words, replace(view, kind="landscape", lettering="sign")]
    found.append(replace(words, kind="room", setting="room"))
    beach = replace(lake, terrain="beach", objects=(ball(), TENT))
    found += [
        replace(beach, relation=name) for name in ("and", "left", "above", "in", "behind", "riding")
    ]
    three = replace(beach, objects=(ball(), TENT, BALLOON))
    found += [replace(three, relation=name) for name in ("and", "between")]
    found.append(replace(beach, relation="in", objects=(ball(count=5), TENT)))
    return [*found, replace(beach, relation="in", objects=(ball(count=3), TREE))]


def acted() -> list[Scene]:
    """Animals that eat, chase and fish, and a cake with a strawberry."""
    cat, dog = (SceneObject(n, ("noto", n), "", "g", 1, 0.4, False) for n in ("cat", "dog"))
    fish, rod, berry, cake = (
        SceneObject(n, ("drawn", "ball"), "", "i", 1, 0.4, False)
        for n in ("fish", "fishing rod", "strawberry", "cake")
    )
    man = SceneObject("man", ("figure", "man"), "", "g", 1, 0.4, False)
    plain = Scene("pair", 1024, 1024, 1, background="white", ground="plain")
    beach = Scene("mixed", 1024, 1024, 1, time="day", weather="clear", terrain="beach")
    found = [
        replace(seen, relation=relation, objects=items)
        for seen in (plain, beach)
        for relation, items in (
            ("holding", (cat, fish)),
            ("holding", (cat, rod)),
            ("right", (dog, cat)),
            ("on", (berry, cake)),
            ("on", (cat, man)),
        )
    ]
    table = replace(plain, kind="room", setting="table", relation="on", objects=(berry, cake))
    return [*found, table]


def test_verbs_suit_what_animals_have() -> None:
    """A cat eats a fish, and never rides or plays it; only the hunter chases."""
    for seen, text in worded(acted() * 20, 6):
        has_verb = re.search(r"eat|catch|carr|hold|with|hunt|caught|held", text.lower())
        assert has_verb or seen.objects[1].name != "fish", text
        if re.search(r"chas|fleeing|running|is after|hunt", text):
            assert seen.relation == "right" or seen.objects[1].name == "fish", text


def walks() -> list[Scene]:
    """Somebody walks a dog, before a plain ground and on a beach."""
    man = SceneObject("man", ("figure", "man"), "", "g", 1, 0.4, False, pose="walking")
    dog = SceneObject("dog", ("noto", "dog"), "", "g", 1, 0.4, False)
    plain = Scene("pair", 1024, 1024, 1, background="white", ground="plain")
    beach = Scene("mixed", 1024, 1024, 1, time="day", weather="clear", terrain="beach")
    return [replace(seen, relation="beside", objects=(man, dog)) for seen in (plain, beach)]


def test_templates_can_be_filled() -> None:
    """Every field of every template can be filled for some scene of its family."""
    rng = np.random.default_rng(3)
    by_family: dict[str, Scene] = {}
    for seen in [*landscapes(1, 400), *alone(1), *mixed(1), *arranged(), *walks(), *acted()]:
        by_family.setdefault(captions.family(seen), seen)
    families = templates.TEMPLATES.keys()
    assert by_family.keys() == families == held_out.HELD_OUT_TEMPLATES.keys()
    for family, seen in by_family.items():
        words = (Lettering if seen.lettering else Relating)(seen, rng)
        both = (*templates.TEMPLATES[family], *held_out.HELD_OUT_TEMPLATES[family])
        for _, field, _, _ in (p for text in both for p in string.Formatter().parse(text)):
            assert field is None or words[field] or field in OPTIONAL, (family, field)


def test_landscapes_without_a_name() -> None:
    """Captions that only say "landscape" describe natural landscapes."""
    texts = [(seen, text.lower()) for seen, text in worded(landscapes(2, 4000), 3)]
    vague = re.compile(r"\b(landscape|nature|scenery|outdoors|countryside|a \w+ place)\b")
    named = re.compile(
        "|".join(w for kinds in wording.TERRAIN_WORDS.values() for t in kinds for w in t)
    )
    found = {seen.terrain for seen, text in texts if vague.search(text) and not named.search(text)}
    assert found == captions.NATURAL


# Fields that may be empty.
OPTIONAL = (
    *("weather", "weather_tag", "season", "light", "glow", "when", "light_sentence", "sides"),
    *("room_time", "by_wall", "wall_sentence"),
)


def test_captions_of_arrangements_are_short_and_clean() -> None:
    """The rules for captions of landscapes also hold for several objects and every style."""
    scenes = [
        replace(seen, style=style)
        for style in ("", *wording.STYLE_WORDS)
        for seen in arranged() * 4
    ]
    for seen, text in worded(scenes, 8):
        assert (2 if seen.objects else 1) <= len(text.split()) <= 30, text
        assert not re.search(r"  |,,|\{|\}| ,| \.|\.\.|^,|\ba a|\ban? (two|the)\b", text), text
        if seen.kind != "group" and seen.setting != "window" and len(seen.objects) > 1:
            other = seen.objects[1].name
            words = (other[-4:], *KINDS.get(other, ()))
            assert re.search("ball", text, re.I) and re.search("|".join(words), text, re.I), text


# Phrases that put the tent to the left of the ball, or below or under it.
TENT_LEFT = (
    r"tent[^.]*\bleft of\b[^.]*ball|ball[^.]*\bright of\b[^.]*tent|right side: [^,]*ball"
    r"|ball (is )?on the right(?! of| side of)|ball right,"
    r"|tent (is )?on the left(?! of| side of)|tent left(?! of)"
    r"|on the right (?!of|and|side of)[^,.]*ball|look right for [^.]*ball and"
)
TENT_BELOW = (
    r"ball[^.]*\b(above|over|on top of|on)\b[^.]*tent"
    r"|tent[^.]*\b(below|beneath|under\w*)\b[^.]*ball"
)


def mirrored(pattern: str) -> str:
    return pattern.replace("ball", "BALL").replace("tent", "ball").replace("BALL", "tent")


def test_captions_do_not_swap_a_relation() -> None:
    """A caption of two objects never swaps them."""
    rng = np.random.default_rng(2)
    lies = {
        "left": TENT_LEFT,
        "right": mirrored(TENT_LEFT),
        "below": TENT_BELOW,
        "above": mirrored(TENT_BELOW),
        "behind": r"ball[^.]*in front of[^.]*tent|tent[^.]*behind[^.]*ball",
        "front": r"tent[^.]*in front of[^.]*ball|ball[^.]*behind[^.]*tent",
    }
    pairs = [s for s in arranged() if s.relation in lies and len(s.objects) == 2]
    assert {s.relation for s in pairs} == lies.keys()
    for seen in pairs:
        true = lies[
            {"left": "right", "right": "left", "above": "below", "below": "above"}.get(
                seen.relation, {"front": "behind", "behind": "front"}.get(seen.relation, "")
            )
        ]
        num_true = 0
        for i in range(150):
            text = captions.caption(seen, rng, i % 3 == 0).lower().replace("beach ball", "ball")
            text = text.replace("on white", "").replace("on a white", "").replace("on beige", "")
            assert not re.search(lies[seen.relation], text), (text, seen.relation)
            num_true += bool(re.search(true, text))
        assert num_true > 3, seen


@pytest.mark.parametrize("style", wording.STYLE_WORDS)
def test_captions_name_the_style(style: str) -> None:
    """Every caption names the style; if the style has no colours, it names none."""
    rng = np.random.default_rng(6)
    sunset = replace(
        landscapes(2, 1)[0], terrain="lake", time="sunset", weather="clear", moon=False
    )
    said = {
        False: [word for part in wording.STYLE_WORDS[style] for word in part],
        True: [word for part in held_out.STYLE_WORDS_HELD_OUT[style] for word in part],
    }
    assert not set(said[False]) & set(said[True])
    for seen in [sunset, *arranged()]:
        shown = replace(seen, style=style)
        for is_held_out in (False, True):
            text = captions.caption(shown, rng, is_held_out).lower()
            assert any(word in text for word in said[is_held_out]), text
            if style in COLOURLESS:
                left = text.replace("black and white", "")
                assert not COLOUR_WORDS.search(left), text


def test_every_terrain_has_words() -> None:
    """Captions can name every terrain and place that sampling produces."""
    assert wording.TERRAIN_WORDS.keys() == sample.TERRAINS.keys()
    assert wording.INSIDE.keys() == sample.TERRAINS.keys() - set(sample.CROWDED)
