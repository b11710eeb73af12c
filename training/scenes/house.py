"""Random indoor scenes: on a floor, a table or a shelf, or at a window."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import lru_cache

from daguerre.models.embedded.drawing import things
from daguerre.models.embedded.drawing.palette import BACKS
from daguerre.models.embedded.drawing.scene import Scene, SceneObject
from training.scenes.company import TINTED, another
from training.scenes.crowd import countable
from training.scenes.sample import one_of, pick, placed, sample_landscape

SETTINGS = {"room": 1.2, "table": 1.3, "shelf": 0.8, "window": 1.3}
WALLS = tuple(name for name in BACKS if name not in ("black", "red"))
# Furniture and pets, for the floor, besides people.
FLOOR = (
    "cat,dog,rabbit,sofa,chair,bed,television,potted plant,guitar,gift,teddy bear,robot,ball,"
    "christmas tree,backpack,umbrella,telescope,violin,ghost,turtle,penguin,balloon,bicycle,"
    "floor lamp,desk,table,bookshelf,wardrobe,dresser,drum,suitcase,toy blocks,boy,girl,harp"
).split(",")
# Things for tables and shelves, by tag, and those that are too large or too flat.
SMALL_TAGS = frozenset(
    "food tableware game art science electronics household holiday award".split()
)
TOO_LARGE = (
    "sofa,bed,chair,door,window,table,desk,floor lamp,bookshelf,wardrobe,dresser,bench,hole,"
    "refrigerator,stove,washing machine,airplane seat,toilet,shower,bathtub,shopping cart,coffin,"
    "satellite dish,puzzle piece,musical note,fireworks,carp streamer,mirror,kite,balloon"
).split(",")
SILL = (
    "cat,bird,owl,dove,potted plant,flower,tulip,rose,cactus,book,candle,teddy bear,coffee,"
    "teapot,lantern,apple,light bulb,telescope,hibiscus,sunflower,frog,parrot"
).split(",")


@lru_cache(maxsize=4)
def furnishing(setting: str) -> tuple[things.Thing, ...]:
    """Things that suit an indoor place."""
    rows = countable()
    if setting == "room":
        return tuple(t for t in rows if t.name in FLOOR)
    if setting == "window":
        return tuple(t for t in rows if t.name in SILL)
    return tuple(
        t
        for t in rows
        if t.name in SILL or (t.name not in TOO_LARGE and t.kind in "fo" and SMALL_TAGS & {*t.tags})
    )


def sample_room(r: random.Random, width: int, height: int) -> Scene:
    """A scene indoors with none to four things; the wall's colour is the background."""
    setting = pick(r, SETTINGS)
    if setting == "window":
        scene = sample_landscape(r, width, height, "room")
        while scene.terrain == "underwater":
            scene = sample_landscape(r, width, height, "room")
        scene = replace(scene, setting=setting)
        items = _items(r, setting, 1) if r.random() < 0.5 else ()
        return replace(scene, objects=items, relation="")
    items = _items(r, setting, r.choices((1, 2, 3), (0.55, 0.33, 0.12))[0])
    taken = {word for t in items for word in (t.colour, things.BY_NAME[t.name].colour)}
    wall = r.choice([name for name in WALLS if name not in taken])
    relation = r.choice(("and", "left", "right")) if len(items) == 2 else ""
    return Scene(
        "room",
        width,
        height,
        r.getrandbits(32),
        objects=items,
        background=wall,
        relation=relation if len(items) < 3 else "and",
        setting=setting,
    )


def _items(r: random.Random, setting: str, num: int) -> tuple[SceneObject, ...]:
    """Things for a place indoors; one kind alone is there up to four times."""
    rows = furnishing(setting)
    chosen = [one_of(r, rows)]
    while len(chosen) < num:
        chosen.append(another(r, rows, *chosen))
    many = num == 1 and setting in ("table", "shelf") and r.random() < 0.45
    count = r.choice((2, 3, 4)) if many else 1
    return tuple(placed(r, t, r.uniform(0.8, 1.0), count, TINTED) for t in chosen)
