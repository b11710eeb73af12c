"""Whole animals whose icons show only the head: a sitting body of our own under that head.

A look's icon is the animal's name, with "-2" where the head is of the second set.
"""

from __future__ import annotations

from dataclasses import dataclass

from daguerre.models.embedded.drawing import art
from daguerre.models.embedded.drawing.colour import shade
from daguerre.models.embedded.drawing.garments import worn
from daguerre.models.embedded.drawing.svg import box, oval, path, stroke

WHOLE = "whole"  # the art set of their looks
HEAD_SETS = ("noto", "fluent-emoji-flat")


@dataclass(frozen=True)
class Body:
    """Colours and shape of a body; lengths are on a 100 x 100 view."""

    fur: str
    belly: str
    paws: str
    tail: str = ""  # bushy, tuft, round; "" for none
    tip: str = ""  # colour of the tail's end
    arms: str = ""  # colour of the front legs, if it is another
    girth: float = 1.0
    head: float = 56.0  # width of the head
    head_y: float = 30.0
    patch: float = 12.0  # half the width of the belly's patch


BODIES: dict[str, Body] = {
    "fox": Body("#fb7426", "#fff1df", "#5b3526", "bushy", "#fff1df"),
    "wolf": Body("#a6a7ab", "#eef0f2", "#74777d", "bushy", "#5e646c"),
    "bear": Body("#935e50", "#c99d83", "#6b4136", "round", girth=1.16, head=54),
    "polar-bear": Body("#e9eff5", "#ffffff", "#c9d6e2", "round", girth=1.16, head=54),
    "lion": Body("#fbb437", "#ffe2a6", "#e09a2a", "tuft", "#6f4636", girth=1.04, head=62),
    "panda": Body("#f4f4f6", "#ffffff", "#3a3a42", arms="#44444c", girth=1.16, head=54),
    "koala": Body("#a3a3a6", "#eceef0", "#7f8186", girth=1.08, head=60),
    "frog": Body("#b3cc22", "#f2f4b8", "#93ad14", girth=1.1, head=58, head_y=31),
    "frog-2": Body("#00cf66", "#ffe98a", "#00ad55", girth=1.1, head=58, head_y=31),
    "moose": Body("#7a5240", "#a07a62", "#4e3428", head=66, head_y=28),
    "hamster": Body("#f3ab5c", "#fff3e2", "#f0a0a0", girth=1.22, patch=16),
}
ROBOTS = {"robot": "#90a4ae", "robot-2": "#b3a8bf"}  # the colour of the body
# The unicorn is a horse in other colours: the horse's set, its colours and theirs, and the horn.
UNICORNS = {
    "unicorn": (
        "twemoji",
        {"#c1694f": "#efe6fb", "#8a4b38": "#cfc1e6", "#292f33": "#e97fc4"},
        '<path fill="#ffc83d" d="M2.6 7.9 0.4 1.6 4.3 6.1z"/>'
        '<circle fill="#4a3a6a" cx="3.9" cy="8" r=".6"/>',
    ),
    "unicorn-2": (
        "fluent-emoji-flat",
        {"#a56953": "#efe6fb", "#6d4534": "#cfc1e6", "#1c1c1c": "#b56be0", "#e39d89": "#f7b6d2"},
        '<path fill="#ffc83d" d="M5.6 3.9 1.4 0.2 4 5.6z"/>'
        '<circle fill="#4a3a6a" cx="5.5" cy="6.2" r=".55"/>',
    ),
}


def _tail(body: Body) -> str:
    if body.tail == "bushy":
        return path(body.fur, "M60 92C84 98 99 82 93 60C90 52 86 48 82 45C82 62 74 74 58 80z") + (
            path(
                body.tip,
                "M82 45C86 48 90 52 93 60C95 67 95 72 94 76C88 72 82 66 80 58C82 53 82 49 82 45z",
            )
        )
    if body.tail == "tuft":
        end = path(body.tip, "M87 54C95 60 95 70 88 75C80 71 80 60 87 54z")
        return stroke(body.fur, 5, "M64 90C82 94 90 82 87 68") + end
    return oval(body.fur, 50 + 22 * body.girth, 86, 7, 7) if body.tail == "round" else ""


def _torso(body: Body) -> str:
    arms, dark = body.arms or body.fur, shade(body.fur, 0.12)
    half = 20 * body.girth
    left, right = 50 - half, 50 + half
    haunch = "".join(oval(dark, x, 84, 9 * body.girth, 12) for x in (left + 2, right - 2))
    feet = "".join(oval(body.paws, x, 94, 8.5 * body.girth, 4.6) for x in (left, right))
    trunk = path(
        body.fur,
        f"M50 42C{left + 5:g} 42 {left:g} 66 {left:g} 80C{left:g} 94 {left + 8:g} 97 50 97"
        f"C{right - 8:g} 97 {right:g} 94 {right:g} 80C{right:g} 66 {right - 5:g} 42 50 42z",
    )
    patch = oval(body.belly, 50, 72, body.patch, 19)
    edge = shade(arms, 0.1)
    legs = ""
    for x in (50 - 9 * body.girth, 50 + 9 * body.girth):
        legs += box(edge, x - 6.2, 60, 12.4, 36, 6.2) + box(arms, x - 5, 58, 10, 37, 5)
        legs += path(
            body.paws,
            f"M{x - 5.6:g} 91C{x - 5.6:g} 84 {x + 5.6:g} 84 {x + 5.6:g} 91"
            f"C{x + 5.6:g} 99 {x - 5.6:g} 99 {x - 5.6:g} 91z",
        )
    collar = oval(arms, 50, 55, half * 0.72, 11) if body.arms else ""
    return haunch + feet + trunk + patch + collar + legs


def source(icon: str) -> art.Look:
    """The look that a whole animal takes a part from."""
    if icon in UNICORNS:
        return UNICORNS[icon][0], "horse"
    name = icon.removesuffix("-2")
    return HEAD_SETS[name != icon], name


def drawn(icon: str, part: art.Drawn) -> art.Drawn:
    """The SVG content of a whole animal and the size of its view; `part` is its source's art."""
    text, width, height = part
    if icon in UNICORNS:
        _, colours, horn = UNICORNS[icon]
        for old, new in colours.items():
            text = text.replace(old, new)
        return text + horn, width, height
    if icon in ROBOTS:
        k = 52 / max(width, height)
        at = f"translate({50 - width * k / 2:g} {26 - height * k / 2:g}) scale({k:.4f})"
        return f'{worn("robot body", ROBOTS[icon])}<g transform="{at}">{text}</g>', 100.0, 100.0
    body = BODIES.get(icon) or BODIES[icon.removesuffix("-2")]
    k = body.head / max(width, height)
    at = f"translate({50 - width * k / 2:g} {body.head_y - height * k / 2:g}) scale({k:.4f})"
    return f'{_tail(body)}{_torso(body)}<g transform="{at}">{text}</g>', 100.0, 100.0
