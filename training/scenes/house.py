"""Random indoor scenes: on a floor, a table or a shelf, or at a window."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import lru_cache

from daguerre.models.embedded.drawing import things
from daguerre.models.embedded.drawing.furnished import FURNISHED
from daguerre.models.embedded.drawing.palette import BACKS
from daguerre.models.embedded.drawing.scene import Scene, SceneObject
from training.places import WALLLESS
from training.scenes.company import another, related_rows
from training.scenes.containers import LARGE, OUTSIDE, TINTED, sample_inside
from training.scenes.crowd import STATURES, countable, in_contrast
from training.scenes.foods import sample_topped
from training.scenes.sample import colours_in, one_of, pick, placed, sample_landscape

SETTINGS = {
    **{"room": 0.9, "table": 1.4, "shelf": 0.7, "window": 1.1},
    **{"kitchen": 0.8, "living room": 0.8, "bedroom": 0.7, "bathroom": 0.45, "library": 0.6},
    **{"classroom": 0.5, "office": 0.5, "cafe": 0.5, "stage": 0.45},
}
EMPTY, RELATED, AT_NIGHT = 0.16, 0.22, 0.2  # shares of scenes in furnished rooms
FILLED = {"table": 0.34, "shelf": 0.25, "window": 0.15}  # shares of scenes with a full container
TOPPED = {"table": 0.12, "kitchen": 0.08, "cafe": 0.15}  # shares with food on food
TOUCHING = {"on": 1.6, "in": 1.0, "under": 0.7, "front": 0.5, "behind": 0.5}
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
    if setting in FURNISHED:
        return tuple(
            t
            for t in rows
            if t.name in FLOOR
            or (t.kind in "ap" and t.place == "g")
            or (t.kind == "f" and setting != "stage")
            or (SMALL_TAGS & {*t.tags} and t.name not in TOO_LARGE and t.kind == "o")
        )
    return tuple(
        t
        for t in rows
        if t.name in SILL or (t.name not in TOO_LARGE and t.kind in "fo" and SMALL_TAGS & {*t.tags})
    )


def sample_room(r: random.Random, width: int, height: int) -> Scene:
    """A scene indoors with none to seven things; the wall's colour is the background."""
    setting = pick(r, SETTINGS)
    if setting == "window":
        scene = sample_landscape(r, width, height, "room")
        while scene.terrain == "underwater":
            scene = sample_landscape(r, width, height, "room")
        scene = replace(scene, setting=setting)
        if r.random() < FILLED["window"]:
            return replace(scene, objects=sample_inside(r, LARGE), relation="in")
        items = _items(r, setting, 1) if r.random() < 0.5 else ()
        return replace(scene, objects=items, relation="")
    if setting in TOPPED and r.random() < TOPPED[setting]:
        return _indoors(r, setting, (width, height), sample_topped(r), "on")
    if r.random() < FILLED.get(setting, 0.0):
        return _indoors(r, setting, (width, height), sample_inside(r, LARGE), "in")
    if setting in FURNISHED and r.random() < EMPTY:
        return _indoors(r, setting, (width, height), (), "")
    if setting not in FILLED and r.random() < RELATED:
        relation = pick(r, TOUCHING)
        inside = relation == "in"
        items = sample_inside(r, OUTSIDE) if inside else _in_relation(r, relation)
        return _indoors(r, setting, (width, height), items, relation)
    items = _items(r, setting, r.choices((1, 2, 3, 4, 5), (0.52, 0.29, 0.1, 0.05, 0.04))[0])
    relation = r.choice(("and", "left", "right")) if len(items) == 2 else ""
    items = in_contrast(r, items, STATURES)
    return _indoors(r, setting, (width, height), items, relation if len(items) < 3 else "and")


def _indoors(
    r: random.Random,
    setting: str,
    shape: tuple[int, int],
    items: tuple[SceneObject, ...],
    relation: str,
) -> Scene:
    """Things in front of a wall that none of them is lost on."""
    taken = colours_in(items)
    wall = r.choice([name for name in WALLS if name not in taken])
    seed = r.getrandbits(32)
    return Scene(
        "room",
        *shape,
        seed,
        time="night" if setting in FURNISHED and r.random() < AT_NIGHT else "",
        objects=items,
        background="beige" if setting in WALLLESS else wall,
        relation=relation,
        setting=setting,
    )


def _in_relation(r: random.Random, relation: str) -> tuple[SceneObject, ...]:
    """Things of which one carries or hides the other."""
    rows = [t for t in furnishing("room") if t.kind in "ap"] if r.random() < 0.5 else None
    first, second = related_rows(r, relation)
    while second.name not in FLOOR and relation in ("on", "under"):
        first, second = related_rows(r, relation)
    if rows and relation in ("on", "under"):
        first = another(r, rows, second)
    return tuple(placed(r, t, r.uniform(0.85, 1.0), 1, TINTED) for t in (first, second))


def _items(r: random.Random, setting: str, num: int) -> tuple[SceneObject, ...]:
    """Things for a place indoors; one kind alone is there up to seven times."""
    rows = furnishing(setting)
    chosen = [one_of(r, rows)]
    while len(chosen) < num:
        chosen.append(another(r, rows, *chosen))
    counted = setting in ("table", "shelf")
    many = num == 1 and r.random() < (0.45 if counted else 0.2)
    count = r.choice((2, 3, 4, 5, 6, 7) if counted else (2, 3)) if many else 1
    return tuple(placed(r, t, r.uniform(0.8, 1.0), count, TINTED) for t in chosen)
