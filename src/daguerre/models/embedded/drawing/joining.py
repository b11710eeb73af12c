"""Joins two objects to one drawing: a rider on a mount, or somebody with a thing in the hand.

The icon of a joined look is JSON: the relation, and of each object its name, look, colour and flip.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from functools import lru_cache

from daguerre.models.embedded.drawing import animals, art, figures, things
from daguerre.models.embedded.drawing.canvas import PlacedObject
from daguerre.models.embedded.drawing.garments import worn
from daguerre.models.embedded.drawing.people import PEOPLE
from daguerre.models.embedded.drawing.recolouring import recoloured
from daguerre.models.embedded.drawing.scene import SceneObject

JOINED = "joined"  # the art set of joined looks
RELATIONS = ("riding", "holding", "on")


@dataclass(frozen=True)
class Mount:
    """Where a rider sits on the first look of a thing, as shares of its square."""

    x: float
    y: float
    rider: float = 0.85  # height of a figure's view
    is_standing: bool = False


# All of these looks face left.
MOUNTS: dict[str, Mount] = {
    "horse": Mount(0.58, 0.36, 1.0),
    "elephant": Mount(0.6, 0.16, 0.75),
    "camel": Mount(0.66, 0.22, 0.8),
    "cow": Mount(0.6, 0.33),
    "pig": Mount(0.66, 0.17, 0.75),
    "turtle": Mount(0.7, 0.22, 0.75),
    "unicorn": Mount(0.55, 0.36, 0.95),
    "dragon": Mount(0.62, 0.42, 0.7),
    "dinosaur": Mount(0.52, 0.5, 0.75),
    "t-rex": Mount(0.55, 0.33, 0.75),
    "tiger": Mount(0.62, 0.38, 0.8),
    "leopard": Mount(0.6, 0.42, 0.8),
    "zebra": Mount(0.68, 0.37, 0.85),
    "giraffe": Mount(0.62, 0.49, 0.7),
    "bicycle": Mount(0.62, 0.42, 1.1),
    "motorcycle": Mount(0.58, 0.6, 0.95),
    "scooter": Mount(0.68, 0.46, 0.95),
    "kick scooter": Mount(0.52, 0.85, 1.15, True),
    "sled": Mount(0.52, 0.42, 0.85),
    "whale": Mount(0.62, 0.47, 0.6),
    "dolphin": Mount(0.42, 0.06, 0.7),
    "goat": Mount(0.68, 0.43, 0.8),
    "sheep": Mount(0.6, 0.12, 0.75),
    "deer": Mount(0.6, 0.48, 0.75),
    "llama": Mount(0.62, 0.42, 0.8),
    "ox": Mount(0.56, 0.28, 0.85),
    "rhinoceros": Mount(0.6, 0.27, 0.8),
    "hippopotamus": Mount(0.65, 0.28, 0.75),
    "duck": Mount(0.62, 0.37, 0.65),
    "swan": Mount(0.62, 0.48, 0.65),
    "wave": Mount(0.6, 0.78, 0.75, True),
}
# Boards and a broom are drawn flat under the rider: drawing, standing rider or not, colour.
FLAT: dict[str, tuple[str, bool, str]] = {
    "skateboard": ("skateboard flat", True, "#e5544b"),
    "surfboard": ("surfboard flat", True, "#f4b942"),
    "snowboard": ("snowboard flat", True, "#3f6fd0"),
    "skis": ("skis flat", True, "#d9342b"),
    "broom": ("broom flat", False, "#d9a441"),
}
# What people sit on, facing right.
SEATS: dict[str, Mount] = {
    "bench": Mount(0.5, 0.58, 0.95),
    "chair": Mount(0.5, 0.5, 1.05),
    "sofa": Mount(0.5, 0.73, 0.75),
    "bed": Mount(0.62, 0.68, 0.7),
    "rock": Mount(0.55, 0.14, 0.8),
    "tree stump": Mount(0.5, 0.31),
    "stool": Mount(0.5, 0.32, 1.1),
    "swing": Mount(0.5, 0.7, 0.75),
    "armchair": Mount(0.5, 0.66, 1.0),
    "toilet": Mount(0.4, 0.52, 0.95),
    "moon": Mount(0.52, 0.76, 0.6),
    "cloud": Mount(0.5, 0.34, 0.65),
}
RIDEABLE = (*MOUNTS, *FLAT)
# Where a thing is gripped, of its visible part; the others at their middle.
GRIPPED_BELOW = frozenset(
    (
        "balloon,umbrella,flower,rose,tulip,sunflower,candle,lollipop,ice cream,kite,trophy,beer,"
        "bouquet,hibiscus,magic wand,paintbrush,hammer,axe,sword,key,pencil,toothbrush,carrot,broom"
    ).split(",")
)
GRIPPED_ABOVE = frozenset("lantern,handbag,backpack,basket,briefcase,suitcase,bell".split(","))
HELD = 0.36  # side of a held thing, as a share of the holder's height
TALL = {"balloon": 0.62, "umbrella": 0.72, "kite": 0.6, "flag": 0.55, "broom": 0.6, "sword": 0.5}


@dataclass(frozen=True)
class JoinedObject(SceneObject):
    """Two objects in one drawing."""

    parts: tuple[SceneObject, ...] = ()


@dataclass(frozen=True)
class Part:
    """One object's square in the drawing: left, top and side, mirrored or not."""

    look: art.Look
    colour: str
    x: float
    y: float
    side: float
    flip: bool
    flat: str = ""  # a drawing of the wardrobe in place of the look


