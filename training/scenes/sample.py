"""Chance: what a scene shows, drawn from weights, so that things and landscapes fit each other.

Everything that a caption may say is decided here, and a seed for the layout. Without the art
cache only landscapes are drawn. Nothing here draws pictures.
"""

from __future__ import annotations

import random
from dataclasses import replace
from functools import lru_cache

import numpy as np

from training import assets, things
from training.recolouring import COLOURS
from training.scenes.palette import BACKS, GLOWS
from training.scenes.scene import TIMELESS, WATERS, Placed, Scene

# Every terrain, and how often it is drawn.
TERRAINS = {
    "mountains": 4.5,
    "hills": 1.3,
    "desert": 1.2,
    "river": 1.1,
    "forest": 1.6,
    "meadow": 1.2,
    "jungle": 0.7,
    "snowfield": 1.1,
    "canyon": 0.9,
    "volcano": 0.7,
    "waterfall": 0.7,
    "road": 0.9,
    "village": 1.1,
    "city": 1.5,
    "sea": 1.5,
    "beach": 1.2,
    "lake": 1.5,
    "islands": 0.9,
    "underwater": 1.0,
    "space": 1.1,
    "mushrooms": 2.6,
    "flowers": 0.5,
}
# How likely the sun is seen at an hour, under a sky without clouds.
SUNS = {"dawn": 0.6, "day": 0.4, "sunset": 0.85}
ICONIC_SHARE = 0.62  # of single things, in the narrowed domain
GLOWING_TERRAINS = ("mushrooms", "flowers")
SEASONAL = ("mountains", "hills", "river", "forest", "lake", "road", "village", "waterfall")
SNOWLESS = ("desert", "jungle", "beach", "islands", "canyon", "volcano")
CROWDED = ("mushrooms", "volcano", "waterfall", "jungle")  # no room for a thing in front
IN_SPACE = ("rocket", "ufo", "astronaut", "planet", "alien", "star", "moon", "robot")
SKY_ONLY_BY_DAY = ("bee", "butterfly", "dove", "kite", "parachute")
GLOWING = ("lantern", "pumpkin")


def sample_scene(rng: np.random.Generator, aspect: tuple[int, int], iconic: bool = False) -> Scene:
    """Draw a scene of a full size (width, height); the art cache decides if things can occur.

    `iconic` narrows the domain for a small budget: the best known things alone, one look of each,
    and landscapes without things.
    """
    r = random.Random(int(rng.integers(2**63)))
    kind = r.random()
    if iconic and _available():
        if kind < ICONIC_SHARE:
            return sample_thing(r, *aspect, iconic=True)
        return sample_landscape(r, *aspect, "landscape")
    if not _available():
        return sample_landscape(r, *aspect, "landscape")
    if kind < 0.40:
        return sample_thing(r, *aspect)
    if kind < 0.75:
        return sample_landscape(r, *aspect, "landscape")
    return sample_mixed(r, *aspect)


def pick(r: random.Random, weights: dict[str, float]) -> str:
    """One of the names, as often as its weight says."""
    return r.choices(tuple(weights), tuple(weights.values()))[0]


@lru_cache(maxsize=1)
def _available() -> tuple[things.Thing, ...]:
    return tuple(t for t in things.THINGS if things.looks(t)) if assets.present() else ()


def _colour_of(r: random.Random, thing: things.Thing, share: float = 0.55) -> str:
    return r.choice(COLOURS) if thing.recolourable and r.random() < share else ""


def sample_thing(r: random.Random, width: int, height: int, iconic: bool = False) -> Scene:
    rows = [t for t in _available() if t.name in things.ICONIC or not iconic]
    thing = r.choices(rows, [t.weight for t in rows])[0]
    look = things.looks(thing)[0] if iconic else r.choice(things.looks(thing))
    colour = _colour_of(r, thing, 0.3) if iconic else _colour_of(r, thing)
    wide = min(0.95, 0.8 * max(width, height) / min(width, height))
    size = r.uniform(0.55, min(0.8, wide))
    flip = r.random() < 0.5 and thing.kind in "av"
    item = Placed(thing.name, look, colour, thing.place, 1, size, flip)
    back = pick(r, {name: (3.0 if name in ("white", "blue") else 1.0) for name in BACKS})
    if back in (colour, thing.colour):
        back = "white" if colour != "white" else "blue"
    grounds = {"plain": 1.0}
    if back != "white" or r.random() >= 0.7:
        floor = 0.0 if thing.place == "s" else 1.3
        grounds |= {"gradient": 1.2, "floor": floor, "circle": 0.6}
    seed = r.getrandbits(32)
    ground = pick(r, grounds)
    return Scene("thing", width, height, seed, things=(item,), background=back, ground=ground)


