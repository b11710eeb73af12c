"""Random scenes with words: on a surface alone, with things, in a landscape or in a room.

The words themselves are no part of a scene: they are taken from the prompt.
"""

from __future__ import annotations

import random
from dataclasses import replace

from daguerre.models.embedded.drawing import things
from daguerre.models.embedded.drawing.objects import bounds
from daguerre.models.embedded.drawing.recolouring import COLOURS
from daguerre.models.embedded.drawing.scene import TIMELESS, WATERS, Scene, SceneObject
from training.scenes.company import another
from training.scenes.crowd import countable, ground_of
from training.scenes.house import FLOOR
from training.scenes.outdoors import walkers
from training.scenes.people import person
from training.scenes.sample import (
    CROWDED,
    GLOWING_TERRAINS,
    colours_in,
    one_of,
    pick,
    placed,
    sample_landscape,
)

WEIGHTS = {
    "sign": 5.0,
    "banner": 1.6,
    "shirt": 1.6,
    "wall": 1.2,
    "book": 1.2,
    "cake": 1.5,
    "poster": 1.6,
    "chalkboard": 1.1,
    "neon": 1.9,
    "storefront": 1.4,
    "bubble": 1.5,
    "billboard": 1.0,
    "paper": 1.3,
    "screen": 0.9,
    "mug": 1.0,
}
COLOURED_SHARE = 0.3  # of surfaces whose colour is said
OUTDOORS = ("sign", "banner", "billboard", "neon", "storefront", "bubble", "wall")
INDOORS = ("poster", "chalkboard", "neon", "banner", "sign")
_BESIDE = {"beside": 1.0, "left": 0.8, "right": 0.8}
PERSON_SHARE = 0.6  # of those that hold, wear or say something; the rest are animals
# The relation of the first thing to the surface.
RELATIONS: dict[str, dict[str, float]] = {
    "sign": {**_BESIDE, "holding": 4.0, "on": 0.7, "below": 0.4},
    "banner": {"holding": 1.6, "below": 1.6, "beside": 1.0},
    "shirt": {"wearing": 4.0, "beside": 0.6, "holding": 0.3},
    "wall": {"front": 3.0, "beside": 1.0},
    "book": {**_BESIDE, "holding": 2.0, "on": 0.5},
    "cake": {**_BESIDE, "holding": 1.2, "on": 0.4},
    "poster": {**_BESIDE, "holding": 1.2, "below": 0.6},
    "chalkboard": {**_BESIDE, "holding": 0.6, "below": 0.5},
    "neon": {"below": 2.0, "beside": 1.0},
    "storefront": {"front": 3.0, "beside": 1.0},
    "bubble": {"": 1.0},
    "billboard": {"below": 1.5, "beside": 1.5},
    "paper": {**_BESIDE, "holding": 3.5},
    "screen": {**_BESIDE, "holding": 0.5, "on": 0.4},
    "mug": {**_BESIDE, "holding": 2.0},
}
# Colours that a surface cannot have.
_DULL = {"neon": ("black", "gray", "brown"), "chalkboard": COLOURS, "bubble": COLOURS}


def sample_lettering(r: random.Random, width: int, height: int) -> Scene:
    """A surface for words, and what is with it."""
    surface = pick(r, WEIGHTS)
    chance = r.random()
    if chance < 0.24 and surface in OUTDOORS:
        scene = _outdoors(r, surface, width, height)
    elif chance > 0.86 and surface in INDOORS:
        scene = _indoors(r, width, height)
    else:
        scene = _on_ground(r, surface, width, height)
    taken = colours_in(scene.objects) | {scene.background}
    free = [colour for colour in COLOURS if colour not in taken]
    colour = r.choice(free) if r.random() < COLOURED_SHARE else ""
    if colour in _DULL.get(surface, ()):
        colour = ""
    return replace(scene, lettering=surface, lettering_colour=colour)


def _on_ground(r: random.Random, surface: str, width: int, height: int) -> Scene:
    items: tuple[SceneObject, ...] = ()
    relation = ""
    if surface == "bubble" or r.random() < 0.56:
        relation = pick(r, RELATIONS[surface])
        items = _items(r, relation, surface)
        relation = "and" if relation == "beside" and len(items) > 1 else relation
    back, ground = ground_of(r, items, plain=True)
    if surface == "neon" and r.random() < 0.6:
        back, ground = "black", "plain"
    seed = r.getrandbits(32)
    return Scene(
        "lettering",
        width,
        height,
        seed,
        objects=items,
        background=back,
        ground=ground,
        relation=relation,
    )


def _items(r: random.Random, relation: str, surface: str) -> tuple[SceneObject, ...]:
    """One thing or two; only people, animals and robots can hold, wear or say something."""
    has_hands = relation in ("holding", "wearing") or surface == "bubble"
    rows = countable()
    if has_hands:
        rows = tuple(t for t in rows if t.kind in "ap" and t.place in "giw" or t.name == "robot")
        rows = tuple(t for t in rows if relation != "wearing" or _is_compact(t))
    elif relation == "on":
        rows = tuple(t for t in rows if t.kind in "ao")
    if has_hands and r.random() < PERSON_SHARE:
        somebody = person(r, r.uniform(0.9, 1.0), countable=True)
        outfit = "" if relation == "wearing" else somebody.outfit
        return (replace(somebody, pose="", outfit=outfit),)
    first = one_of(r, rows)
    chosen = [first]
    if not has_hands and relation != "on" and r.random() < 0.2:
        chosen.append(another(r, countable(), first))
    return tuple(placed(r, t, r.uniform(0.85, 1.0), 1, 0.5) for t in chosen)


def _is_compact(thing: things.Thing) -> bool:
    """True for a head, or a body that is about as wide as high."""
    left, top, right, bottom = bounds(things.looks(thing)[0])
    return 0.72 < (right - left) / (bottom - top) < 1.3


def _outdoors(r: random.Random, surface: str, width: int, height: int) -> Scene:
    """A surface in a landscape, sometimes with an animal or a person."""
    terrain = ""
    while not terrain or terrain in (*CROWDED, *TIMELESS, *GLOWING_TERRAINS, *_WET):
        scene = sample_landscape(r, width, height, "landscape")
        terrain = scene.terrain
    if surface != "bubble" and r.random() < 0.6:
        return scene
    rows = [t for t in walkers(scene) if t.kind in "ap" or t.name == "robot"]
    item = placed(r, one_of(r, rows), r.uniform(0.3, 0.42), 1, 0.3)
    if r.random() < PERSON_SHARE:
        item = replace(person(r, r.uniform(0.44, 0.6), countable=True), pose="")
    options = {"holding": 2.0, "beside": 1.0} if surface in ("sign", "banner") else {"beside": 1.0}
    relation = "" if surface == "bubble" else pick(r, options)
    return replace(scene, kind="mixed", objects=(item,), relation=relation)


_WET = tuple(terrain for terrain in WATERS if terrain != "beach")


def _indoors(r: random.Random, width: int, height: int) -> Scene:
    """A surface on the wall of a room with one or two things."""
    rows = tuple(t for t in countable() if t.name in FLOOR)
    chosen = [one_of(r, rows)]
    if r.random() < 0.3:
        chosen.append(another(r, rows, *chosen))
    items = tuple(placed(r, t, r.uniform(0.8, 1.0), 1, 0.4) for t in chosen)
    back, _ = ground_of(r, items, plain=True)
    return Scene(
        "room",
        width,
        height,
        r.getrandbits(32),
        objects=items,
        background=back,
        relation="and" if len(items) > 1 else "",
        setting="room",
    )
