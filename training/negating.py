"""Negative prompts for scenes: absent things, and scenes without something in their caption.

A model cannot learn from captions what "not" means. So some training scenes have a negative prompt:
words for absent things, or words for something in the caption, which is removed from the scene.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace

from daguerre.models.embedded.drawing import Scene, SceneObject, things
from daguerre.models.embedded.drawing.grounds import PATTERNED
from daguerre.models.embedded.drawing.palette import BACKS
from daguerre.models.embedded.drawing.style import FILTERS
from training.grammar import UNCOUNTED, plural
from training.scenes.sample import GLOWING_TERRAINS, SUNS, colours_in
from training.weather import TIME_NOUNS
from training.wording import GROUND_WORDS, STYLE_WORDS, TERRAIN_WORDS

# Shares of the scenes: without a negative prompt, and with words that mean nothing in it.
NONE_SHARE, JUNK_SHARE, TAKEN_SHARE = 0.5, 0.08, 0.25
SUN_WORDS = ("sun", "the sun", "sunlight", "a sun")
MOON_WORDS = ("moon", "the moon", "moonlight", "a moon")
WEATHER_WORDS = {
    "cloudy": ("clouds", "cloudy sky", "overcast"),
    "rain": ("rain", "raindrops", "rainy weather"),
    "snow": ("falling snow", "snowfall", "snowflakes", "snow"),
    "fog": ("fog", "mist", "haze"),
    "rainbow": ("rainbow", "a rainbow"),
    "storm": ("lightning", "thunderstorm", "storm"),
    "aurora": ("aurora", "northern lights", "polar lights"),
}
GENERIC = ("photo", "photograph", "frame", "border", "3d render", "realistic", "nsfw")
Taken = tuple[Scene, str]  # the scene without it, and words for what was taken out


def negated(scene: Scene, r: random.Random, junk: Callable[[], str]) -> Taken:
    """A scene that its caption may describe, and a negative prompt that it obeys."""
    chance = r.random()
    if chance < NONE_SHARE:
        return scene, ""
    if chance < NONE_SHARE + JUNK_SHARE:
        return scene, junk()
    if chance < NONE_SHARE + JUNK_SHARE + TAKEN_SHARE:
        options = list(_takings(scene, r))
        if options:
            found, words = r.choice(options)
            more = r.sample(sorted(_absent(found, r)), 1) if r.random() < 0.25 else []
            return found, _listed(r, [words, *more])
    return scene, _listed(r, r.sample(sorted(_absent(scene, r)), r.choice((1, 1, 2, 3))))


def _listed(r: random.Random, words: list[str]) -> str:
    r.shuffle(words)
    text = ", ".join(words)
    return f"no {text}" if r.random() < 0.03 else text


def _takings(scene: Scene, r: random.Random) -> Iterator[Taken]:
    """Ways to take something out."""
    yield from _sky(scene, r)
    if scene.background and scene.ground != "dark":
        yield _other_background(scene, r)
    if scene.ground in PATTERNED:
        adjective, noun = r.choice(GROUND_WORDS[scene.ground])
        words = r.choice((noun, f"{adjective} background", "pattern"))
        yield replace(scene, ground="plain"), words
    if scene.style:
        before, after = STYLE_WORDS[scene.style]
        yield replace(scene, style=""), r.choice((*before, after[0]))
    for i, item in enumerate(scene.objects):
        if item.colour and not item.glowing:
            plain = replace(item, colour="")
            yield replace(scene, objects=_with(scene, i, plain)), item.colour
        without = _without(scene, i)
        if without:
            yield without, _called(item, r)
            yield without, _called(item, r)


def _sky(scene: Scene, r: random.Random) -> Iterator[Taken]:
    if scene.sun:
        yield replace(scene, sun=False), r.choice(SUN_WORDS)
    if scene.moon:
        yield replace(scene, moon=False), r.choice(MOON_WORDS)
    if scene.weather in WEATHER_WORDS:
        shown = TERRAIN_WORDS[scene.terrain][1]  # a field of snow stays without snowfall
        words = [word for word in WEATHER_WORDS[scene.weather] if word not in shown]
        yield replace(scene, weather="clear"), r.choice(words)
    if scene.time and scene.terrain not in GLOWING_TERRAINS and scene.weather in ("clear", ""):
        hours = [hour for hour in ("dawn", "day", "sunset", "dusk", "night") if hour != scene.time]
        other = replace(scene, time=r.choice(hours), sun=False, moon=False)
        yield other, r.choice(TIME_NOUNS[scene.time])


def _other_background(scene: Scene, r: random.Random) -> Taken:
    taken = colours_in(scene.objects)
    colours = [name for name in BACKS if name not in (*taken, scene.background)]
    noun = "wall" if scene.kind == "room" else "background"
    return replace(scene, background=r.choice(colours)), f"{scene.background} {noun}"


def _with(scene: Scene, i: int, item: SceneObject) -> tuple[SceneObject, ...]:
    return (*scene.objects[:i], item, *scene.objects[i + 1 :])


def _without(scene: Scene, i: int) -> Scene | None:
    """The scene without one of its things, or None where it would be none any more."""
    rest = (*scene.objects[:i], *scene.objects[i + 1 :])
    if scene.kind == "mixed":
        return replace(scene, objects=rest, relation="", kind="mixed" if rest else "landscape")
    if scene.kind == "room" and rest:
        return replace(scene, objects=rest, relation="and" if len(rest) > 1 else "")
    if scene.kind == "pair" and len(rest) == 2:
        return replace(scene, objects=rest, relation="and")
    if scene.kind == "pair" and len(rest) == 1:
        many = rest[0].count > 1
        lone = replace(rest[0], size=0.82 if many else 0.68)
        return replace(scene, objects=(lone,), relation="", kind="group" if many else "thing")
    return None


def _called(item: SceneObject, r: random.Random) -> str:
    """A word for a thing, with its article, in the plural, or alone."""
    row = things.BY_NAME.get(item.name)
    name = r.choice((row.name, *row.synonyms)) if row else item.name
    many = [] if name in UNCOUNTED else [plural(name), plural(name)]
    return r.choice((name, name, *many))


def _absent(scene: Scene, r: random.Random) -> set[str]:
    """Words for plausible things that the scene does not show."""
    found = {r.choice(GENERIC)}
    shown = {item.name for item in scene.objects}
    for thing in r.choices(things.THINGS, [t.weight**2 for t in things.THINGS], k=3):
        if thing.name not in shown:
            found.add(_called(SceneObject(thing.name, ("", ""), "", "g", 1, 0.3, False), r))
    kinds = {things.BY_NAME[name].kind for name in shown if name in things.BY_NAME}
    found |= {word for kind, word in (("p", "people"), ("a", "animals")) if kind not in kinds}
    style = r.choice([name for name in FILTERS if name != scene.style])
    found.add(r.choice(STYLE_WORDS[style][0]))
    if scene.terrain:
        found |= _absent_outdoors(scene, r)
    if scene.background:
        colour = r.choice([name for name in BACKS if name != scene.background])
        found.add(f"{'white' if scene.background != 'white' else colour} background")
        found.add(f"{colour} background")
        if scene.ground not in PATTERNED:
            found.add(r.choice(("stripes", "dots", "pattern", "checks")))
    return found


def _absent_outdoors(scene: Scene, r: random.Random) -> set[str]:
    found = set()
    if scene.time in SUNS and not scene.sun:
        found.add(r.choice(SUN_WORDS))
    if scene.time == "night" and not scene.moon:
        found.add(r.choice(MOON_WORDS))
    weather = r.choice([name for name in WEATHER_WORDS if name != scene.weather])
    if not (weather == "snow" and scene.is_snowy):
        found.add(r.choice(WEATHER_WORDS[weather]))
    hidden = {scene.terrain, "snowfield"} if scene.is_snowy else {scene.terrain}
    terrain = r.choice([name for name in TERRAIN_WORDS if name not in hidden])
    found.add(r.choice(TERRAIN_WORDS[terrain][1]))
    if scene.time:
        hour = r.choice([hour for hour in TIME_NOUNS if hour != scene.time])
        found.add(TIME_NOUNS[hour][0])
    return found