def sample_landscape(r: random.Random, width: int, height: int, kind: str) -> Scene:
    terrain = pick(r, TERRAINS)
    seed = r.getrandbits(32)
    if terrain in TIMELESS:
        return Scene(kind, width, height, seed, terrain=terrain)
    time = pick(r, _times(terrain))
    weather = _sample_weather(r, terrain, time)
    season = _sample_season(r, terrain)
    if terrain == "meadow" and weather == "snow":
        weather = "clear"
    if weather == "snow" and season:
        season = "winter"
    has_sun = weather in ("clear", "rainbow") and time in SUNS and r.random() < SUNS[time]
    return Scene(
        kind,
        width,
        height,
        seed,
        r.randrange(60),
        time,
        weather,
        terrain,
        season,
        moon=time == "night" and weather in ("clear", "aurora") and r.random() < 0.6,
        sun=has_sun,
        glow=r.choice(tuple(GLOWS)) if terrain in GLOWING_TERRAINS else "",
    )


def _times(terrain: str) -> dict[str, float]:
    if terrain in GLOWING_TERRAINS:
        return {"night": 1.0}
    sunset = 5.0 if terrain == "mountains" else 2.4
    return {"dawn": 1.0, "day": 2.2, "sunset": sunset, "dusk": 1.0, "night": 2.0}


def _sample_weather(r: random.Random, terrain: str, time: str) -> str:
    wild = 0.25 if time == "sunset" or terrain == "mushrooms" else 0.45
    if r.random() >= wild:
        return "clear"
    if terrain in GLOWING_TERRAINS:
        return pick(r, {"aurora": 1.0, "fog": 0.5})
    options = {"cloudy": 1.2, "rain": 0.8, "snow": 0.8, "fog": 0.6, "storm": 0.5}
    if time in ("day", "dawn"):
        options["rainbow"] = 0.8
    if time == "night":
        options = {"cloudy": 0.8, "rain": 0.5, "snow": 0.6, "fog": 0.3, "storm": 0.5, "aurora": 1.6}
    if terrain in SNOWLESS:
        del options["snow"]
    return pick(r, options)


def _sample_season(r: random.Random, terrain: str) -> str:
    if terrain in SEASONAL:
        return r.choice(("spring", "summer", "autumn", "winter", "summer"))
    if terrain == "meadow":
        return r.choice(("spring", "summer", ""))
    return "winter" if terrain == "snowfield" else ""


def sample_mixed(r: random.Random, width: int, height: int) -> Scene:
    scene = sample_landscape(r, width, height, "mixed")
    while scene.terrain in CROWDED:
        scene = sample_landscape(r, width, height, "mixed")
    count = r.choices((1, 2, 3), (0.7, 0.14, 0.16))[0]
    size = r.uniform(0.28, 0.45) if count == 1 else r.uniform(0.2, 0.3)
    is_dark = scene.time in ("night", "dusk")
    has_ground = scene.terrain not in (*WATERS, *TIMELESS, "city")
    if has_ground and r.random() < (0.45 if is_dark else 0.0):
        look, colour = ("glow", "mushroom"), r.choice(tuple(GLOWS))
        item = Placed("glowing mushroom", look, colour, "g", count, size, False, True)
        return replace(scene, things=(item,))
    rows = _fitting(scene.terrain, scene.time)
    thing = r.choices(rows, [t.weight * (1.5 if t.kind == "a" else 1) for t in rows])[0]
    looks = things.looks(thing)
    item = Placed(
        thing.name,
        looks[r.randrange(len(looks))],
        _colour_of(r, thing),
        {"space": "s", "underwater": "u"}.get(scene.terrain, thing.place),
        count,
        size,
        r.random() < 0.5 and thing.kind in "av",
        thing.name in GLOWING and is_dark,
    )
    return replace(scene, things=(item,))


def _fitting(terrain: str, time: str) -> list[things.Thing]:
    rows = _available()
    if terrain == "space":
        return [t for t in rows if t.name in IN_SPACE]
    if terrain == "underwater":
        return [t for t in rows if t.place == "u" or t.name in ("whale", "dolphin", "turtle")]
    places = {"sea": "ws", "lake": "ws", "islands": "ws", "beach": "gs"}.get(terrain, "gs")
    found = [t for t in rows if t.place in places and t.kind != "k"]
    if time in ("night", "dusk", "sunset"):
        found = [t for t in found if t.name not in SKY_ONLY_BY_DAY]
    if terrain in ("city", "village"):
        found = [t for t in found if t.kind in "vaop"]
    return found
