"""Random styles of scenes, and what remains visible in each.

A style without colours removes the colour words from a scene, so that no caption names them. Neon
needs darkness, and lines need clear shapes.
"""

from __future__ import annotations

import random
import re
from dataclasses import replace

from daguerre.models.embedded.drawing import things
from daguerre.models.embedded.drawing.palette import BACKS
from daguerre.models.embedded.drawing.recolouring import COLOURS
from daguerre.models.embedded.drawing.scene import Scene, SceneObject

COLOURLESS = ("line drawing", "black and white", "vintage")
COLOUR_WORDS = re.compile(rf"\b({'|'.join((*COLOURS, *BACKS, 'grey', 'golden'))})\b")
LINED = ("mountains", "hills", "desert", "sea", "beach", "lake", "islands", "canyon", "road")
DULL = ("black", "white", "gray", "brown")  # which no light tube has


def with_style(r: random.Random, scene: Scene, shares: dict[str, float]) -> Scene:
    """The scene in a style by chance, as often as the shares say; flat where it does not suit."""
    flat = max(0.0, 1 - sum(shares.values()))
    style = r.choices(("", *shares), (flat, *shares.values()))[0]
    return restrict_to_style(r, scene, style) if style and suits(scene, style) else scene


def suits(scene: Scene, style: str) -> bool:
    """True when a scene stays clear in a style."""
    glows = bool(scene.glow) or any(item.glowing for item in scene.objects)
    if style in COLOURLESS and (glows or any(map(_has_colour_name, scene.objects))):
        return False
    if style in COLOURLESS and scene.weather == "fog":
        return False
    if style == "line drawing":
        lined = scene.terrain in LINED and scene.time == "day"
        clear = scene.weather in ("", "clear", "cloudy")
        return (not scene.terrain or lined) and clear and not scene.setting
    if style == "neon":
        dark = scene.time == "night" or scene.terrain == "space" or not scene.terrain
        clear = scene.weather in ("", "clear", "cloudy", "aurora")
        return dark and clear and not scene.setting and not _said(scene, DULL)
    if style == "pastel":
        dark = (
            scene.background == "black"
            or scene.time == "night"
            or scene.terrain in ("space", "moonscape")
        )
        return not dark and not _said(scene, ("black", "brown"))
    return True


def _said(scene: Scene, colours: tuple[str, ...]) -> bool:
    """True when a caption could name one of the colours as that of a thing."""
    words = {scene.lettering_colour}
    for item in scene.objects:
        row = things.BY_NAME.get(item.name)
        words |= {item.colour or (row.colour if row else ""), *item.name.split()}
    return bool(words & {*colours})


def _has_colour_name(item: SceneObject) -> bool:
    row = things.BY_NAME.get(item.name)
    return row is None or any(COLOUR_WORDS.search(name) for name in (row.name, *row.synonyms))


def restrict_to_style(r: random.Random, scene: Scene, style: str) -> Scene:
    """The scene in a style, without those colours that it does not show."""
    scene = replace(scene, style=style)
    if style in COLOURLESS:
        plain = tuple(replace(item, colour="") for item in scene.objects)
        back = {"line drawing": "white", "vintage": "beige"}.get(style)
        back = back or r.choice(("white", "white", "gray"))
        ground = "plain" if style == "line drawing" else scene.ground
        return replace(
            scene,
            objects=plain,
            lettering_colour="",
            background=back if scene.background else "",
            ground=ground if scene.ground else "",
        )
    if style == "neon" and scene.background:
        return replace(scene, background="black", ground="plain")
    return scene
