"""The mix of scenes: how often each kind of picture occurs, and how often each style of drawing.

The two tables of shares set what a model learns most. What is asked for first has the largest
share: single things, and landscapes at times of day.
"""

from __future__ import annotations

import random

import numpy as np

from daguerre.models.embedded.drawing.scene import Scene
from training.scenes import company, crowd, house, lettering, outdoors
from training.scenes.acting import acting
from training.scenes.people import with_hats, with_people
from training.scenes.sample import pick, sample_landscape
from training.scenes.styles import with_style

# Of all scenes. Landscapes hold the sunset over mountains and the glowing mushrooms at night,
# which have the largest weights in `sample.TERRAINS`.
SHARES = {
    "thing": 0.21,
    "landscape": 0.225,
    "mixed": 0.15,
    "pair": 0.14,
    "group": 0.06,
    "spot": 0.045,
    "room": 0.09,
    "portrait": 0.025,
    "pattern": 0.015,
    "lettering": 0.04,  # some of them in a landscape or a room
}
# Of all scenes; the rest, and what a style does not suit, is flat.
STYLE_WORDS = {
    "pixel art": 0.030,
    "watercolour": 0.030,
    "line drawing": 0.030,
    "black and white": 0.025,
    "neon": 0.020,
    "vintage": 0.020,
    "pastel": 0.020,
}
ACTING = {"pair": 0.28, "mixed": 0.2}  # shares of a kind with riding, holding and the like


def sample_scene(rng: np.random.Generator, aspect: tuple[int, int]) -> Scene:
    """Draw a scene of a full size (width, height)."""
    r = random.Random(int(rng.integers(2**63)))
    kind = pick(r, SHARES)
    scene = sample_kind(r, kind, *aspect)
    if kind == "lettering":  # which has its own people
        return with_style(r, scene, STYLE_WORDS)
    acts = scene.objects and r.random() < ACTING.get(scene.kind, 0.0)
    scene = acting(r, scene) if acts else with_hats(r, with_people(r, scene))
    return with_style(r, scene, STYLE_WORDS)


def sample_kind(r: random.Random, kind: str, width: int, height: int) -> Scene:
    """A flat scene of one kind."""
    if kind == "landscape":
        return sample_landscape(r, width, height, kind)
    draw = {
        "thing": crowd.sample_alone,
        "group": crowd.sample_group,
        "spot": crowd.sample_spot,
        "portrait": crowd.sample_portrait,
        "pattern": crowd.sample_pattern,
        "pair": company.sample_pair,
        "mixed": outdoors.sample_mixed,
        "room": house.sample_room,
        "lettering": lettering.sample_lettering,
    }[kind]
    return draw(r, width, height)
