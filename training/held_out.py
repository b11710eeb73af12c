"""Wordings that training captions never use, for the evaluation.

Every family of `templates` and every style of `wording` has some. Their fields are filled with the
same words as in training.
"""

from __future__ import annotations

from training.acting import ACTING_HELD_OUT
from training.compositions import COMPOSITIONS_HELD_OUT
from training.foods import TOPPED_HELD_OUT
from training.lettering_templates import HELD_OUT_LETTERED
from training.wording import Style

HELD_OUT_TEMPLATES: dict[str, tuple[str, ...]] = {
    "thing": (
        "show me {a_thing}",
        "one big {thing} {on_back}",
        "{a_thing} in the centre, {back_tag}",
    ),
    "landscape": (
        "looking out at {terrain} {when}",
        "a scene of {terrain} {when} {weather}",
        "{praise} scenery, {tag} {when}",
    ),
    "timeless": ("a scene of {terrain}", "show me {terrain}"),
    "mushrooms": ("a {dreamy} world of {terrain} {under}", "looking out at {terrain} {when}"),
    "mixed": (
        "show me {a_thing} {place} {when}",
        "look, {a_thing} {place} {when}",
        "a scene with {a_thing} {place}",
    ),
    "glowing": (
        "show me {a_thing}",
        "look, {a_thing} shines {on_back}",
        "{thing} at its brightest",
    ),
    "one": ("only one {thing}", "{on_back}, one {thing} alone"),
    "group": ("show me {a_thing}", "exactly {a_thing} {on_back}", "I count {a_thing}"),
    "spot": (
        "put {a_thing} {where}",
        "look {where}: {a_thing}",
        "{on_back} we see {a_thing} {where}",
    ),
    "stature": ("show me {a_thing}", "look at that, {a_thing} {on_back}"),
    "portrait": ("zoom in on {sitter}", "{sitter} fills the frame", "nose to nose with {sitter}"),
    "pattern": ("cover everything in {plurals}", "gift wrap printed with {plurals} {on_back}"),
    "together": (
        "show me {first} and {second}",
        "{first} meets {second}",
        "both {first} and {second}",
    ),
    "trio": ("show me {listed}", "a set of {listed}"),
    "sided": (
        "show me {first} {relation} {second}",
        "look {side1} for {first} and {side2} for {second}",
        "{side1} side: {bare1}, {side2} side: {bare2}",
    ),
    "related": ("show me {first} {relation} {second}", "look, {first} is {relation} {second}"),
    "between": ("show me {first} between {flanks}", "{flanks} stand around {first}"),
    "room": (
        "show me {listed} {indoors}",
        "at home: {listed} {indoors}",
        "{indoors} we find {listed}",
    ),
    "window": (
        "looking out of a window at {terrain} {when}",
        "what a view: {terrain} behind glass",
    ),
    "windowsill": ("show me {a_thing} at the window {when}", "{a_thing} looks out of a window"),
    "company": (
        "show me {first} {relation} {second} {inside} {when}",
        "look, {first} and {second} {inside} {when}",
    ),
    "flying": (
        "show me {a_thing} flying over {terrain}",
        "up in the air over {terrain}, {a_thing}",
    ),
    "reflected": (
        "show me {a_thing} and its mirror image {place}",
        "{a_thing} {place} {when}, doubled by the water",
    ),
    **ACTING_HELD_OUT,
    **COMPOSITIONS_HELD_OUT,
    **TOPPED_HELD_OUT,
    **HELD_OUT_LETTERED,
}
STYLE_WORDS_HELD_OUT: dict[str, Style] = {
    "pixel art": (("pixelated drawing",), ("in the style of an old video game",)),
    "line drawing": (("pen drawing",), ("in simple pen strokes",)),
    "watercolour": (("aquarelle",), ("in wet watercolour paint",)),
    "pastel": (("pale pastel sketch",), ("in light pastel shades",)),
    "neon": (("glowing neon outline",), ("in bright neon tubes",)),
    "black and white": (("monochrome drawing",), ("without any colour",)),
    "vintage": (("old-fashioned print",), ("in the style of an old photo",)),
}
