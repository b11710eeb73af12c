"""Random scenes of one thing: alone, counted, small or large, close up, or repeated.

The ground is simple. `grammar` knows which names are uncountable.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

from daguerre.models.embedded.drawing import figures, things
from daguerre.models.embedded.drawing.grounds import PATTERNED
from daguerre.models.embedded.drawing.objects import bounds
from daguerre.models.embedded.drawing.palette import BACKS
from daguerre.models.embedded.drawing.scene import SPOTS, Scene, SceneObject
from training.grammar import DEFINITE, UNCOUNTED
from training.scenes.people import person
from training.scenes.sample import available, colours_in, one_of, pick, placed, sample_thing

GLOWING_SHARE = 0.06  # of single things
PATTERNED_SHARE = 0.12  # of grounds behind things
PEOPLE_SHARE = 0.6  # of portraits
# Sizes as shares of the short side.
STATURES = {
    "tiny": (0.13, 0.19),
    "small": (0.22, 0.32),
    "": (0.30, 0.42),
    "big": (0.86, 0.93),
    "giant": (0.98, 1.12),
}
# Statures of two objects beside each other.
CONTRASTS = (
    *(("tiny", "giant"), ("giant", "tiny"), ("big", "small"), ("small", "big")),
    *(("tiny", "giant"), ("giant", "tiny"), ("big", "small"), ("small", "big")),
    *(("tiny", ""), ("", "tiny"), ("small", ""), ("", "small")),
    *(("giant", ""), ("", "giant"), ("big", ""), ("", "big")),
)
CONTRASTED = 0.22  # share of pairs that have them
# Tags and words of things that look odd when they are counted or set beside others.
ODD = frozenset("symbol body people couple men women family of two bubble cloud crowd".split())
# Icons of animals that show the head alone, besides those that are called a face.
HEADS = ("fox", "lion", "frog", "bear", "koala", "panda", "polar-bear", "wolf", "unicorn")


@lru_cache(maxsize=1)
def countable() -> tuple[things.Thing, ...]:
    """Things that can be counted: their names are neither uncountable nor plural."""
    return tuple(
        t
        for t in available()
        if t.name not in UNCOUNTED
        and t.name not in DEFINITE
        and (not t.name.endswith("s") or t.name.endswith(("ss", "us")))
        and not ODD & {*t.tags, *t.name.split()}
    )


@lru_cache(maxsize=1)
def counted() -> frozenset[str]:
    """The names of countable things."""
    return frozenset(t.name for t in countable())


def in_contrast(
    r: random.Random, items: tuple[SceneObject, ...], sizes: Mapping[str, tuple[float, float]]
) -> tuple[SceneObject, ...]:
    """The objects, in a share of pairs with different statures, in the sizes (stature -> range)."""
    if len(items) != 2 or any(item.count != 1 for item in items) or r.random() >= CONTRASTED:
        return items
    statures = r.choice(CONTRASTS)
    return tuple(
        replace(item, stature=stature, size=r.uniform(*sizes[stature]))
        for item, stature in zip(items, statures, strict=True)
    )


def ground_of(
    r: random.Random, items: Sequence[SceneObject], floor: bool = True, plain: bool = False
) -> tuple[str, str]:
    """Background and ground that none of the things is lost on."""
    taken = colours_in(items)
    weights = {"white": 3.0, "blue": 2.0, "black": 0.5}
    back = pick(r, {name: weights.get(name, 1.0) for name in BACKS if name not in taken})
    if r.random() < PATTERNED_SHARE and not plain:
        return back, r.choice(PATTERNED)
    if back == "white" and r.random() < 0.6:
        return back, "plain"
    floors = floor and not any(t.place == "s" for t in items)
    return back, pick(r, {"plain": 1.0, "gradient": 1.2, "floor": 1.2 if floors else 0.0})


def sample_alone(r: random.Random, width: int, height: int) -> Scene:
    """One large thing, sometimes before a pattern or glowing in the dark."""
    scene = sample_thing(r, width, height)
    chance = r.random()
    if chance < GLOWING_SHARE:
        lit = replace(scene.objects[0], glowing=True, size=min(0.62, scene.objects[0].size))
        is_person = things.BY_NAME[lit.name].kind == "p"
        if lit.colour not in ("black", "gray", "brown") and not is_person:
            return replace(scene, objects=(lit,), background="black", ground="dark")
    if chance > 1 - PATTERNED_SHARE:
        return replace(scene, ground=r.choice(PATTERNED))
    return scene


def sample_group(r: random.Random, width: int, height: int) -> Scene:
    """Two to seven of a thing, sometimes just one, so that "one" is learned too."""
    count = r.choices(range(1, 8), (0.08, 0.21, 0.21, 0.15, 0.13, 0.11, 0.11))[0]
    item = placed(r, one_of(r, countable()), r.uniform(0.74, 0.9), count)
    back, ground = ground_of(r, (item,))
    seed = r.getrandbits(32)
    return Scene("group", width, height, seed, objects=(item,), background=back, ground=ground)


def sample_spot(r: random.Random, width: int, height: int) -> Scene:
    """A thing of unusual size, or one in some part of the frame."""
    stature = pick(r, {"tiny": 1.1, "small": 0.7, "": 1.6, "big": 0.7, "giant": 1.1})
    item = placed(r, one_of(r, available()), r.uniform(*STATURES[stature]))
    placed_apart = stature == "" or (stature in ("tiny", "small") and r.random() < 0.4)
    item = replace(item, stature=stature, spot=r.choice(tuple(SPOTS)) if placed_apart else "")
    back, ground = ground_of(r, (item,), floor=not item.spot and stature in ("tiny", "small"))
    seed = r.getrandbits(32)
    return Scene("spot", width, height, seed, objects=(item,), background=back, ground=ground)


@lru_cache(maxsize=1)
def _faces() -> tuple[tuple[things.Thing, tuple[tuple[str, str], ...]], ...]:
    """People and animals with those looks that show a head."""
    found = []
    for row in available():
        names = {*row.tags, *row.name.split()}
        heads = tuple(
            look
            for look in things.looks_in(row, "portrait")
            if (row.kind == "p" and row.place != "s" and _is_bust(look) and not ODD & names)
            or (row.kind == "a" and (look[1].endswith("-face") or look[1] in HEADS))
        )
        if heads:
            found.append((row, heads))
    return tuple(found)


def _is_bust(look: tuple[str, str]) -> bool:
    """True when a look is about as wide as high, as heads and busts are, and not a figure."""
    if look[0] == figures.FIGURE:
        return False
    left, top, right, bottom = bounds(look)
    return right - left > 0.72 * (bottom - top)


def sample_portrait(r: random.Random, width: int, height: int) -> Scene:
    """A head so large that the frame cuts it."""
    size = r.uniform(1.05, 1.3) * (1.0 if width >= height else 1.1)
    if r.random() < PEOPLE_SHARE:
        item = replace(person(r, size, countable=True), pose="")
    else:
        faces = _faces()
        row, heads = r.choices(faces, [t.weight for t, _ in faces])[0]
        item = SceneObject(row.name, r.choice(heads), "", row.place, 1, size, r.random() < 0.5)
    back, ground = ground_of(r, (item,), floor=False)
    seed = r.getrandbits(32)
    return Scene("portrait", width, height, seed, objects=(item,), background=back, ground=ground)


def sample_pattern(r: random.Random, width: int, height: int) -> Scene:
    """A thing, or two by turns, repeated all over the picture."""
    rows = [t for t in countable() if t.kind not in "bp"]
    first = one_of(r, rows)
    items = [replace(placed(r, first, 1.0), count=0)]
    if r.random() < 0.35:
        others = [t for t in rows if t.kind == first.kind and t.name != first.name] or rows
        items.append(replace(placed(r, one_of(r, others), 1.0), count=0))
    back, _ = ground_of(r, items, plain=True)
    seed = r.getrandbits(32)
    return Scene(
        "pattern", width, height, seed, objects=tuple(items), background=back, ground="plain"
    )
