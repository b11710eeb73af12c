"""Random scenes with objects in a relation, and with objects in landscapes.

The relation is sampled first, then objects that suit it: something to sit on, something to be
under, something large enough to be visible behind another.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from daguerre.models.embedded.drawing import things
from daguerre.models.embedded.drawing.arrangement import COVERS, SEATS, TALL_COVERS
from daguerre.models.embedded.drawing.palette import GLOWS
from daguerre.models.embedded.drawing.scene import TIMELESS, WATERS, Scene, SceneObject
from training.scenes.crowd import STATURES, countable, counted, ground_of
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

RELATION_WEIGHTS = {
    "and": 2.6,
    "beside": 1.2,
    "left": 2.2,
    "right": 2.2,
    "above": 1.3,
    "below": 1.0,
    "on": 1.1,
    "under": 1.0,
    "front": 0.9,
    "behind": 0.9,
    "between": 1.1,
}
COLUMNS = ("above", "below", "on", "under")  # relations that need height; the others need width
MANY = ("and", "beside", "left", "right")  # relations of several copies
TINTED = 0.65  # of things in company are recoloured
BOTH_TINTED = 0.35  # of pairs have all their things recoloured that can be


@lru_cache(maxsize=4096)
def _words(thing: things.Thing) -> frozenset[str]:
    return frozenset(word for name in (thing.name, *thing.synonyms) for word in name.split())


def another(r: random.Random, rows: Sequence[things.Thing], *taken: things.Thing) -> things.Thing:
    """One of the rows that shares no word with those taken, often of the first one's kind."""
    near = [t for t in rows if t.kind == taken[0].kind]
    pool = near if len(near) > 8 and r.random() < 0.4 else rows
    used = frozenset().union(*map(_words, taken))
    for _ in range(30):
        found = one_of(r, pool)
        if not _words(found) & used:
            return found
    return one_of(r, [t for t in rows if not _words(t) & used])


def sample_pair(r: random.Random, width: int, height: int) -> Scene:
    """Two or three things on simple ground, in a relation that suits the frame."""
    weights = dict(RELATION_WEIGHTS)
    for name in weights:
        if (width / height < 0.6 and name not in COLUMNS) or (
            width / height > 2 and name in COLUMNS
        ):
            weights[name] *= 0.4
    relation = pick(r, weights)
    items = _items(r, relation)
    floor = relation not in ("above", "below")
    back, ground = ground_of(r, items, floor)
    seed = r.getrandbits(32)
    return Scene(
        "pair",
        width,
        height,
        seed,
        objects=items,
        background=back,
        ground=ground,
        relation=relation,
    )


def _items(r: random.Random, relation: str) -> tuple[SceneObject, ...]:
    """Objects that suit a relation, the one that captions name first at the start."""
    rows = countable()
    first, second = _rows_of(r, relation)
    counts = (1, 1)
    others: list[things.Thing] = []
    chance = r.random()
    if relation == "between":
        if chance < 0.5:
            counts = (1, 2)
        else:
            others = [another(r, rows, first, second)]
    elif relation in MANY and chance < (0.25 if relation == "and" else 0.12):
        counts = _two_counts(r)
    elif relation == "and" and chance < 0.45:
        others = [another(r, rows, first, second)]
    pairs = zip((first, second, *others), (*counts, 1), strict=False)
    share = 1.0 if r.random() < BOTH_TINTED else TINTED
    return tuple(placed(r, t, r.uniform(0.85, 1.0), n, share) for t, n in pairs)


def _two_counts(r: random.Random) -> tuple[int, int]:
    """How many there are of two objects: up to seven of one, up to nine of both."""
    while True:
        first, second = r.choices(range(1, 8), (5, 5, 4, 3, 2, 1, 1), k=2)
        if 2 < first + second < 10:
            return first, second


def _rows_of(r: random.Random, relation: str) -> tuple[things.Thing, things.Thing]:
    rows = countable()
    small = [t for t in rows if t.kind in "afop" and t.place != "s"]
    if relation == "on":
        seat = one_of(r, [t for t in rows if t.name in SEATS])
        return another(r, [t for t in small if t.kind != "p"], seat), seat
    if relation == "under":
        cover = one_of(r, [t for t in rows if t.name in (*COVERS, *TALL_COVERS)])
        below = small if cover.name in TALL_COVERS else [t for t in rows if t.place in "gi"]
        return another(r, below, cover), cover
    if relation in ("front", "behind"):
        large = one_of(r, [t for t in rows if t.kind in "bvn" and t.place == "g"])
        near = another(r, small, large)
        return (near, large) if relation == "front" else (large, near)
    first = one_of(r, rows)
    if relation == "above" and r.random() < 0.5:
        first = one_of(r, [t for t in rows if t.place == "s"])
    return first, another(r, rows, first)


def sample_mixed(r: random.Random, width: int, height: int) -> Scene:
    """Things in a landscape: some of one, two together, one that flies, glows or is reflected."""
    scene = sample_landscape(r, width, height, "mixed")
    while scene.terrain in CROWDED:
        scene = sample_landscape(r, width, height, "mixed")
    has_ground = scene.terrain not in (*WATERS, *TIMELESS, "city")
    is_dark = scene.time in ("night", "dusk")
    chance = r.random()
    if has_ground and is_dark and chance < 0.35:
        return replace(scene, objects=(_glowing_mushrooms(r),))
    if has_ground and chance > 0.82:
        return _together(r, scene)
    if scene.terrain in ("lake", "sea") and chance > 0.6:
        floating = one_of(r, [t for t in available() if t.place == "w"])
        item = placed(r, floating, r.uniform(0.3, 0.45))
        return replace(scene, objects=(replace(item, is_reflected=True),))
    if scene.terrain not in TIMELESS and chance > 0.73:
        walkers = [t for t in countable() if t.kind in "avp" and t.place == "g"]
        item = placed(r, one_of(r, walkers), r.uniform(0.26, 0.4))
        return replace(scene, objects=(replace(item, place="s"),))
    return replace(scene, objects=(_some(r, scene, is_dark),))


def _glowing_mushrooms(r: random.Random) -> SceneObject:
    look, colour = ("glow", "mushroom"), r.choice(tuple(GLOWS))
    count, size = _count_and_size(r)
    return SceneObject("glowing mushroom", look, colour, "g", count, size, False, True)


def _count_and_size(r: random.Random) -> tuple[int, float]:
    count = r.choices((1, 2, 3, 4, 5), (0.64, 0.12, 0.12, 0.06, 0.06))[0]
    smallest, largest = (0.28, 0.45) if count == 1 else (0.2, 0.3) if count < 4 else (0.15, 0.19)
    return count, r.uniform(smallest, largest)


def _some(r: random.Random, scene: Scene, is_dark: bool) -> SceneObject:
    """One to five of a thing that fits the landscape, at times of a size or on a side."""
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


def _together(r: random.Random, scene: Scene) -> Scene:
    """Two different things in a landscape."""
    rows = [t for t in fitting(scene.terrain, scene.time) if t.name in counted()]
    relation = pick(r, {"and": 1.4, "beside": 1.0, "left": 1.2, "right": 1.2, "above": 1.2})
    ground = [t for t in rows if t.place == "g"]
    first = one_of(r, [t for t in rows if t.place == "s"] if relation == "above" else ground)
    second = another(r, ground, first)
    size = r.uniform(0.24, 0.34)
    items = tuple(placed(r, t, size, 1, TINTED) for t in (first, second))
    return replace(scene, objects=items, relation=relation)
