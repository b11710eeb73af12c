"""Joins two objects to one drawing: a rider on a mount, or a thing in the hand of its holder.

The icon of a joined look is JSON: the relation, and of each object its name, look and colour.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

from daguerre.models.embedded.drawing import art, figures, hands, things
from daguerre.models.embedded.drawing.canvas import PlacedObject
from daguerre.models.embedded.drawing.garments import worn
from daguerre.models.embedded.drawing.grips import (
    HELD,
    TALL,
    held_point,
    holding_point,
    is_held_by_hand,
)
from daguerre.models.embedded.drawing.mounts import BOARDS, MOUNTS, RIDEABLE, SEATS, Mount
from daguerre.models.embedded.drawing.people import PEOPLE
from daguerre.models.embedded.drawing.recolouring import recoloured
from daguerre.models.embedded.drawing.scene import SceneObject

JOINED = "joined"  # the art set of joined looks
PERCHED = 0.21  # of an animal on a shoulder, as a share of the person's view
# Animals on shoulders; training takes each as often as it is here.
PERCHING = (
    *("parrot", "parrot", "bird", "owl", "raven", "eagle", "monkey", "cat", "black cat", "mouse"),
    *("rat", "squirrel", "frog", "lizard", "chick", "dove", "hamster", "snake", "toucan", "pigeon"),
)


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
    board: str = ""  # a key of BOARDS, drawn in place of the look


class Joined(NamedTuple):
    """One of the two objects, as the icon names it."""

    name: str
    art_set: str
    icon: str
    colour: str

    @property
    def look(self) -> art.Look:
        return self.art_set, self.icon


def joined(relation: str, first: SceneObject, second: SceneObject) -> JoinedObject:
    """The two as one object, in the place of the lower one."""
    both = [Joined(item.name, *item.look, item.colour) for item in (first, second)]
    base = first if relation == "holding" else second
    place = "s" if second.name == "broom" and relation != "holding" else base.place
    size = min(1.1, max(first.size, second.size) * 1.25)
    return JoinedObject(
        base.name,
        (JOINED, json.dumps([relation, *both], separators=(",", ":"))),
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
    if relation == "on" and second.look[0] == figures.FIGURE:
        return first
    if relation == "on" and second.name in SEATS:
        return replace(first, pose="seated")
    if second.name == "wave" or (second.name in BOARDS and BOARDS[second.name].is_standing):
        return replace(first, pose="skating")
    return replace(first, pose="standing" if second.name == "kick scooter" else "riding")


@lru_cache(maxsize=256)
def parts(icon: str) -> tuple[tuple[Part, ...], float, float]:
    """The parts in the order of drawing, and the width and height of their view."""
    relation, *both = json.loads(icon)
    first, second = (Joined(*one) for one in both)
    if relation == "holding":
        found = _holding(first, second)
    else:
        is_perched = second.art_set == figures.FIGURE
        found = _perched(first, second) if is_perched else _riding(first, second)
    boxes = [_box(part) for part in found]
    left, top = min(box[0] for box in boxes) - 0.01, min(box[1] for box in boxes) - 0.01
    right, low = max(box[2] for box in boxes) + 0.01, max(box[3] for box in boxes) + 0.01
    moved = tuple(replace(part, x=part.x - left, y=part.y - top) for part in found)
    return moved, right - left, low - top


def _box(part: Part) -> tuple[float, float, float, float]:
    """The visible part of a part."""
    left, top, right, bottom = (0.0, 0.42, 1.0, 0.58) if part.board else things.bounds(part.look)
    if part.flip:
        left, right = 1 - right, 1 - left
    x, y, k = part.x, part.y, part.side
    return x + left * k, y + top * k, x + right * k, y + bottom * k


def _riding(rider: Joined, mount: Joined) -> list[Part]:
    if mount.name in BOARDS:
        return _on_a_board(rider, mount)
    is_mount = mount.name in MOUNTS
    seat = MOUNTS[mount.name] if is_mount else SEATS[mount.name]
    base = things.looks_in(things.BY_NAME[mount.name], "thing")[0]
    below = Part(base, mount.colour, 0, 0, 1, False)
    above = _seated(rider, seat, is_mount)
    if mount.name == "wave":
        board = Part(base, "", seat.x - 0.36, seat.y - 0.36, 0.72, True, "surfboard")
        return [below, board, above]
    return [below, above]


def _seated(rider: Joined, seat: Mount, flip: bool) -> Part:
    """A rider with the hips, or the feet, at the point of the seat."""
    high = seat.rider
    if rider.art_set == figures.FIGURE:
        _, hips, feet = figures.points(rider.icon)
        at = feet if seat.is_standing else hips
        across = 1 - at[0] if flip else at[0]
        left, top = seat.x - across * high, seat.y - at[1] * high
        return Part(rider.look, rider.colour, left, top, high, flip)
    left, top, right, bottom = things.bounds(rider.look)
    side = 0.52 * high / max(bottom - top, 0.7 * (right - left))
    x, y = seat.x - (left + right) / 2 * side, seat.y + 0.05 - bottom * side
    return Part(rider.look, rider.colour, x, y, side, False)


def _perched(animal: Joined, person: Joined) -> list[Part]:
    """An animal on the shoulder of a person."""
    x, y = figures.shoulder(person.icon)
    left, top, right, bottom = things.bounds(animal.look)
    side = PERCHED / max(bottom - top, right - left)
    above = Part(
        animal.look, animal.colour, x - (left + right) / 2 * side, y - bottom * side, side, False
    )
    return [Part(person.look, person.colour, 0, 0, 1, False), above]


def _on_a_board(rider: Joined, board: Joined) -> list[Part]:
    is_standing = BOARDS[board.name].is_standing
    seat = Mount(0.5, 0.5 if is_standing else 0.53, 1.1, is_standing)
    below = Part(board.look, board.colour, 0, 0, 1, False, board.name)
    return [below, _seated(rider, seat, not is_standing)]


def _holding(holder: Joined, thing: Joined) -> list[Part]:
    _, top, _, bottom = things.bounds(holder.look)
    i_left, i_top, i_right, i_bottom = things.bounds(thing.look)
    longer = max(i_bottom - i_top, i_right - i_left)
    side = TALL.get(thing.name, HELD) * (bottom - top) / longer
    x, y = holding_point(holder.name, holder.look, thing.name)
    across, down = held_point(thing.name, thing.look, holder.look)
    held = Part(thing.look, thing.colour, x - across * side, y - down * side, side, False)
    body = Part(holder.look, holder.colour, 0, 0, 1, False)
    if thing.name in TALL:
        return [held, body]
    if is_held_by_hand(holder.look, thing.name):
        return [body, held, Part((hands.HAND, holder.icon), "", 0, 0, 1, False)]
    return [body, held]


def drawn(icon: str) -> art.Drawn:
    """The SVG content of a joined look, 100 units to a mount's square."""
    found, wide, high = parts(icon)
    text = "".join(_content(part, f"j{i}") for i, part in enumerate(found))
    return text, wide * 100, high * 100


def _content(part: Part, prefix: str) -> str:
    if part.board:
        board = BOARDS[part.board]
        text = worn(board.drawing, figures.GARMENT_COLOURS.get(part.colour, board.colour))
        k = part.side * 100 / 140
        at = f"translate({(part.x + part.side / 2) * 100:.2f} {(part.y + part.side / 2) * 100:.2f})"
        return f'<g transform="{at} scale({k:.4f})">{text}</g>'
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
    """The places of the two objects on a canvas that has the joined one at (x, y)."""
    found, wide, high = parts(item.look[1])
    k = px / max(wide, high)
    by_look = {part.look: part for part in found}
    placed = []
    for one in item.parts:
        part = by_look.get(one.look, found[0])  # the first: a mount, drawn in its usual look
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
    if relation == "on" and second.look[0] == figures.FIGURE:
        return first.name in PERCHING
    if relation == "on":
        is_person = first.look[0] == figures.FIGURE
        return second.name in BOARDS or (is_person and second.name in (*SEATS, *RIDEABLE))
    return relation == "holding" or (relation == "riding" and second.name in RIDEABLE)


things.PAINTERS[JOINED] = drawn
