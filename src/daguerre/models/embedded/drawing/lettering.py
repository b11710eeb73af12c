"""Places a scene's words: on a surface alone, beside or before objects, or in a landscape.

The relation is that of the first object to the surface: a cat that is left of a sign, below a
banner, or holding a board.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass, replace

from daguerre.models.embedded.drawing import art, figures, things
from daguerre.models.embedded.drawing.canvas import Canvas
from daguerre.models.embedded.drawing.colour import BLACK, SHADOW, Rgb, hexa, mix, rgb, tinted
from daguerre.models.embedded.drawing.dressing import is_figure
from daguerre.models.embedded.drawing.lettered_things import book, cake, mug, shirt, storefront
from daguerre.models.embedded.drawing.palette import Palette, palette_of
from daguerre.models.embedded.drawing.placement import Placement
from daguerre.models.embedded.drawing.recolouring import TARGETS, main_colour
from daguerre.models.embedded.drawing.scene import Scene, SceneObject
from daguerre.models.embedded.drawing.surfaces import (
    Box,
    Paint,
    banner,
    billboard,
    bubble,
    chalkboard,
    neon,
    paper,
    poster,
    screen,
    sign,
    wall,
)


@dataclass(frozen=True)
class Surface:
    """A surface for words: its painter, its width by its height, and its support."""

    paint: Paint
    aspect: float
    support: str = ""  # post: it has posts; foot: it is on the ground; "": it hangs


SURFACES: dict[str, Surface] = {
    "sign": Surface(sign, 1.6, "post"),
    "banner": Surface(banner, 2.8),
    "shirt": Surface(shirt, 1.06),
    "wall": Surface(wall, 1.5, "foot"),
    "book": Surface(book, 0.76, "foot"),
    "cake": Surface(cake, 1.12, "foot"),
    "poster": Surface(poster, 0.78),
    "chalkboard": Surface(chalkboard, 1.5),
    "neon": Surface(neon, 1.8),
    "storefront": Surface(storefront, 1.2, "foot"),
    "bubble": Surface(bubble, 1.5),
    "billboard": Surface(billboard, 1.9, "post"),
    "paper": Surface(paper, 0.8),
    "screen": Surface(screen, 1.3, "foot"),
    "mug": Surface(mug, 1.05, "foot"),
}
BEHIND = ("below", "under", "front")  # relations in which the surface is above the objects
HELD = ("holding", "wearing")
DIM = {"night": 0.36, "dusk": 0.36, "sunset": 0.34}  # strength of the hour's light on a surface
# Left hand, right hand and their height on surfaces that hands do not hold at the upper edge.
HANDS = {
    "mug": (0.03, 0.77, 0.62),
    "cake": (0.06, 0.94, 0.9),
    "book": (0.0, 0.98, 0.6),
    "screen": (0.0, 1.0, 0.5),
}
BRIGHT = ("neon", "bubble", "screen", "billboard")  # which the hour does not darken
STEEL, POST = rgb("#6b7280"), rgb("#8a5f3c")
SKIN = rgb("#f5c27a")


def words_on(c: Canvas, scene: Scene, box: Box) -> None:
    """Paints the scene's surface with its words into a box."""
    SURFACES[scene.lettering].paint(c, box, scene.words, scene.lettering_colour)


def inside(surface: str, frame: Box) -> Box:
    """The largest box of a surface's shape in the middle of a frame."""
    aspect = SURFACES[surface].aspect
    width = min(frame.w, frame.h * aspect)
    height = width / aspect
    return Box(frame.middle - width / 2, frame.y + (frame.h - height) / 2, width, height)


def posts(c: Canvas, scene: Scene, box: Box, foot: float) -> None:
    """One or two posts from a surface down to the ground."""
    wide = box.w * 0.055
    colour = STEEL if scene.lettering in ("billboard", "neon", "screen") else POST
    for share in (0.5,) if box.w < 1.9 * box.h and scene.lettering == "sign" else (0.18, 0.82):
        x = box.x + share * box.w
        c.oval(x, foot, wide * 1.6, wide * 0.5, SHADOW, 'opacity="0.22"')
        c.rect(x - wide / 2, box.low - 2, wide, foot - box.low + 2, hexa(colour))
        c.rect(
            x + wide * 0.18,
            box.low - 2,
            wide * 0.32,
            foot - box.low + 2,
            hexa(mix(colour, BLACK, 0.2)),
        )


def held_box(scene: Scene, holder: Placement, widest: float) -> Box:
    """A board before the lower half of an object."""
    aspect = min(2.2, SURFACES[scene.lettering].aspect)
    if is_figure(holder.item) and scene.lettering in HANDS:
        height = 0.34 * holder.height
        width, top = height * aspect, holder.foot - 0.66 * holder.height
        return Box(holder.x - width / 2, top, width, height)
    highest = (0.62 if aspect > 1.2 else 0.5) * holder.height
    height = min(max(0.46 * holder.height, holder.width / aspect * 0.8), highest)
    width = min(widest, height * aspect)
    height = width / aspect
    top = max(holder.foot - 0.46 * holder.height, holder.foot - 0.9 * height)
    return Box(holder.x - width / 2, top, width, height)


