"""People in random scenes: who they are, what they do, and what they wear.

A scene with people is one of another kind in which a person takes the place of an object.
"""

from __future__ import annotations

import random
from dataclasses import replace
from functools import lru_cache

from daguerre.models.embedded.drawing import dressing, things
from daguerre.models.embedded.drawing.hatted import hats_of
from daguerre.models.embedded.drawing.people import PEOPLE
from daguerre.models.embedded.drawing.recolouring import COLOURS
from daguerre.models.embedded.drawing.scene import TIMELESS, WATERS, Scene, SceneObject

# Of the scenes of a kind, how many have people.
SHARES = {"thing": 0.25, "mixed": 0.36, "pair": 0.22, "group": 0.25, "spot": 0.15, "room": 0.2}
# How often each kind of person occurs; the others have 1.
WEIGHTS = {
    **{"man": 16.0, "woman": 16.0, "girl": 9.0, "boy": 9.0, "person": 8.0, "old man": 5.0},
    **{"old woman": 4.0, "child": 4.0, "astronaut": 3.0, "knight": 2.5, "princess": 2.5},
    **{"king": 2.0, "queen": 2.0, "wizard": 2.5, "sorceress": 2.0, "pirate": 2.0, "ninja": 2.0},
    **{"samurai": 2.0, "children": 2.0, "family": 1.5, "group of people": 2.0, "crowd": 1.5},
    **{"couple holding hands": 2.0, "baby": 1.5, "chef": 1.5, "firefighter": 1.5, "cowboy": 1.5},
}
POSED, CLOTHED, HATTED, COLOURED = 0.42, 0.55, 0.24, 0.45
POSE_WEIGHTS = {
    **{"sitting": 2.2, "walking": 1.8, "running": 1.8, "waving": 1.0, "jumping": 1.0},
    **{"dancing": 1.5, "reading": 1.3, "sleeping": 1.0, "cheering": 0.7, "singing": 0.7},
    "kneeling": 0.5,
}
MALE = tuple(outfit for outfit in dressing.OUTFITS if outfit not in ("dress", "gown"))
OUTFITS = {
    "man": ("suit", "suit", "suit", *MALE),
    "woman": ("dress", "dress", "dress", "dress", "dress", *dressing.OUTFITS),
    "boy": MALE,
    "girl": ("dress", "dress", "dress", *dressing.OUTFITS),
    "old man": ("suit", "coat", *MALE),
    "old woman": ("dress", "coat", *dressing.OUTFITS),
    "": MALE,
}
ANIMALS_WITH_HATS = 0.12  # three times as many of those that are alone
COMPANY = ("and", "beside", "left", "right", "front", "behind")  # relations of two people
SIZES = (0.78, 1.0)  # of a person alone
SIZES_OUTDOORS = (0.42, 0.72)


@lru_cache(maxsize=1)
def people() -> tuple[things.Thing, ...]:
    """The things that are drawn as figures."""
    return tuple(t for t in things.THINGS if t.name in PEOPLE and things.looks(t))


def person(r: random.Random, size: float, countable: bool = False) -> SceneObject:
    """A figure, sometimes with a pose, an outfit, a hat and a colour."""
    rows = [t for t in people() if not (countable and PEOPLE[t.name].others)]
    row = r.choices(rows, [WEIGHTS.get(t.name, 1.0) for t in rows])[0]
    look = things.looks_in(row, "thing")[0]
    item = SceneObject(row.name, look, "", row.place, 1, size, False)
    return clothed(r, item, PEOPLE[row.name].build)


def clothed(r: random.Random, item: SceneObject, build: str) -> SceneObject:
    """What a person does and wears; those of a trade keep their own clothes."""
    who, row = PEOPLE[item.name], things.BY_NAME[item.name]
    if who.others:
        return item
    pose = outfit = hat = ""
    if r.random() < POSED:
        pose = r.choices(tuple(POSE_WEIGHTS), tuple(POSE_WEIGHTS.values()))[0]
        pose = "" if pose == who.pose else pose
    if not who.outfit and r.random() < CLOTHED:
        outfit = r.choice(OUTFITS.get(build.split("/")[0], MALE))
    if r.random() < (HATTED if not who.hat else 0.1):
        hat = r.choice(dressing.HATS)
        hat = "" if hat == who.hat else hat
    coloured = row.recolourable and r.random() < (0.8 if outfit else COLOURED)
    if outfit in ("armor", "spacesuit", "uniform", "lab coat") and r.random() < 0.8:
        coloured = False
    colour = r.choice(COLOURS) if coloured else ""
    return replace(item, pose=pose, outfit=outfit, hat=hat, colour=colour)


