"""Random scenes with objects in a relation, on simple ground.

The relation is sampled first, then objects that suit it: something to sit on, something to be
under, something large enough to be visible behind another.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import lru_cache

from daguerre.models.embedded.drawing import things
from daguerre.models.embedded.drawing.relations import COVERS, SEATS, TALL_COVERS
from daguerre.models.embedded.drawing.scene import Scene, SceneObject
from training.scenes.containers import TINTED, sample_inside, with_stand
from training.scenes.crowd import STATURES, countable, counted, ground_of, in_contrast
from training.scenes.foods import sample_topped
from training.scenes.sample import one_of, pick, placed

RELATION_WEIGHTS = {
    "and": 2.6,
    "beside": 1.2,
    "left": 2.2,
    "right": 2.2,
    "above": 1.3,
    "below": 1.0,
    "on": 1.6,
    "under": 1.0,
    "front": 0.9,
    "behind": 0.9,
    "between": 1.1,
    "in": 1.9,
}
COLUMNS = ("above", "below", "on", "under", "in")  # relations that need height; others need width
TOPPED = 0.45  # of what is on something is food on food
ON_BRIDGES = 0.1  # of what is on something is a vehicle on a bridge
LONG_SEATS = ("table", "desk", "bed", "bench", "bus", "delivery truck", "sofa")  # for five things
MANY = ("and", "beside", "left", "right")  # relations of several copies
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
    """Two to five things on simple ground, in a relation that suits the frame."""
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
    if relation == "in":
        return with_stand(r, sample_inside(r))
    if relation == "on" and r.random() < TOPPED:
        return sample_topped(r)
    first, second = related_rows(r, relation)
    chosen, counts = _more(r, relation, first, second)
    share = 1.0 if r.random() < BOTH_TINTED else TINTED
    items = tuple(
        placed(r, t, r.uniform(0.85, 1.0), n, share) for t, n in zip(chosen, counts, strict=True)
    )
    return in_contrast(r, items, STATURES) if relation in (*MANY, "above", "below") else items


def _more(
    r: random.Random, relation: str, first: things.Thing, second: things.Thing
) -> tuple[list[things.Thing], list[int]]:
    """The two things, sometimes with further ones, and the count of each."""
    rows, chance = countable(), r.random()
    if relation == "between":
        if chance < 0.5:
            return [first, second], [1, 2]
        return [first, second, another(r, rows, first, second)], [1, 1, 1]
    if relation in MANY and chance < (0.25 if relation == "and" else 0.12):
        return [first, second], list(_two_counts(r))
    if relation == "and" and chance < 0.5:
        chosen = [first, second]
        for _ in range(r.choices((1, 2, 3), (0.55, 0.25, 0.2))[0]):
            chosen.append(another(r, rows, *chosen))
        return chosen, [1] * len(chosen)
    if relation in ("on", "under") and chance < 0.3 and first.name in counted():
        long = relation == "on" and second.name in LONG_SEATS
        return [first, second], [r.choice((2, 3, 4, 5) if long else (2, 3)), 1]
    if relation in ("on", "under", "front") and chance < 0.42:
        small = [t for t in rows if t.kind == first.kind and t.place != "s"]
        return [first, another(r, small, first, second), second], [1, 1, 1]
    return [first, second], [1, 1]


def _two_counts(r: random.Random) -> tuple[int, int]:
    """How many there are of two objects: up to seven of one, up to nine of both."""
    while True:
        first, second = r.choices(range(1, 8), (5, 5, 4, 3, 2, 1, 1), k=2)
        if 2 < first + second < 10:
            return first, second


def related_rows(r: random.Random, relation: str) -> tuple[things.Thing, things.Thing]:
    """Two things that suit a relation."""
    rows = countable()
    small = [t for t in rows if t.kind in "afop" and t.place != "s"]
    if relation == "on" and r.random() < ON_BRIDGES:
        bridge = things.BY_NAME["bridge"]
        return another(r, [t for t in rows if t.kind == "v" and t.place == "g"], bridge), bridge
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
