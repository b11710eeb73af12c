"""Scenes of riding, holding, eating, chasing, fishing, sitting on a seat and walking a dog."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import lru_cache

from daguerre.models.embedded.drawing import things
from daguerre.models.embedded.drawing.dressing import AT_SEA as SEAS
from daguerre.models.embedded.drawing.joining import PERCHING
from daguerre.models.embedded.drawing.mounts import BOARDS, RIDEABLE, SEATS
from daguerre.models.embedded.drawing.recolouring import COLOURS
from daguerre.models.embedded.drawing.scene import TIMELESS, Scene, SceneObject
from training.scenes.animals import chasing, feeding, fishing
from training.scenes.people import person
from training.scenes.sample import colours_in

# on: people on seats; beside: people who walk a dog
SHARES = {"riding": 0.36, "holding": 0.36, "on": 0.22, "beside": 0.06}
PERCHED = 0.5  # of those that are on something: an animal on a shoulder
# Shares of those that act; at waters, five times as many fish, in place of some that feed.
FEEDING, CHASING, FISHING = 0.34, 0.1, 0.025
FISHED = ("river", "lake", "waterfall", "waterfront", "harbour", "beach", "sea")
PERSON_SHARE = 0.7  # of those who act; the rest are animals
TINTED = 0.4  # of what is ridden or held
ACTORS = (
    *("bear", "panda", "fox", "cat", "cat", "dog", "dog", "frog", "monkey", "rabbit", "penguin"),
    *("koala", "wolf", "lion", "owl", "mouse", "raccoon", "polar bear", "hamster", "robot"),
)
AT_SEA = ("surfboard", "surfboard", "wave", "wave", "dolphin", "whale")
MOUNT_WEIGHTS = {
    **{"horse": 5.0, "bicycle": 5.0, "skateboard": 3.0, "motorcycle": 3.0, "elephant": 2.0},
    **{"surfboard": 2.0, "wave": 1.5, "broom": 2.0, "unicorn": 2.0, "dragon": 2.0, "scooter": 2.0},
}
SEAT_WEIGHTS = (5, 4, 3, 2, *(1 for _ in range(len(SEATS) - 4)))
HELD = (
    "balloon,balloon,balloon,umbrella,umbrella,umbrella,apple,book,rose,tulip,sunflower,flower,"
    "lantern,kite,guitar,ice cream,lollipop,teddy bear,teddy bear,sword,pizza,coffee,heart,heart,"
    "camera,gift,gift,candle,banana,basket,cat,dog,rabbit,fish,owl,trophy,cake,birthday cake,"
    "cupcake,hot dog,hamburger,carrot,strawberry,watermelon,cookie,ball,soccer ball,"
    "basketball,baseball bat,tennis racket,violin,trumpet,microphone,laptop,phone,pumpkin,"
    "key,magnifying glass,paintbrush,pencil,hammer,axe,shield,crown,star,moon,bell,"
    "briefcase,handbag,backpack,teapot,beer,sushi,popcorn,lemon,"
    "orange,cherries,bouquet,cactus,potted plant,envelope,crystal ball,magic wand"
).split(",")


@lru_cache(maxsize=1)
def held() -> tuple[things.Thing, ...]:
    """Things to hold."""
    return tuple(things.BY_NAME[name] for name in HELD if name in things.BY_NAME)


def acting(r: random.Random, scene: Scene) -> Scene:
    """The scene with an actor and a second object, such as a mount, as its only objects."""
    is_outside = scene.kind == "mixed"
    if is_outside and scene.terrain in TIMELESS:
        return scene
    size = r.uniform(0.34, 0.58) if is_outside else r.uniform(0.9, 1.0)
    at_sea = is_outside and scene.terrain in SEAS
    chance = r.random()
    if chance < FISHING * (5 if scene.terrain in FISHED else 1):
        return _set(r, scene, fishing(r, size), "holding")
    if not at_sea and chance < FEEDING:
        return _set(r, scene, feeding(r, size), "holding")
    if not at_sea and chance < FEEDING + CHASING:
        side = r.choice(("left", "right"))
        return _set(r, scene, chasing(r, size * 0.75 if is_outside else size, side), side)
    first = _actor(r, size)
    relation = "riding" if at_sea else r.choices(tuple(SHARES), tuple(SHARES.values()))[0]
    if relation == "beside":
        first = replace(person(r, size, countable=True), pose="walking")
        second = _object(r, things.BY_NAME["dog" if r.random() < 0.8 else "poodle"], size)
        second = replace(second, size=size * 0.75 if is_outside else size)
    elif relation == "on" and r.random() < PERCHED:
        first = _object(r, things.BY_NAME[r.choice(PERCHING)], size)
        second = replace(person(r, size, countable=True), pose="")
    elif relation == "on":
        first = person(r, size, countable=True)
        second = _object(r, things.BY_NAME[r.choices(tuple(SEATS), SEAT_WEIGHTS)[0]], size)
    elif relation == "riding":
        second = _mount(r, scene.terrain, size)
    else:
        second = _object(r, r.choice(held()), size)
    if second.name == first.name:
        return scene
    first = replace(first, pose="walking" if relation == "beside" else "")
    return _set(r, scene, (first, second), relation)


def _set(r: random.Random, scene: Scene, items: tuple[SceneObject, ...], relation: str) -> Scene:
    """The scene with these objects, before a background in a colour that they do not have."""
    back, ground = scene.background, scene.ground
    taken = colours_in(items)
    if back and back in taken:
        back = r.choice([name for name in ("white", "beige", "teal", "pink") if name not in taken])
        ground = "plain"
    return replace(scene, objects=items, relation=relation, background=back, ground=ground)


def _actor(r: random.Random, size: float) -> SceneObject:
    if r.random() < PERSON_SHARE:
        return person(r, size, countable=True)
    return _object(r, things.BY_NAME[r.choice(ACTORS)], size, 0.15)


def _mount(r: random.Random, terrain: str, size: float) -> SceneObject:
    """Something to ride: at sea what floats, on land what walks or rolls."""
    names = RIDEABLE
    if terrain in SEAS:
        names = AT_SEA
    elif terrain:
        names = tuple(n for n in names if things.BY_NAME[n].place != "w" and n not in AT_SEA)
    name = r.choices(names, [MOUNT_WEIGHTS.get(name, 1.0) for name in names])[0]
    return _object(r, things.BY_NAME[name], size, 0.5 if name in BOARDS else TINTED)


def _object(
    r: random.Random, row: things.Thing, size: float, tinted: float = TINTED
) -> SceneObject:
    look = things.looks_in(row, "pair")[0]
    colour = r.choice(COLOURS) if row.recolourable and r.random() < tinted else ""
    return SceneObject(row.name, look, colour, row.place, 1, size, False)
