"""Random scenes with things in landscapes: one or more of a kind, several kinds, and relations.

The weather is more frequent than in empty landscapes.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from daguerre.models.embedded.drawing import things
from daguerre.models.embedded.drawing.palette import GLOWS
from daguerre.models.embedded.drawing.scene import TIMELESS, WATERS, Scene, SceneObject
from training.scenes.company import another, related_rows
from training.scenes.containers import TINTED, sample_inside, with_stand
from training.scenes.crowd import STATURES, countable, counted, in_contrast
from training.scenes.sample import (
    CROWDED,
    GLOWING,
    available,
    fitting,
    one_of,
    pick,
    placed,
    sample_landscape,
)

# Shares of scenes on the ground; the rest shows one kind of thing.
TOGETHER, RELATED, MANY_KINDS, AIRBORNE = 0.22, 0.22, 0.06, 0.05
MUSHROOMS_IN_THE_DARK = 0.25
WEATHERED = 0.2  # share of scenes that are certain to have rain, snow or the like
RELATIONS = {"and": 2.2, "beside": 0.8, "left": 1.0, "right": 1.0, "above": 0.9}
# Sizes of two objects by stature, as shares of the short side.
SIZES = {
    **{"tiny": (0.09, 0.13), "small": (0.15, 0.2), "": (0.24, 0.34)},
    **{"big": (0.38, 0.44), "giant": (0.5, 0.62)},
}
TOUCHING = {"in": 2.4, "on": 1.0, "under": 1.2, "front": 1.2, "behind": 1.0, "between": 0.6}


def sample_mixed(r: random.Random, width: int, height: int) -> Scene:
    """Things in a landscape: some of one, several kinds, one that flies, glows or is reflected."""
    scene = sample_landscape(r, width, height, "mixed")
    again = r.random() < WEATHERED
    while scene.terrain in CROWDED or (again and scene.weather in ("", "clear")):
        scene = sample_landscape(r, width, height, "mixed")
    has_ground = scene.terrain not in (*WATERS, "underwater", "space", "city")
    is_dark = scene.time in ("night", "dusk")
    chance = r.random()
    if has_ground and is_dark and chance < MUSHROOMS_IN_THE_DARK:
        return replace(scene, objects=(_glowing_mushrooms(r),))
    chance = r.random()
    if has_ground and chance < TOGETHER:
        return together(r, scene)
    if has_ground and chance < TOGETHER + RELATED:
        return related(r, scene)
    if has_ground and chance < TOGETHER + RELATED + MANY_KINDS:
        return _several_kinds(r, scene)
    if scene.terrain in ("lake", "sea") and chance < 0.35:
        floating = one_of(r, [t for t in available() if t.place == "w"])
        item = placed(r, floating, r.uniform(0.3, 0.45))
        return replace(scene, objects=(replace(item, is_reflected=True),))
    if scene.terrain not in TIMELESS and chance > 1 - AIRBORNE:
        walkers = [t for t in countable() if t.kind in "avp" and t.place == "g"]
        item = placed(r, one_of(r, walkers), r.uniform(0.26, 0.4))
        return replace(scene, objects=(replace(item, place="s"),))
    return replace(scene, objects=(_some(r, scene, is_dark),))


def _glowing_mushrooms(r: random.Random) -> SceneObject:
    look, colour = ("glow", "mushroom"), r.choice(tuple(GLOWS))
    count, size = _count_and_size(r)
    return SceneObject("glowing mushroom", look, colour, "g", count, size, False, True)


def _count_and_size(r: random.Random) -> tuple[int, float]:
    count = r.choices((1, 2, 3, 4, 5, 6, 7), (0.6, 0.11, 0.11, 0.06, 0.05, 0.035, 0.035))[0]
    smallest, largest = (0.28, 0.45) if count == 1 else (0.2, 0.3) if count < 4 else (0.16, 0.21)
    return count, r.uniform(smallest, largest)


def _some(r: random.Random, scene: Scene, is_dark: bool) -> SceneObject:
    """One to seven of a thing that fits the landscape, sometimes of another size or on a side."""
    rows = fitting(scene.terrain, scene.time)
    thing = r.choices(rows, [t.weight * (1.5 if t.kind == "a" else 1) for t in rows])[0]
    count, size = _count_and_size(r)
    if count > 1 and thing.name not in counted():
        count, size = 1, 0.35
    item = placed(r, thing, size, count)
    place = {"space": "s", "underwater": "u"}.get(scene.terrain, thing.place)
    glows = is_dark and (thing.name in GLOWING or r.random() < 0.1)
    item = replace(item, place=place, glowing=glows)
    chance = r.random()
    if count > 1 or chance < 0.75:
        return item
    if chance < 0.87:
        return replace(item, spot=r.choice(("left", "right")), size=r.uniform(0.24, 0.34))
    stature = r.choice(("tiny", "giant"))
    low, high = STATURES["tiny"] if stature == "tiny" else (0.62, 0.74)
    return replace(item, stature=stature, size=r.uniform(low, high))


def walkers(scene: Scene) -> list[things.Thing]:
    """Countable things that fit a landscape, on its ground."""
    rows = [t for t in fitting(scene.terrain, scene.time) if t.name in counted()]
    return [t for t in rows if t.place == "g"]


def together(r: random.Random, scene: Scene) -> Scene:
    """Two different things in a landscape."""
    rows = [t for t in fitting(scene.terrain, scene.time) if t.name in counted()]
    relation = pick(r, RELATIONS)
    ground = walkers(scene)
    first = one_of(r, [t for t in rows if t.place == "s"] if relation == "above" else ground)
    second = another(r, ground, first)
    size = r.uniform(0.24, 0.34)
    items = tuple(placed(r, t, size, 1, TINTED) for t in (first, second))
    if relation != "above":
        items = in_contrast(r, items, SIZES)
    return replace(scene, objects=items, relation=relation)


def related(r: random.Random, scene: Scene) -> Scene:
    """Things in a landscape of which one hides, carries or contains the other."""
    relation = pick(r, TOUCHING)
    if relation == "in":
        return replace(scene, objects=with_stand(r, sample_inside(r)), relation=relation)
    first, second = related_rows(r, relation)
    chosen = [first, second]
    if relation == "between":
        ground = walkers(scene)
        first = one_of(r, ground)
        second = another(r, ground, first)
        chosen = [first, second, another(r, ground, first, second)]
    items = tuple(placed(r, t, r.uniform(0.85, 1.0), 1, TINTED) for t in chosen)
    if relation == "on" and first.name in counted() and r.random() < 0.25:
        items = (replace(items[0], count=r.choice((2, 3))), *items[1:])
    return replace(scene, objects=items, relation=relation)


def _several_kinds(r: random.Random, scene: Scene) -> Scene:
    """Three to five different things side by side."""
    ground: Sequence[things.Thing] = walkers(scene)
    chosen = [one_of(r, ground)]
    for _ in range(r.choices((2, 3, 4), (0.6, 0.25, 0.15))[0]):
        chosen.append(another(r, ground, *chosen))
    items = tuple(placed(r, t, r.uniform(0.85, 1.0), 1, TINTED) for t in chosen)
    return replace(scene, objects=items, relation="and")
