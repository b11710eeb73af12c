"""Chance: in which manner a scene is drawn, and what of it that manner leaves to be seen.

A manner without colours takes the colour words out of a scene, so that no caption can name them;
neon needs the dark, lines need clear shapes.
"""

from __future__ import annotations

import random
import re
from dataclasses import replace

from daguerre.models.embedded.drawing import things
from daguerre.models.embedded.drawing.palette import BACKS
from daguerre.models.embedded.drawing.recolouring import COLOURS
from daguerre.models.embedded.drawing.scene import Placed, Scene

COLOURLESS = ("line drawing", "black and white", "vintage")
COLOUR_WORDS = re.compile(rf"\b({'|'.join((*COLOURS, *BACKS, 'grey', 'golden'))})\b")
LINED = ("mountains", "hills", "desert", "sea", "beach", "lake", "islands", "canyon", "road")
DULL = ("black", "white", "gray", "brown")  # which no light tube has


def with_manner(r: random.Random, scene: Scene, shares: dict[str, float]) -> Scene:
    """The scene in a manner by chance, as often as the shares say; flat where it does not suit."""
    flat = max(0.0, 1 - sum(shares.values()))
    manner = r.choices(("", *shares), (flat, *shares.values()))[0]
    return seen_in(r, scene, manner) if manner and suits(scene, manner) else scene


def suits(scene: Scene, manner: str) -> bool:
    """True when a scene stays clear in a manner."""
    glows = bool(scene.glow) or any(item.glowing for item in scene.things)
    if manner in COLOURLESS and (glows or any(map(_has_colour_name, scene.things))):
        return False
    if manner in COLOURLESS and scene.weather == "fog":
        return False
    if manner == "line drawing":
        lined = scene.terrain in LINED and scene.time == "day"
        clear = scene.weather in ("", "clear", "cloudy")
        return (not scene.terrain or lined) and clear and not scene.setting
    if manner == "neon":
        dark = scene.time == "night" or scene.terrain == "space" or not scene.terrain
        clear = scene.weather in ("", "clear", "cloudy", "aurora")
        return dark and clear and not scene.setting and not _said(scene, DULL)
    if manner == "pastel":
        dark = scene.background == "black" or scene.time == "night" or scene.terrain == "space"
        return not dark and not _said(scene, ("black", "brown"))
    return True


def _said(scene: Scene, colours: tuple[str, ...]) -> bool:
    """True when a caption could name one of the colours as that of a thing."""
    words: set[str] = set()
    for item in scene.things:
        row = things.BY_NAME.get(item.name)
        words |= {item.colour or (row.colour if row else ""), *item.name.split()}
    return bool(words & {*colours})


def _has_colour_name(item: Placed) -> bool:
    row = things.BY_NAME.get(item.name)
    return row is None or any(COLOUR_WORDS.search(name) for name in (row.name, *row.synonyms))


def seen_in(r: random.Random, scene: Scene, manner: str) -> Scene:
    """The scene in a manner, without those colours that it does not show."""
    scene = replace(scene, manner=manner)
    if manner in COLOURLESS:
        plain = tuple(replace(item, colour="") for item in scene.things)
        back = {"line drawing": "white", "vintage": "beige"}.get(manner)
        back = back or r.choice(("white", "white", "gray"))
        ground = "plain" if manner == "line drawing" else scene.ground
        return replace(
            scene,
            things=plain,
            background=back if scene.background else "",
            ground=ground if scene.ground else "",
        )
    if manner == "neon" and scene.background:
        return replace(scene, background="black", ground="plain")
    return scene
