"""Random single things and landscapes, by weight, and which things suit which landscape.

Everything that a caption may say is decided here, and the seed of the layout.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from functools import lru_cache

from daguerre.models.embedded.drawing import things
from daguerre.models.embedded.drawing.palette import BACKS, GLOWS
from daguerre.models.embedded.drawing.recolouring import COLOURS
from daguerre.models.embedded.drawing.scene import TIMELESS, Scene, SceneObject

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
    "street": 1.4,
    "park": 1.0,
    "garden": 0.8,
    "farm": 0.8,
    "cliff": 0.7,
    "waterfront": 0.7,
    "harbour": 0.6,
    "moonscape": 0.7,
}
# How likely the sun is seen at an hour, under a sky without clouds.
SUNS = {"dawn": 0.6, "day": 0.4, "sunset": 0.85}
GLOWING_TERRAINS = ("mushrooms", "flowers")
SEASONAL = (
    *("mountains", "hills", "river", "forest", "lake", "road", "village", "waterfall"),
    *("street", "park", "garden", "farm"),
)
SNOWLESS = ("desert", "jungle", "beach", "islands", "canyon", "volcano")
CROWDED = ("mushrooms", "volcano", "waterfall", "jungle")  # no space for an object in front
IN_SPACE = ("rocket", "ufo", "astronaut", "planet", "alien", "star", "moon", "robot")
SKY_ONLY_BY_DAY = ("bee", "butterfly", "dove", "kite", "parachute")
GLOWING = ("lantern", "jack-o'-lantern")


def pick(r: random.Random, weights: dict[str, float]) -> str:
    """One of the names, as often as its weight says."""
    return r.choices(tuple(weights), tuple(weights.values()))[0]


@lru_cache(maxsize=1)
def available() -> tuple[things.Thing, ...]:
    return tuple(t for t in things.THINGS if things.looks(t))


def colour_of(r: random.Random, thing: things.Thing, share: float = 0.55) -> str:
    return r.choice(COLOURS) if thing.recolourable and r.random() < share else ""


def colours_in(items: Iterable[SceneObject]) -> set[str]:
    """The colours that the objects have in the scene, and those that they have by themselves."""
    return {word for item in items for word in (item.colour, things.BY_NAME[item.name].colour)}


def sample_thing(r: random.Random, width: int, height: int) -> Scene:
    rows = available()
    thing = r.choices(rows, [t.weight for t in rows])[0]
    look, colour = r.choice(things.looks_in(thing, "thing")), colour_of(r, thing)
    wide = min(0.95, 0.8 * max(width, height) / min(width, height))
    size = r.uniform(0.55, min(0.8, wide))
    flip = r.random() < 0.5 and thing.kind in "av"
    item = SceneObject(thing.name, look, colour, thing.place, 1, size, flip)
    back = pick(r, {name: (3.0 if name in ("white", "blue") else 1.0) for name in BACKS})
    if back in (colour, thing.colour):
        back = "white" if colour != "white" else "blue"
    grounds = {"plain": 1.0}
    if back != "white" or r.random() >= 0.7:
        floor = 0.0 if thing.place == "s" else 1.3
        grounds |= {"gradient": 1.2, "floor": floor, "circle": 0.6}
    seed = r.getrandbits(32)
    ground = pick(r, grounds)
    return Scene("thing", width, height, seed, objects=(item,), background=back, ground=ground)


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


def placed(
    r: random.Random, thing: things.Thing, size: float, count: int = 1, share: float = 0.55
) -> SceneObject:
    """A thing in one of its looks, recoloured in `share` of cases where it can be."""
    look = r.choice(things.looks_in(thing, "thing"))
    flip = r.random() < 0.5 and thing.kind in "av"
    return SceneObject(thing.name, look, colour_of(r, thing, share), thing.place, count, size, flip)


def one_of(r: random.Random, rows: Sequence[things.Thing]) -> things.Thing:
    """One of the rows; the best known more often still than when a thing is alone."""
    return r.choices(rows, [t.weight**2 for t in rows])[0]


def fitting(terrain: str, time: str) -> Sequence[things.Thing]:
    """The things that can be in a landscape; those that belong there are named repeatedly."""
    rows = available()
    if terrain == "space":
        return [t for t in rows if t.name in IN_SPACE]
    if terrain == "underwater":
        return [t for t in rows if t.place == "u" or t.name in ("whale", "dolphin", "turtle")]
    if terrain == "moonscape":
        others = [t for t in rows if t.place == "g" and t.kind in "avo"]
        return others + [t for t in rows if t.name in IN_SPACE] * len(IN_SPACE)
    places = {"sea": "ws", "lake": "ws", "islands": "ws", "beach": "gs"}
    places |= {"waterfront": "ws", "harbour": "ws"}
    found = [t for t in rows if t.place in places.get(terrain, "gs") and t.kind != "k"]
    if time in ("night", "dusk", "sunset"):
        found = [t for t in found if t.name not in SKY_ONLY_BY_DAY]
    if terrain == "farm":
        found += [t for t in found if "farm animal" in t.tags] * 3
    if terrain in ("city", "village", "street"):
        found = [t for t in found if t.kind in "vaop"]
    return found
