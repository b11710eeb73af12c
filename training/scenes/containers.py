"""Random contents of containers: fruit in a bowl, an animal in a box, flowers in a vase.

Most contents are usual; a share is any small thing, so that unusual ones are learned too.
"""

from __future__ import annotations

import random
from collections.abc import Collection
from functools import lru_cache

from daguerre.models.embedded.drawing import things
from daguerre.models.embedded.drawing.scene import SceneObject
from daguerre.models.embedded.drawing.vessels import CROWNS
from training.scenes.crowd import countable
from training.scenes.sample import available, one_of, pick, placed

FRUIT = (
    "orange,apple,banana,pear,lemon,peach,strawberry,cherries,plum,tomato,egg,lime,mango,kiwi,"
    "green apple,potato,carrot,onion,grapes,coconut,pineapple,avocado,melon,blueberries,raspberry"
).split(",")
GOODS = (
    "cupcake,cookie,donut,croissant,bread,candy,popcorn,ball,tennis ball,soccer ball,baseball,"
    "flower,rose,tulip,sunflower,daisy,mushroom,seashell,book,teddy bear,toy blocks,gem,coin,"
    "pumpkin,corn,fish,rock,acorn,balloon,bouquet"
).split(",")
PETS = (
    "cat,dog,rabbit,hamster,mouse,chick,duck,black cat,hedgehog,turtle,frog,penguin,pig,squirrel,"
    "monkey,bear,panda,fox,teddy bear,robot,bird,owl,boy,girl"
).split(",")
FLOWERS = "tulip,rose,sunflower,daisy,flower,hibiscus,hyacinth,lotus,cherry blossom".split(",")
AT_SEA = "fish,tropical fish,turtle,octopus,pufferfish,crab,whale,shark,jellyfish".split(",")
ON_TREES = "apple,orange,lemon,cherries,pear,peach,mango,bird,owl,cat,monkey,squirrel,star".split(
    ","
)
# Lists of usual contents of each container, and how often each container is there.
CONTENTS: dict[str, tuple[list[str], ...]] = {
    "bowl": (FRUIT, FRUIT, GOODS),
    "basket": (FRUIT, FRUIT, GOODS, PETS),
    "bucket": (GOODS, PETS, FRUIT),
    "package": (PETS, PETS, GOODS),
    "crate": (FRUIT, GOODS, PETS),
    "vase": (FLOWERS,),
    "mug": (PETS, FLOWERS),
    "dinner plate": (
        (
            "cookie,cookie,croissant,cupcake,donut,sushi,dumpling,sandwich,taco,steak,sausage,"
            "chicken leg,fried egg,waffle,cheese,fried shrimp,hot dog,hamburger,falafel"
        ).split(","),
        FRUIT,
    ),
    "egg": ("dragon,dragon,dinosaur,chick,turtle,snake,crocodile,bird,penguin,duck".split(","),),
    "nest": ("egg,egg,bird,chick,owl,raven".split(","),),
    "wheelbarrow": (FRUIT, GOODS, PETS),
    "bathtub": (PETS,),
    "barrel": (FRUIT, PETS),
    "canoe": (PETS,),
    "fish bowl": (AT_SEA,),
    "jar": (FRUIT, "candy,cookie,bee,butterfly,heart,star,gem,beetle,frog".split(","), FLOWERS),
    "bottle": ("boat,boat,paper boat,star,flower,heart".split(","),),
    "tree": (ON_TREES,),
    "bare tree": (ON_TREES,),
    "fir tree": (ON_TREES,),
    "christmas tree": (ON_TREES,),
}
WEIGHTS = {name: 1.0 for name in CONTENTS} | {
    "bowl": 4.0,
    "dinner plate": 2.5,
    "egg": 0.5,
    "basket": 3.5,
    "package": 2.5,
    "vase": 3.0,
    "tree": 7.0,
    "fish bowl": 1.5,
    "bottle": 1.2,
    "christmas tree": 0.4,
    "fir tree": 0.4,
    "bare tree": 0.5,
}
ON_PLATES = ("sushi", "dumpling", "cookie", "falafel", "sausage", "chicken leg")
MANY = (*ON_PLATES, *FRUIT, *GOODS, *FLOWERS)  # what there is often much of
ROOMY = ("bowl", "basket", "bucket", "package", "crate", "wheelbarrow", "bathtub", "barrel", "jar")
# Containers that are too large for a table, and things that a container can be on.
LARGE = ("bucket", "nest", "egg", "wheelbarrow", "bathtub", "barrel", "canoe", *CROWNS)
OUTSIDE = ("canoe", "wheelbarrow", *CROWNS)
STANDS = ("bench", "bench", "table", "table", "chair", "desk", "tree stump", "rock")
ON_A_STAND = 0.38  # share of containers that are not large
UNUSUAL = 0.15  # share of contents of these that may be any small thing
TINTED = 0.65


