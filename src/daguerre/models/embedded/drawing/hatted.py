"""Animals with hats: the place of the head in each animal's first look, and the drawing."""

from __future__ import annotations

import json
from dataclasses import replace

from daguerre.models.embedded.drawing import animals, art, things
from daguerre.models.embedded.drawing.garments import HATS, worn
from daguerre.models.embedded.drawing.recolouring import recoloured
from daguerre.models.embedded.drawing.scene import SceneObject

HATTED = "hatted"  # the art set of their looks
Head = tuple[float, float, float]  # centre and half the width, as shares of the look's square
# Heads that are seen from the front, so that glasses suit them.
FRONTAL: dict[str, Head] = {
    "cat": (0.33, 0.33, 0.2),
    "dog": (0.41, 0.3, 0.21),
    "owl": (0.52, 0.32, 0.23),
    "pig": (0.33, 0.48, 0.2),
    "monkey": (0.39, 0.36, 0.2),
    "sheep": (0.33, 0.4, 0.17),
    "tiger": (0.2, 0.43, 0.16),
    "chick": (0.5, 0.28, 0.22),
    "turtle": (0.22, 0.54, 0.16),
    "otter": (0.24, 0.36, 0.16),
    "teddy bear": (0.5, 0.27, 0.22),
    "robot": (0.5, 0.3, 0.24),
    "ghost": (0.5, 0.27, 0.26),
    **{
        name.replace("-", " "): (0.5, 0.3, 0.2)
        for name in animals.BODIES
        if not name.endswith("-2")
    },
}
IN_PROFILE: dict[str, Head] = {
    "black cat": (0.31, 0.33, 0.18),
    "poodle": (0.34, 0.26, 0.12),
    "rabbit": (0.4, 0.48, 0.15),
    "mouse": (0.34, 0.44, 0.14),
    "penguin": (0.46, 0.17, 0.14),
    "cow": (0.23, 0.27, 0.12),
    "horse": (0.19, 0.27, 0.12),
    "elephant": (0.3, 0.29, 0.19),
    "raccoon": (0.18, 0.58, 0.12),
    "duck": (0.36, 0.16, 0.13),
    "bird": (0.26, 0.32, 0.16),
    "giraffe": (0.27, 0.17, 0.08),
    "goat": (0.4, 0.38, 0.13),
    "squirrel": (0.25, 0.4, 0.13),
    "hedgehog": (0.24, 0.55, 0.14),
    "t-rex": (0.19, 0.19, 0.12),
    "dinosaur": (0.22, 0.12, 0.1),
    "octopus": (0.76, 0.27, 0.18),
    "flamingo": (0.35, 0.1, 0.08),
    "parrot": (0.27, 0.17, 0.15),
    "llama": (0.18, 0.15, 0.08),
    "zebra": (0.19, 0.2, 0.11),
    "deer": (0.36, 0.3, 0.1),
    "swan": (0.2, 0.18, 0.09),
    "gorilla": (0.28, 0.18, 0.14),
    "camel": (0.17, 0.17, 0.09),
    "dragon": (0.33, 0.17, 0.12),
}
HEADS: dict[str, Head] = {**FRONTAL, **IN_PROFILE}
# Those in profile whose necks are under their heads, so that a scarf suits them.
UPRIGHT = ("black cat", "mouse", "penguin", "duck", "goat", "gorilla", "parrot", "bird")
# Hats of all animals; glasses suit only those that are seen from the front.
COMMON_HATS = (
    *("top hat", "crown", "cap", "wizard hat", "straw hat", "cowboy hat", "santa hat"),
    *("party hat", "chef hat", "pirate hat", "beanie", "helmet", "scarf", "bow", "headphones"),
)
GLASSES = ("glasses", "sunglasses")


def hats_of(name: str) -> tuple[str, ...]:
    """The hats that an animal can wear."""
    if name in FRONTAL:
        return (*COMMON_HATS, *GLASSES)
    above = tuple(hat for hat in COMMON_HATS if hat != "scarf" or name in UPRIGHT)
    return above if name in IN_PROFILE else ()


def hatted(item: SceneObject) -> SceneObject:
    """The animal in the look that wears its hat."""
    if item.hat not in hats_of(item.name):
        return item
    name, icon = things.looks_in(things.BY_NAME[item.name], "thing")[0]
    words = json.dumps([name, icon, item.colour, item.hat, item.name], separators=(",", ":"))
    return replace(item, look=(HATTED, words))


def drawn(icon: str) -> art.Drawn:
    """The SVG content of an animal with its hat; 100 units to the animal's square."""
    name, slug, colour, hat, animal = json.loads(icon)
    _, w, h = things.drawn((name, slug))
    k = 100 / max(w, h)
    x, y, half = HEADS[animal]
    above = max(0.0, 330 * half - 100 * y)
    scale = 100 * half / 15
    body = recoloured(name, slug, colour)
    left, top = 50 - w * k / 2, above + 50 - h * k / 2
    at = f"translate({100 * x - 60 * scale:.2f} {above + 100 * y - 26 * scale:.2f})"
    text = (
        f'<g transform="translate({left:.2f} {top:.2f}) scale({k:.5f})">{body}</g>'
        f'<g transform="{at} scale({scale:.4f})">{worn(hat, HATS[hat])}</g>'
    )
    return text, 100.0, 100.0 + above


things.PAINTERS[HATTED] = drawn
