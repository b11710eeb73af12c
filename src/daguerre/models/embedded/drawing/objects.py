"""Objects in pictures: their art in the light of a landscape, or alone before a background.

An object's art becomes part of the scene's document, with its own identifiers.
"""

from __future__ import annotations

import colorsys
from functools import lru_cache
from typing import NamedTuple

from daguerre.models.embedded.drawing import art, things
from daguerre.models.embedded.drawing.canvas import Canvas, PlacedObject
from daguerre.models.embedded.drawing.colour import SHADOW, WHITE, Rgb, mix, rgb, tinted
from daguerre.models.embedded.drawing.dressing import is_figure, varied
from daguerre.models.embedded.drawing.glowing_plants import mushroom
from daguerre.models.embedded.drawing.grounds import paint_ground
from daguerre.models.embedded.drawing.joining import JoinedObject, placed_parts, renamed
from daguerre.models.embedded.drawing.palette import BACKS, GLOWS, LAMPLIGHT
from daguerre.models.embedded.drawing.recolouring import TARGETS, Colours, main_colour, recoloured
from daguerre.models.embedded.drawing.scene import Scene, SceneObject

_MUSHROOM = (0.1, 0.02, 0.9, 0.98)  # the bounds of a glowing one
SOFT, FAINT = 0.30, 0.17  # opacity of shadows on a floor and on other simple grounds
# Buildings with panes, behind which lamps are lit in the dark.
INHABITED = frozenset(
    "house,house with a garden,houses,cabin,office building,post office,hospital,hotel,shop,"
    "department store,school,factory,church,castle,tree house,wedding chapel".split(",")
)


class Tint(NamedTuple):
    """The light of the hour on an object."""

    light: Rgb
    amount: float  # from 0, white light, to 1
    is_dark: bool = False


def lone_object(c: Canvas, scene: Scene) -> None:
    """One large object before a simple background."""
    r, item = c.r, scene.objects[0]
    back = rgb(r.choice(BACKS[scene.background]))
    px = item.size * c.s
    x, y = c.w * (0.5 + r.uniform(-0.05, 0.05)), c.h * (0.5 + r.uniform(-0.04, 0.04))
    left, top, right, bottom = bounds(item.look)
    if is_figure(item):  # whose view has space for a hat
        x, y = x - px * (left + right - 1) / 2, y - px * (top + bottom - 1) / 2
    foot = y + px * (bottom - 0.5)
    has_floor = scene.ground == "floor"
    paint_ground(c, scene, back, foot - px * r.uniform(0.10, 0.22) if has_floor else c.h)
    if has_floor or stands(item):
        under(c, item, x, foot, px, SOFT if has_floor else FAINT)
    if item.glowing:
        shine(c, item, x, y, px)
    put(c, item, x, y, px)


def shine(c: Canvas, item: SceneObject, x: float, y: float, px: float) -> None:
    """The light of a glowing object in the dark, in the object's own colour."""
    colour = TARGETS.get(item.colour) or main_colour(*item.look)
    hue, strength = colour[0], min(0.9, colour[2])
    light = colorsys.hls_to_rgb(hue, 0.62, strength)
    c.glow(x, y, px * 1.05, light, 0.75)
    c.glow(x, y, px * 0.62, mix(light, WHITE, 0.5), 0.6)


def stands(item: SceneObject) -> bool:
    """Whether the object has a foot that touches a ground, even a plain one."""
    row = things.BY_NAME.get(item.name)
    return item.place == "g" or (item.place == "i" and row is not None and row.kind in "apvbf")


def feet(item: SceneObject, x: float, px: float) -> tuple[float, float]:
    """Middle and width of the contact of an object with the ground; `x` centres its square."""
    left, _, right, _ = bounds(item.look)
    first, last = (left, right) if item.look[0] == "glow" else things.stance(item.look)
    wide = max(last - first, 0.4 * (right - left))
    return x + ((first + last) / 2 - 0.5) * px * (-1 if item.flip else 1), wide * px