def with_people(r: random.Random, scene: Scene) -> Scene:
    """The scene, in its share with a person in the place of an object."""
    if r.random() >= SHARES.get(scene.kind, 0.0) or not scene.objects:
        return scene
    if scene.kind == "mixed":
        return _outdoors(r, scene)
    if scene.kind == "room":
        return _indoors(r, scene)
    if scene.kind == "pair":
        return _in_company(r, scene)
    old = scene.objects[0]
    item = person(r, old.size, countable=scene.kind == "group")
    if scene.kind == "thing":
        item = replace(item, size=r.uniform(*SIZES))
    if old.count > 1:
        item = replace(item, outfit="", hat="")
    item = replace(item, count=old.count, stature=old.stature, spot=old.spot)
    return _distinct(r, replace(scene, objects=(item,)))


def with_hats(r: random.Random, scene: Scene) -> Scene:
    """The scene, in some cases with a hat on an animal."""
    if scene.kind in ("portrait", "pattern") or scene.style in ("neon",):
        return scene
    share = ANIMALS_WITH_HATS * (3 if len(scene.objects) == 1 else 1)
    items = tuple(_hatted(r, item, share) for item in scene.objects)
    return replace(scene, objects=items) if items != scene.objects else scene


def _hatted(r: random.Random, item: SceneObject, share: float) -> SceneObject:
    hats = hats_of(item.name) if item.count == 1 and not item.glowing else ()
    if not hats or r.random() >= share:
        return item
    look = things.looks_in(things.BY_NAME[item.name], "thing")[0]
    return replace(item, hat=r.choice(hats), look=look)


def _distinct(r: random.Random, scene: Scene) -> Scene:
    """The scene with a background in a colour that no object has."""
    taken = {item.colour for item in scene.objects}
    if scene.background in taken or scene.ground == "dark":
        back = r.choice([name for name in ("white", "blue", "green", "beige") if name not in taken])
        return replace(scene, background=back, ground="plain")
    return scene


def _outdoors(r: random.Random, scene: Scene) -> Scene:
    """Somebody in a landscape with ground."""
    if scene.terrain in TIMELESS or (scene.terrain in WATERS and scene.terrain != "beach"):
        return scene
    size = r.uniform(*SIZES_OUTDOORS)
    chance = r.random()
    if chance < 0.12:
        item = person(r, r.uniform(0.36, 0.46), countable=True)
        item = replace(item, outfit="", hat="", count=r.choice((2, 2, 3, 4)))
        return replace(scene, objects=(item,), relation="")
    old = scene.objects[0]
    if len(scene.objects) > 1 and any(item.stature for item in scene.objects):
        item = replace(person(r, old.size, countable=True), stature=old.stature)
        return replace(scene, objects=(item, *scene.objects[1:]))
    item = person(r, size)
    beside = things.BY_NAME.get(old.name)
    company = len(scene.objects) > 1 or chance < 0.35
    if company and beside and beside.place == "g" and old.name != item.name and old.count == 1:
        relation = scene.relation if scene.relation in COMPANY else "and"
        other = replace(old, size=min(old.size, item.size), spot="", stature="", glowing=False)
        return replace(scene, objects=(item, other), relation=relation)
    spot = old.spot if old.spot and len(scene.objects) == 1 else ""
    return replace(scene, objects=(replace(item, spot=spot),), relation="")


def _indoors(r: random.Random, scene: Scene) -> Scene:
    """Somebody on the floor of a room, sometimes beside something."""
    if scene.setting in ("table", "shelf", "window") or scene.relation == "in":
        return scene
    item = person(r, r.uniform(0.9, 1.0))
    others = [t for t in scene.objects[1:] if t.name != item.name and t.count == 1]
    items = (item, *others)
    relation = scene.relation if len(items) > 1 else ""
    return _distinct(r, replace(scene, objects=items, relation=relation))


def _in_company(r: random.Random, scene: Scene) -> Scene:
    """Somebody and a thing, or two people."""
    if scene.relation not in COMPANY[:-1]:
        return scene
    old = scene.objects[0]
    size = old.size if old.stature else r.uniform(0.9, 1.0)
    first = replace(person(r, size, countable=True), stature=old.stature)
    rest = list(scene.objects[1:])
    if scene.relation != "front" and not old.stature and r.random() < 0.25:
        rest[0] = person(r, r.uniform(0.9, 1.0), countable=True)
    if any(item.name == first.name or item.count > 1 for item in rest):
        return scene
    items = [first, *rest]
    if scene.relation in ("left", "right", "and", "beside") and r.random() < 0.3:
        items[0], items[1] = items[1], items[0]
    return _distinct(r, replace(scene, objects=tuple(items)))
