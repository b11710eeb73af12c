"""Dresses the people of a scene: their looks, with pose, outfit, hat, colour and a variant.

What a scene leaves open about its people comes from the seed of its layout.
"""

from __future__ import annotations

import random
from dataclasses import replace

from daguerre.models.embedded.drawing import art, figures
from daguerre.models.embedded.drawing.hatted import hatted
from daguerre.models.embedded.drawing.joining import is_joinable, joined, posed
from daguerre.models.embedded.drawing.people import PEOPLE
from daguerre.models.embedded.drawing.scene import WATERS, Scene, SceneObject

# The poses, outfits and hats of people; "" leaves them to the kind of person.
POSES = (
    *("sitting", "walking", "running", "waving", "jumping", "dancing", "reading", "sleeping"),
    *("cheering", "singing", "kneeling"),
)
OUTFITS = (
    *("dress", "suit", "coat", "armor", "uniform", "swimsuit", "kimono", "hoodie", "spacesuit"),
    *("robe", "sweater", "t-shirt", "shirt", "jacket", "gown", "apron", "overalls", "lab coat"),
    *("cape", "pyjamas", "raincoat"),
)
HATS = (
    *("top hat", "crown", "helmet", "cap", "wizard hat", "straw hat", "cowboy hat", "santa hat"),
    *("party hat", "chef hat", "pirate hat", "beanie", "glasses", "sunglasses", "scarf", "bow"),
    "headphones",
)
AT_SEA = tuple(terrain for terrain in WATERS if terrain != "beach")
NUM_VARIANTS = 500


def is_figure(item: SceneObject) -> bool:
    return item.look[0] == figures.FIGURE


def is_group(item: SceneObject) -> bool:
    """True for a figure that is several people."""
    return is_figure(item) and bool(PEOPLE[item.name].others)


def dressed(scene: Scene) -> Scene:
    """The scene with the looks of its people complete, and riders and holders joined to things."""
    r = random.Random(scene.seed)
    variants = [r.randrange(NUM_VARIANTS) for _ in scene.objects]
    items = list(scene.objects)
    is_joint = len(items) > 1 and is_joinable(scene.relation, items[0], items[1])
    if scene.lettering and scene.relation == "holding" and items and is_figure(items[0]):
        items[0] = replace(items[0], pose="showing")
    if is_joint:
        items[0] = posed(scene.relation, items[0], items[1])
    items = [_dressed(item, v) for item, v in zip(items, variants, strict=True)]
    relation = scene.relation
    if is_joint:
        both = joined(scene.relation, items[0], items[1])
        floats = scene.terrain in AT_SEA and both.place != "s"
        items[:2] = [replace(both, place="w") if floats else both]
        relation = "and" if len(items) > 1 else ""
    elif relation in ("holding", "riding") and len(items) > 1:
        relation = "beside"
    if tuple(items) == scene.objects:
        return scene
    return replace(scene, objects=tuple(items), relation=relation)


def _dressed(item: SceneObject, variant: int) -> SceneObject:
    if not is_figure(item):
        return hatted(item) if item.hat else item
    words = (item.look[1], item.pose, item.outfit, item.hat, item.colour, str(variant))
    return replace(item, look=(figures.FIGURE, "|".join(words)))


def varied(look: art.Look, number: int) -> art.Look:
    """Another person of the same kind, for the copies of an object."""
    name, icon = look
    if name != figures.FIGURE or not number:
        return look
    rest, _, variant = icon.rpartition("|")
    return name, f"{rest}|{(int(variant) + 31 * number) % NUM_VARIANTS}"