def joined(relation: str, first: SceneObject, second: SceneObject) -> JoinedObject:
    """The two as one object, in the place of the lower one."""
    looks = [[item.name, *item.look, item.colour, item.flip] for item in (first, second)]
    base = first if relation == "holding" else second
    place = "s" if second.name == "broom" and first.place == "s" else base.place
    size = min(1.1, max(first.size, second.size) * 1.25)
    return JoinedObject(
        base.name,
        (JOINED, json.dumps([relation, *looks], separators=(",", ":"))),
        "",
        place,
        1,
        size,
        base.flip,
        stature=base.stature,
        spot=first.spot,
        parts=(first, second),
    )


def posed(relation: str, first: SceneObject, second: SceneObject) -> SceneObject:
    """The first object in the pose that the relation needs."""
    if relation == "holding":
        return replace(first, pose="holding")
    if relation == "on":
        return replace(first, pose="seated")
    if second.name == "wave" or (second.name in FLAT and FLAT[second.name][1]):
        return replace(first, pose="skating")
    return replace(first, pose="standing" if second.name == "kick scooter" else "riding")


@lru_cache(maxsize=256)
def parts(icon: str) -> tuple[tuple[Part, ...], float, float]:
    """The parts in the order of drawing, and the width and height of their view."""
    relation, first, second = json.loads(icon)
    found = _holding(first, second) if relation == "holding" else _riding(first, second)
    boxes = [_box(part) for part in found]
    left, top = min(box[0] for box in boxes) - 0.01, min(box[1] for box in boxes) - 0.01
    right, low = max(box[2] for box in boxes) + 0.01, max(box[3] for box in boxes) + 0.01
    moved = tuple(replace(part, x=part.x - left, y=part.y - top) for part in found)
    return moved, right - left, low - top


def _box(part: Part) -> tuple[float, float, float, float]:
    """The visible part of a part."""
    left, top, right, bottom = (0.0, 0.42, 1.0, 0.58) if part.flat else things.bounds(part.look)
    if part.flip:
        left, right = 1 - right, 1 - left
    x, y, k = part.x, part.y, part.side
    return x + left * k, y + top * k, x + right * k, y + bottom * k


def _riding(rider: list[str], mount: list[str]) -> list[Part]:
    name = mount[0]
    if name in FLAT:
        return _on_a_board(rider, mount)
    is_mount = name in MOUNTS
    seat = MOUNTS[name] if is_mount else SEATS[name]
    base = things.looks_in(things.BY_NAME[name], "thing")[0]
    below = Part(base, mount[3], 0, 0, 1, False)
    above = _seated(rider, seat.x, seat.y, seat.rider, seat.is_standing, is_mount)
    if name == "wave":
        board = Part(base, "", seat.x - 0.36, seat.y - 0.36, 0.72, True, "surfboard flat")
        return [below, board, above]
    return [below, above]


def _seated(rider: list[str], x: float, y: float, high: float, stands: bool, flip: bool) -> Part:
    """A rider with the hips, or the feet, at a point."""
    look = (rider[1], rider[2])
    if look[0] == figures.FIGURE:
        _, hips, feet = figures.points(look[1])
        at = feet if stands else hips
        across = 1 - at[0] if flip else at[0]
        return Part(look, rider[3], x - across * high, y - at[1] * high, high, flip)
    left, top, right, bottom = things.bounds(look)
    side = 0.52 * high / max(bottom - top, 0.7 * (right - left))
    middle = (left + right) / 2
    return Part(look, rider[3], x - middle * side, y + 0.05 - bottom * side, side, False)