def hold(c: Canvas, scene: Scene, holder: Placement, box: Box) -> None:
    """The surface before its holder, and the holder's hands at its upper edge or its sides."""
    words_on(c, scene, box)
    colour = _skin(holder.item)
    wide = 0.055 * min(max(box.w, box.h), holder.height)
    left, right, y = HANDS.get(scene.lettering, (None, None, 0.0))
    for side, edge in ((-1, left), (1, right)):
        x = holder.x + side * min(0.36 * box.w, 0.4 * holder.width)
        if edge is not None:
            x = box.x + edge * box.w
        _hand(c, x, box.y + y * box.h + 0.3 * wide, wide, colour)


def _hand(c: Canvas, x: float, y: float, wide: float, colour: Rgb) -> None:
    edge = f'stroke="{hexa(mix(colour, BLACK, 0.28))}" stroke-width="{wide * 0.14:.1f}"'
    c.oval(x, y, wide, wide * 0.85, hexa(colour), edge)
    for finger in (-0.35, 0.35):
        d = f"M{x + finger * wide:.1f} {y + 0.2 * wide:.1f}v{0.45 * wide:.1f}"
        c.path(d, "none", f'{edge} stroke-linecap="round"')


def _skin(item: SceneObject) -> Rgb:
    """The colour of an object's hands."""
    if is_figure(item):
        return rgb(figures.styled(item.look[1]).skin)
    row = things.BY_NAME.get(item.name)
    if row and row.kind == "p":
        return SKIN
    hls = TARGETS.get(item.colour) or main_colour(*item.look)
    return colorsys.hls_to_rgb(hls[0], min(0.85, hls[1] + 0.04), hls[2])


def add_lettering(c: Canvas, scene: Scene) -> None:
    """Adds the words to a landscape, a room or a pattern that is painted already."""
    if scene.kind == "room":
        _indoors(c, scene)
    elif scene.kind == "pattern":
        frame = Box(0.14 * c.w, 0.3 * c.h, 0.72 * c.w, 0.4 * c.h)
        words_on(c, scene, inside(scene.lettering, frame))
    else:
        _outdoors(c, scene, palette_of(scene) if scene.time else None)


def _outdoors(c: Canvas, scene: Scene, p: Palette | None) -> None:
    """The words in a landscape, in the light of the hour."""
    mark = len(c.parts)
    holder = Placement.of(c.objects[0]) if c.objects else None
    if holder and scene.relation in HELD:
        hold(c, scene, holder, held_box(scene, holder, c.w * 0.9))
    elif holder and scene.lettering == "bubble":
        words_on(c, scene, _bubble_box(c, holder))
    else:
        _stand_outdoors(c, scene)
    if p and scene.lettering not in BRIGHT:
        added = "".join(c.parts[mark:])
        del c.parts[mark:]
        light, amount = p.ambient, DIM.get(scene.time, 0.15)
        c.raw(art.map_colours(added, lambda value: tinted(value, light, amount)))


def _bubble_box(c: Canvas, speaker: Placement) -> Box:
    width = min(0.6 * c.w, 0.6 * c.s)
    height = min(width / SURFACES["bubble"].aspect, max(0.2 * c.s, speaker.top - 0.04 * c.h))
    x = min(max(speaker.x - width / 2, 0.03 * c.w), 0.97 * c.w - width)
    return Box(x, max(0.03 * c.h, speaker.top - height - 0.01 * c.h), width, height)


def _stand_outdoors(c: Canvas, scene: Scene) -> None:
    """A surface on posts or on its foot, where the objects leave space."""
    foot = c.h * c.r.uniform(0.88, 0.92)
    taken = [(o.x - o.side / 2, o.x + o.side / 2) for o in c.objects]
    left, right = _free(c.w, taken)
    widest = min(0.94 * (right - left), 0.86 * c.s, 0.8 * c.w)
    hangs = SURFACES[scene.lettering].support != "foot" and scene.terrain != "space"
    high = 0.4 * c.h if hangs else 0.52 * c.h
    box = inside(scene.lettering, Box((left + right - widest) / 2, 0, widest, high))
    box = replace(box, y=foot - box.h - (0.3 * box.h + 0.04 * c.h if hangs else 0))
    if scene.terrain == "space":
        box = replace(box, y=c.h * 0.55 - box.h / 2)
    elif hangs:
        posts(c, scene, box, foot)
    else:
        c.oval(box.middle, foot - 2, box.w * 0.54, box.w * 0.05, SHADOW, 'opacity="0.22"')
    words_on(c, scene, box)


def _free(width: float, taken: list[tuple[float, float]]) -> tuple[float, float]:
    """The widest part of the frame that no object is in, or all of it if none is wide enough."""
    ends = [0.03 * width]
    gaps = []
    for left, right in sorted(taken):
        gaps.append((ends[-1], left))
        ends.append(max(ends[-1], right))
    gaps.append((ends[-1], 0.97 * width))
    best = max(gaps, key=lambda gap: gap[1] - gap[0])
    return best if best[1] - best[0] > 0.3 * width else (0.05 * width, 0.95 * width)


def with_wall_space(scene: Scene) -> Scene:
    """The scene with smaller objects if there are words on the wall above them."""
    if not scene.lettering:
        return scene
    return replace(scene, objects=tuple(replace(o, size=0.7 * o.size) for o in scene.objects))


def _indoors(c: Canvas, scene: Scene) -> None:
    """The words on the wall of a room, above its objects."""
    tops = [Placement.of(placed).top for placed in c.objects]
    top = min((*tops, 0.56 * c.h))
    frame = Box(0.08 * c.w, 0.05 * c.h, 0.84 * c.w, max(0.2 * c.h, top - 0.08 * c.h))
    words_on(c, scene, inside(scene.lettering, frame))
