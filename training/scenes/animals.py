"""Random scenes of animals that eat, catch, carry or chase something, and of fishing."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import lru_cache

from daguerre.models.embedded.drawing import things
from daguerre.models.embedded.drawing.scene import SceneObject
from training.scenes.people import person
from training.scenes.sample import placed

_TABLE = """
cat: fish, fish, mouse, yarn, yarn, yarn, ball, milk, shrimp, butterfly, pizza
black cat: fish, mouse, yarn, ball
dog: frisbee, frisbee, frisbee, bone, bone, ball, ball, tennis ball, sausage, meat on a bone, shoe,
 newspaper, hat, soccer ball, rose, hot dog, teddy bear, carrot
poodle: bone, ball, frisbee, rose
service dog: frisbee, ball, bone, tennis ball, newspaper
rabbit: carrot, carrot, carrot, lettuce, strawberry, cabbage, flower, apple
hamster: carrot, peanuts, strawberry, cookie, corn
mouse: cheese, cheese, corn, bread, cookie, strawberry
rat: cheese, pizza, bread, corn
squirrel: acorn, acorn, chestnut, peanuts, mushroom
beaver: leaf, apple
monkey: banana, banana, banana, coconut, mango, apple, orange, watermelon
gorilla: banana, bamboo, apple, leaf
orangutan: banana, mango, orange
bear: fish, fish, fish, honey, honey, apple, strawberry
polar bear: fish, fish, ice cream
panda: bamboo, bamboo, bamboo, apple, leaf
koala: leaf, leaf, herb
bird: worm, worm, worm, cherries, bread, leaf, fly, envelope
raven: worm, cheese, cherries, bread
hen: worm, corn, bread
seagull: fish, fish, french fries, bread, ice cream
pigeon: bread, bread, envelope
parrot: peanuts, grapes, mango, banana
eagle: fish, mouse, snake
owl: mouse, mouse, envelope, book
penguin: fish, fish, ice cream, shrimp
duck: bread, worm, fish
goose: bread, leaf
tiger: meat on a bone, steak, ball
leopard: meat on a bone, steak
lion: meat on a bone, steak, ball
wolf: bone, meat on a bone, steak
fox: grapes, fish, egg, hen, chicken leg
raccoon: pizza, donut, cookie, fish, hamburger
otter: fish, fish, oyster, crab
hedgehog: apple, apple, mushroom, strawberry
skunk: apple, egg
goat: leaf, hat, flower, apple
horse: apple, apple, carrot, carrot
cow: flower, leaf, apple, daisy
pig: apple, corn, pumpkin, potato
deer: leaf, apple, flower, mushroom
giraffe: leaf, leaf, leaf
elephant: peanuts, watermelon, banana, ball, apple
crocodile: fish, meat on a bone
t-rex: meat on a bone, steak, hamburger
shark: fish, fish
dolphin: fish, ball
seal: ball, ball, fish
sheep: leaf, flower, herb
turtle: lettuce, strawberry, leaf
frog: fly, fly, butterfly
llama: leaf, carrot
snake: egg, mouse, apple
dinosaur: leaf, leaf, bamboo
"""
FISHERS = ("bear", "bear", "bear", "cat", "penguin", "dog", "fox", "frog", "raccoon", "polar bear")
# Pairs of which the first chases the second.
CHASES = (
    "cat butterfly,cat butterfly,dog butterfly,cat bird,dog bird,dog bee,frog fly,bear bee,"
    "dog cat,dog cat,dog cat,cat mouse,cat mouse,dog rabbit,fox hen,fox rabbit,wolf sheep,"
    "wolf deer,tiger deer,lion zebra,dog squirrel,cat hen,leopard deer,bear fox,dog horse,"
    "cat rat,dog sheep,wolf rabbit,crocodile zebra,t-rex goat,cat dog,mouse cat,pig dog,"
    "rooster cat,dog chick,fox mouse,elephant mouse"
).split(",")
ANY_FOOD, ANY_PAIR = 0.15, 0.35  # shares of food that is not usual, and of other animals
TINTED = 0.2


def _read() -> dict[str, tuple[str, ...]]:
    rows = (line.partition(": ") for line in _TABLE.replace("\n ", " ").strip().splitlines())
    return {name: tuple(said.split(", ")) for name, _, said in rows}


USUAL = _read()


@lru_cache(maxsize=1)
def _foods() -> tuple[things.Thing, ...]:
    return tuple(t for t in things.THINGS if t.kind == "f" and things.looks(t))


@lru_cache(maxsize=1)
def _walkers() -> tuple[str, ...]:
    return tuple(name for name in USUAL if things.BY_NAME[name].place == "g")


def feeding(r: random.Random, size: float) -> tuple[SceneObject, SceneObject]:
    """An animal and what it has in its mouth or between its paws."""
    weights = [len(names) for names in USUAL.values()]
    animal = r.choices(tuple(USUAL), weights)[0]
    second = things.BY_NAME[r.choice(USUAL[animal])]
    if r.random() < ANY_FOOD:
        second = r.choice(_foods())
    return _first(r, animal, size), _first(r, second.name, size)


def fishing(r: random.Random, size: float) -> tuple[SceneObject, SceneObject]:
    """Somebody with a fishing rod."""
    is_animal = r.random() < 0.6
    fisher = _first(r, r.choice(FISHERS), size) if is_animal else person(r, size, countable=True)
    return replace(fisher, pose=""), _first(r, "fishing rod", size)


def chasing(r: random.Random, size: float, side: str) -> tuple[SceneObject, ...]:
    """Two animals that run the same way; the first one, which is behind, is on the side."""
    first, _, second = r.choice(CHASES).rpartition(" ")
    if r.random() < ANY_PAIR:
        first, second = r.sample(_walkers(), 2)
    both = (_first(r, name, size * r.uniform(0.9, 1.0)) for name in (first, second))
    return tuple(replace(item, flip=side == "left") for item in both)


def _first(r: random.Random, name: str, size: float) -> SceneObject:
    """An object in its first look, which faces left."""
    row = things.BY_NAME[name]
    item = placed(r, row, size, 1, TINTED)
    return replace(item, look=things.looks_in(row, "pair")[0], flip=False)
