"""Captions of scenes: many true wordings of one picture, from two words to three sentences.

A caption may omit facts and never adds one; only an unusual style is always named. `templates` and
`held_out` have the templates, `wording` the vocabulary; `words` and `relating` choose from it.
"""

from __future__ import annotations

import numpy as np

from daguerre.models.embedded.drawing import Scene
from daguerre.models.embedded.drawing.relations import TOUCHING, has_stand
from daguerre.models.embedded.drawing.scene import TIMELESS
from daguerre.models.embedded.drawing.toppings import is_topped
from daguerre.models.embedded.drawing.vessels import CROWNS
from training.describing import PREDICATE_SHARE, has_verb, predicates
from training.grammar import clean
from training.held_out import HELD_OUT_TEMPLATES, STYLE_WORDS_HELD_OUT
from training.lettering import Lettering, lettering_family
from training.relating import Relating
from training.scenes.styles import COLOUR_WORDS, COLOURLESS
from training.templates import TEMPLATES, VAGUE
from training.verbs import can_act, is_chasing, is_feeding, is_perched
from training.wording import ACTS, STYLE_WORDS

# Landscapes that are meant where none is named, and how many of their captions name none.
NATURAL = frozenset(
    "mountains hills river forest meadow lake waterfall sea beach islands jungle".split()
)
DOGS = ("dog", "poodle", "service dog")
VAGUE_SHARE = 0.12


def caption(scene: Scene, rng: np.random.Generator, held_out: bool = False) -> str:
    """One wording of a scene; with `held_out`, one that training never sees."""
    text = _worded(scene, rng, held_out)
    while scene.style in COLOURLESS and _names_a_colour(text):
        text = _worded(scene, rng, held_out)
    return text


def _names_a_colour(text: str) -> bool:
    return bool(COLOUR_WORDS.search(text.lower().replace("black and white", "")))


def _worded(scene: Scene, rng: np.random.Generator, held_out: bool) -> str:
    words = (Lettering if scene.lettering else Relating)(scene, rng)
    name = family(scene)
    templates = (HELD_OUT_TEMPLATES if held_out else TEMPLATES)[name]
    if name == "landscape" and scene.terrain in NATURAL and not held_out:
        templates = VAGUE if words.chance(VAGUE_SHARE) else templates
    if not has_verb(scene):
        templates = tuple(t for t in templates if "{doing}" not in t)
    if not can_act(scene):
        templates = tuple(t for t in templates if "{deed}" not in t)
    apart = () if held_out else predicates(scene)
    template = words.one(apart if apart and words.chance(PREDICATE_SHARE) else templates)
    if scene.terrain == "flowers" and template.startswith("a {praise} {time_noun}"):
        template = "a {dreamy} {time_noun} with {terrain}"
    text = clean(template.format_map(words))
    if scene.style:
        text = _in_style(words, text, held_out)
    elif words.chance(0.12) and not held_out and "." not in text:
        text = clean(f"{text}, {words['style']}") if text.count(" ") < 10 else text
    if words.chance(0.08) and not held_out:
        for first in ("a ", "an "):
            text = text.removeprefix(first)
    if words.chance(0.5) or ". " in text:
        text = ". ".join(part[:1].upper() + part[1:] for part in text.split(". "))
    text = text.rstrip(".")
    return text + "." if words.chance(0.35) or ". " in text else text


def _in_style(words: Relating, text: str, held_out: bool) -> str:
    """The text with its style said, before it or after it, if it does not say it yet."""
    style = words.scene.style
    if any(noun in text for noun in STYLE_WORDS[style][0]):
        return text
    before, after = (STYLE_WORDS_HELD_OUT if held_out else STYLE_WORDS)[style]
    if ". " in text or text.endswith("."):
        return f"{text.rstrip('.')}. {words.one(after)}"
    if words.chance(0.45):
        return clean(f"{words.one(before)} of {text}")
    last = words.one(after)
    return clean(f"{text} {last}" if last.startswith(("in ", "as ")) else f"{text}, {last}")


def family(scene: Scene) -> str:
    """Which list of templates fits the scene."""
    if scene.lettering:
        return lettering_family(scene.kind)
    if scene.kind == "pair":
        return _relation_family(scene)
    item = scene.objects[0] if scene.objects else None
    if scene.kind == "room" and scene.relation == "in":
        return f"room {_inside_family(scene)}"
    if scene.kind == "room" and scene.relation == "on" and is_topped(scene.objects):
        return "room topped"
    if scene.kind == "room" and scene.relation in TOUCHING:
        return "room related"
    if scene.kind == "room" and scene.setting != "window" and item is None:
        return "empty room"
    if scene.kind == "room":
        return "room" if scene.setting != "window" else "windowsill" if item else "window"
    if item is None:
        if scene.terrain == "mushrooms":
            return "mushrooms"
        return "landscape" if scene.time else "timeless"
    if scene.kind == "mixed":
        return _mixed_family(scene)
    if scene.kind == "thing":
        return "glowing" if item.glowing else "thing"
    if scene.kind == "group":
        return "group" if item.count > 1 else "one"
    if scene.kind == "spot":
        return "spot" if item.spot else "stature"
    return scene.kind


def _is_a_walk(scene: Scene) -> bool:
    """True for a person who walks a dog."""
    first, *others = scene.objects
    one = len(others) == 1 and first.count == others[0].count == 1
    return one and scene.relation == "beside" and first.pose == "walking" and others[0].name in DOGS


def _relation_family(scene: Scene) -> str:
    if _is_a_walk(scene):
        return "walking"
    if scene.relation in ACTS:
        return _acting_family(scene)
    if scene.relation in ("left", "right"):
        return "chasing" if is_chasing(scene) else "sided"
    if scene.relation in ("and", "beside"):
        return "together" if len(scene.objects) == 2 else "trio"
    if scene.relation == "between":
        return "between"
    if scene.relation == "in":
        return _inside_family(scene)
    return _touching_family(scene)


def _acting_family(scene: Scene) -> str:
    if scene.relation == "holding" and scene.objects[1].name == "fishing rod":
        return "fishing"
    return "feeding" if is_feeding(scene) else "acting"


def _inside_family(scene: Scene) -> str:
    if scene.objects[-1].name in CROWNS:
        return "crowned"
    if has_stand(scene.objects):
        return "on a stand"
    return "filled" if any(item.count > 1 for item in scene.objects[:-1]) else "inside"


def _touching_family(scene: Scene) -> str:
    if scene.relation == "on" and is_topped(scene.objects):
        return "topped"
    if is_perched(scene):
        return "perched"
    single = len(scene.objects) == 2 and all(item.count == 1 for item in scene.objects)
    return "related" if single else "related group"


def _mixed_family(scene: Scene) -> str:
    item = scene.objects[0]
    if _is_a_walk(scene):
        return "walking outdoors"
    if scene.relation == "in":
        return f"{_inside_family(scene)} outdoors"
    if scene.relation == "between":
        return "between outdoors"
    if is_perched(scene):
        return "perched outdoors"
    if scene.relation in TOUCHING:
        return "related outdoors"
    if len(scene.objects) > 1:
        if scene.relation in ACTS:
            return f"{_acting_family(scene)} outdoors"
        if is_chasing(scene):
            return "chasing outdoors"
        return "company" if len(scene.objects) == 2 else "many outdoors"
    if item.is_reflected:
        return "reflected"
    is_flying = item.place == "s" and scene.terrain not in TIMELESS and item.name != "cloud"
    return "flying" if is_flying else "mixed"