@lru_cache(maxsize=64)
def usual(container: str) -> tuple[tuple[things.Thing, ...], ...]:
    """The things of each list of contents."""
    known = {t.name for t in available()}
    return tuple(
        tuple(things.BY_NAME[name] for name in names if name in known)
        for names in CONTENTS[container]
    )


@lru_cache(maxsize=1)
def small() -> tuple[things.Thing, ...]:
    return tuple(t for t in countable() if t.kind in "afo" and t.place in "giu")


def sample_inside(r: random.Random, without: Collection[str] = ()) -> tuple[SceneObject, ...]:
    """One to three kinds of things, and last what they are in, which is none of `without`."""
    containers = {name: w for name, w in WEIGHTS.items() if _known(name) and name not in without}
    name = pick(r, containers)
    rows = r.choice(usual(name))
    if r.random() < UNUSUAL and name in ROOMY:
        rows = small()
    first = one_of(r, rows)
    while first.name == name:
        first = one_of(r, rows)
    chosen = [first]
    two = [t for t in rows if t.name != first.name and t.kind == first.kind]
    if len(two) > 2 and r.random() < 0.2 and name not in ("bottle", "egg"):
        chosen.append(one_of(r, two))
    if len(chosen) == 2 and len(two) > 3 and r.random() < 0.3:
        chosen.append(one_of(r, [t for t in two if t.name != chosen[1].name]))
    counts = [_count(r, t.name, name, len(chosen)) for t in chosen]
    items = [
        placed(r, t, r.uniform(0.85, 1.0), n, TINTED) for t, n in zip(chosen, counts, strict=True)
    ]
    return (*items, placed(r, things.BY_NAME[name], 1.0, 1, TINTED))


def with_stand(r: random.Random, items: tuple[SceneObject, ...]) -> tuple[SceneObject, ...]:
    """A container and its contents, in a share of cases on a bench or the like."""
    if items[-1].name in LARGE or r.random() >= ON_A_STAND:
        return items
    return (*items, placed(r, things.BY_NAME[r.choice(STANDS)], 1.0, 1, TINTED / 2))


@lru_cache(maxsize=64)
def _known(name: str) -> bool:
    return name in things.BY_NAME and bool(things.looks(things.BY_NAME[name]))


def _count(r: random.Random, name: str, container: str, kinds: int) -> int:
    """How many there are; the counts of all kinds together are at most seven."""
    if container in ("bottle", "canoe", "bathtub", "egg"):
        return 1
    if kinds > 1:
        return r.choice((1, 1, 2))
    if container == "vase":
        return r.choices((1, 2, 3, 4, 5), (2, 1, 3, 1, 1))[0]
    if name in MANY or container in CROWNS or container == "nest":
        return r.choices((1, 2, 3, 4, 5, 6, 7), (1, 1, 2, 2, 2.5, 1.5, 1.5))[0]
    return r.choices((1, 2, 3), (0.8, 0.13, 0.07))[0]