def _on_a_board(rider: list[str], mount: list[str]) -> list[Part]:
    drawing, stands, _ = FLAT[mount[0]]
    above = _seated(rider, 0.5, 0.5 if stands else 0.53, 1.1, stands, not stands)
    board = Part((mount[1], mount[2]), mount[3], 0, 0, 1, False, drawing)
    return [board, above]


def _holding(holder: list[str], thing: list[str]) -> list[Part]:
    look = (holder[1], holder[2])
    is_figure = look[0] == figures.FIGURE
    left, top, right, bottom = things.bounds(look)
    if is_figure:
        x, y = figures.points(look[1])[0]
    elif look[0] == animals.WHOLE:
        x, y = 0.7, 0.68
    else:
        x, y = left + 0.12 * (right - left), top + 0.66 * (bottom - top)
    item = (thing[1], thing[2])
    high = bottom - top
    side = TALL.get(thing[0], HELD) * high
    i_left, i_top, i_right, i_bottom = things.bounds(item)
    grip_y = (i_top + i_bottom) / 2
    if thing[0] in GRIPPED_BELOW or thing[0] in TALL:
        grip_y = i_bottom - 0.05
    elif thing[0] in GRIPPED_ABOVE:
        grip_y = i_top + 0.06
    side /= max(i_bottom - i_top, i_right - i_left)
    held = Part(item, thing[3], x - (i_left + i_right) / 2 * side, y - grip_y * side, side, False)
    body = Part(look, holder[3], 0, 0, 1, False)
    return [held, body] if thing[0] in TALL else [body, held]


@lru_cache(maxsize=256)
def drawn(icon: str) -> art.Drawn:
    """The SVG content of a joined look, 100 units to a mount's square."""
    found, wide, high = parts(icon)
    text = "".join(_content(part, f"j{i}") for i, part in enumerate(found))
    return text, wide * 100, high * 100


def _content(part: Part, prefix: str) -> str:
    if part.flat:
        tone = figures.GARMENT_COLOURS.get(part.colour, "")
        usual = next(flat[2] for flat in FLAT.values() if flat[0] == part.flat)
        board = worn(part.flat, tone or usual)
        k = part.side * 100 / 140
        at = f"translate({(part.x + part.side / 2) * 100:.2f} {(part.y + part.side / 2) * 100:.2f})"
        return f'<g transform="{at} scale({k:.4f})">{board}</g>'
    _, w, h = things.drawn(part.look)
    text = renamed(recoloured(*part.look, part.colour), prefix)
    k = part.side * 100 / max(w, h)
    x = part.x * 100 + (part.side * 100 - w * k) / 2
    y = part.y * 100 + (part.side * 100 - h * k) / 2
    sx, x = (-k, x + w * k) if part.flip else (k, x)
    return f'<g transform="matrix({sx:.5f} 0 0 {k:.5f} {x:.2f} {y:.2f})">{text}</g>'


_ID = re.compile(r'\bid="([^"]+)"')


def renamed(text: str, prefix: str) -> str:
    """The SVG content with identifiers that start with a prefix."""
    for name in dict.fromkeys(_ID.findall(text)):
        fresh = f"{prefix}{name}"
        text = text.replace(f'id="{name}"', f'id="{fresh}"').replace(f"#{name})", f"#{fresh})")
        text = text.replace(f'href="#{name}"', f'href="#{fresh}"')
    return text


def placed_parts(item: JoinedObject, x: float, y: float, px: float) -> list[PlacedObject]:
    """Where the two objects of a joined one are, on a canvas with its square at (x, y)."""
    found, wide, high = parts(item.look[1])
    k = px / max(wide, high)
    by_look = {part.look: part for part in found}
    placed = []
    for one in item.parts:
        part = by_look.get(one.look) or next(p for p in found if p.flat or p.look != one.look)
        across = (part.x + part.side / 2 - wide / 2) * (-1 if item.flip else 1)
        down = part.y + part.side / 2 - high / 2
        shown = replace(one, look=part.look, flip=part.flip != item.flip)
        placed.append(PlacedObject(shown, x + across * k, y + down * k, part.side * k))
    return placed


def is_joinable(relation: str, first: SceneObject, second: SceneObject) -> bool:
    """Whether the drawing of the relation exists for the two."""
    if first.count != 1 or second.count != 1 or first.name == second.name:
        return False
    if first.name in PEOPLE and PEOPLE[first.name].others:
        return False
    if relation == "on":
        return first.look[0] == figures.FIGURE and second.name in SEATS
    return relation == "holding" or (relation == "riding" and second.name in RIDEABLE)


things.PAINTERS[JOINED] = drawn