def under(c: Canvas, item: SceneObject, x: float, foot: float, px: float, strength: float) -> None:
    """The shadow of an object in a square of `px` whose middle is at x."""
    middle, wide = feet(item, x, px)
    shadow(c, middle, foot - 0.012 * px, 1.35 * wide, strength)


def shadow(c: Canvas, x: float, foot: float, px: float, strength: float = SOFT) -> None:
    """The soft shadow of an object `px` wide on the floor."""
    fill = c.radial([(0.3, rgb(SHADOW), strength), (1, rgb(SHADOW), 0)])
    c.oval(x, foot, px * 0.50, min(px, 0.45 * c.s) * 0.075, fill)


def put(
    c: Canvas, item: SceneObject, x: float, y: float, px: float, tint: Tint | None = None
) -> None:
    """Puts an object into a square of `px` with the centre (x, y)."""
    if isinstance(item, JoinedObject):
        c.objects.extend(placed_parts(item, x, y, px))
    else:
        c.objects.append(PlacedObject(item, x, y, px))
    if item.look[0] == "glow":
        mushroom(c, x, y + px * 0.48, px, GLOWS[item.colour], 0.9)
        return
    copies = max(0, sum(placed.item == item for placed in c.objects) - 1)
    lit = tint is not None and tint.is_dark and item.name in INHABITED
    text, w, h = _content(varied(item.look, copies), item.colour, tint, lit)
    text = renamed(text, f"n{len(c.parts)}")
    k = px / max(w, h)
    sx = -k if item.flip else k
    left = x + (w * k / 2 if item.flip else -w * k / 2)
    c.raw(f'<g transform="matrix({sx:.5f} 0 0 {k:.5f} {left:.2f} {y - h * k / 2:.2f})">{text}</g>')


def bounds(look: tuple[str, str]) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of the visible part of a look, as shares of its square."""
    return _MUSHROOM if look[0] == "glow" else things.bounds(look)


@lru_cache(maxsize=1024)
def _content(
    look: tuple[str, str], colour: str, tint: Tint | None, lit: bool = False
) -> tuple[str, float, float]:
    drawn = things.drawn(look)
    text = recoloured(look[0], look[1], colour)
    if tint:
        has_lamps = lit and colour != "blue" and share_of_panes(look) < 0.35

        def shown(value: Rgb) -> Rgb:
            if has_lamps and is_pane(value):
                return LAMPLIGHT
            return tinted(value, tint.light, tint.amount)

        text = art.map_colours(text, shown)
    if _spills(look):
        box = f'<clipPath id="box"><rect width="{drawn[1]}" height="{drawn[2]}"/></clipPath>'
        text = f'{box}<g clip-path="url(#box)">{text}</g>'
    return text, drawn[1], drawn[2]


def is_pane(colour: Rgb) -> bool:
    """Whether a colour of a building is that of glass: pale blue, or yellow with a lamp behind."""
    hue, light, saturation = colorsys.rgb_to_hls(*colour)
    is_blue = 0.5 < hue < 0.64 and light > 0.4 and saturation > 0.2
    return is_blue or (0.11 < hue < 0.14 and 0.7 < light < 0.82 and saturation > 0.9)


@lru_cache(maxsize=512)
def share_of_panes(look: tuple[str, str]) -> float:
    """The share of glass in the area of a building."""
    colours = Colours.of(*look)
    panes = [is_pane(colorsys.hls_to_rgb(*hls)) for hls in colours.hls.tolist()]
    return float(colours.areas[panes].sum() / colours.areas.sum())


@lru_cache(maxsize=4096)
def _spills(look: tuple[str, str]) -> bool:
    """Whether the art continues outside its view, where its own document hides it."""
    drawn = things.drawn(look)
    text, w, h = drawn
    moved = f'<g transform="translate({w} {h})">{text}</g>'
    alpha = art.draw(art.document(moved, 3 * w, 3 * h), 96, 96)[..., 3].copy()
    alpha[31:65, 31:65] = 0
    return bool((alpha > 40).any())
