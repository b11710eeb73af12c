"""Figures of people, drawn whole: a skeleton in a pose, with clothes, a face, hair and a hat.

The icon of a figure has six cells: name|pose|outfit|hat|colour|variant. Empty cells keep the usual
figure of the name. The variant, a number, decides all that the other cells leave open.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from daguerre.models.embedded.drawing import art, faces
from daguerre.models.embedded.drawing.colour import shade
from daguerre.models.embedded.drawing.garments import (
    HATS,
    OUTFITS,
    PROPS,
    Outfit,
    behind,
    details,
    torso,
    worn,
)
from daguerre.models.embedded.drawing.people import (
    CASUAL,
    GARMENTS,
    GRAYS,
    HAIR_STYLES,
    HAIRS,
    PEOPLE,
    SKINS,
    TROUSERS,
    Person,
)
from daguerre.models.embedded.drawing.poses import POSES, Line, Point, Pose, along
from daguerre.models.embedded.drawing.svg import box, line, oval, path, scaled

FIGURE = "figure"  # the art set of their looks
VIEW = (120.0, 192.0)
SKY = 32.0  # space for a hat
FEET = 154.0  # height of the ground below the view's upper end, without that space
GARMENT_COLOURS = {
    "red": "#dc3d3d",
    "orange": "#f28a2e",
    "yellow": "#f4cb3a",
    "green": "#3fa35f",
    "blue": "#3b7ddd",
    "purple": "#8457c2",
    "pink": "#f283b2",
    "brown": "#8a5c3a",
    "black": "#2f3038",
    "white": "#fafafc",
    "gray": "#8c929c",
}
# Width of the head and length of the body, in shares of an adult's.
BUILDS = {"boy": (1.22, 0.8), "girl": (1.22, 0.8), "baby": (1.5, 0.62)}
PALE = "#e6e0ea"  # the skin of a vampire
# Poses in which the usual prop is put away.
UNARMED = ("holding", "showing", "riding", "skating", "sleeping")
COVERING = ("mask", "knight helmet", "headscarf", "nun")  # hats without hair
WORN_WITH_HATS = ("glasses", "sunglasses", "scarf")


@dataclass(frozen=True)
class Style:
    """The appearance of a figure, with nothing left open."""

    person: Person
    build: str
    pose: Pose
    outfit: Outfit
    main: str
    legwear: str
    skin: str
    hair: str
    hair_colour: str
    beard: str
    hats: tuple[str, ...]
    prop: str


def decided(name: str, pose: str, outfit: str, hat: str, colour: str, variant: int) -> Style:
    """The style of a figure; the variant decides all that the others leave open."""
    person = PEOPLE[name.replace("-", " ")]
    r = random.Random(f"{name} {variant}")
    build = r.choice((person.build or "man/woman").split("/"))
    is_old = build.startswith("old")
    skin = PALE if name == "vampire" else r.choice(SKINS)
    hair_colour = person.hair_colour or r.choice(GRAYS if is_old else HAIRS)
    hair = person.hair or r.choice(HAIR_STYLES[build])
    beard = person.beard
    if beard == "?" or (not beard and build == "man" and not person.outfit and not person.hair):
        beard = "short" if r.random() < (0.75 if is_old else 0.25) else ""
    chosen = outfit or person.outfit or r.choice(CASUAL[build])
    clothes = OUTFITS[chosen]
    own = "" if outfit and outfit != person.outfit else person.colour
    main = GARMENT_COLOURS.get(colour) or own or clothes.main or r.choice(GARMENTS)
    legwear = main if clothes.legwear == "same" else clothes.legwear or r.choice(TROUSERS)
    hats = tuple(dict.fromkeys(h for h in (_usual_hat(person, hat, outfit), hat) if h))
    return Style(
        person,
        build,
        POSES[pose or person.pose],
        clothes,
        main,
        legwear,
        skin,
        hair,
        hair_colour,
        beard,
        hats,
        "" if pose in UNARMED else person.prop,
    )


def _usual_hat(person: Person, hat: str, outfit: str) -> str:
    """The usual hat of the person or the outfit, unless another is said."""
    if hat and hat not in WORN_WITH_HATS:
        return ""
    return {"spacesuit": "space helmet", "armor": "knight helmet"}.get(outfit, person.hat)


def _cells(icon: str) -> list[str]:
    """The six cells of an icon; those that it leaves out are empty."""
    return [*icon.split("|"), "", "", "", "", ""][:6]


def styled(icon: str) -> Style:
    """The style of the figure, or of the first one of a group."""
    name, pose, outfit, hat, colour, variant = _cells(icon)
    return decided(name, pose, outfit, hat, colour, int(variant or "0"))


def coloured(icon: str, colour: str) -> str:
    """The icon of the figure with its main garment in a colour."""
    cells = _cells(icon)
    return "|".join((*cells[:4], colour, cells[5]))


def drawn(icon: str) -> art.Drawn:
    """The SVG content of a figure, or of a group of them, and the size of its view."""
    name, pose, outfit, hat, colour, variant = _cells(icon)
    number = int(variant or "0")
    styles = [decided(name, pose, outfit, hat, colour, number)]
    for i, other in enumerate(styles[0].person.others):
        styles.append(decided(other, pose, outfit, hat, colour, number + 7 * (i + 1)))
    step = 58 if len(styles) < 4 else 46
    parts = [
        f'<g transform="translate({step * i} {SKY:g})">{_figure(style)}</g>'
        for i, style in enumerate(styles)
    ]
    wide, high = VIEW[0] + step * (len(styles) - 1), VIEW[1]
    if styles[0].pose.is_asleep:
        return f'<g transform="matrix(0 -1 1 0 0 {wide:g})">{"".join(parts)}</g>', high, wide
    return "".join(parts), wide, high


def points(icon: str) -> tuple[Point, Point, Point]:
    """The right hand, the hips and the feet of a figure, as shares of the square of its view."""
    style = styled(icon)
    hand, hips, feet = style.pose.arms[1][-1], (60, 97), (60, FEET)
    return _share(style, *hand), _share(style, *hips), _share(style, *feet)


def shoulder(icon: str) -> Point:
    """The place on the right shoulder of a figure, as shares of the square of its view."""
    return _share(styled(icon), 84, 53)


def _share(style: Style, x: float, y: float) -> Point:
    """A place on the body of a figure, as shares of the square of its view."""
    _, body = BUILDS.get(style.build, (1.0, 1.0))
    wide, high = VIEW
    x, y = 60 + (x - 60) * body, FEET + (y - FEET) * body + SKY
    return (x + (high - wide) / 2) / high, y / high


def _figure(style: Style) -> str:
    """A figure on the ground."""
    pose, outfit = style.pose, style.outfit
    head, body = BUILDS.get(style.build, (1.0, 1.0))
    arms = [_arm(style, side) for side in (0, 1)]
    back = behind(outfit, style.main) + _wings(style)
    back += faces.hair_behind(_hair(style), style.hair_colour, head)
    back += "".join(a for a, near in zip(arms, pose.in_front, strict=True) if not near)
    if pose.legs_in_front:
        outfit = replace(outfit, details=tuple(d for d in outfit.details if d != "panel"))
    chest = torso(outfit, style.main, style.skin) + details(outfit, style.main, style.legwear)
    for name in style.person.details:
        chest += worn(name, style.main, "#ffffff", style.legwear)
    face = scaled(_head(style), head, *faces.NECK)
    front = "".join(a for a, near in zip(arms, pose.in_front, strict=True) if near)
    front += _book() if pose.has_book else ""
    lean = f' transform="rotate({pose.lean:g} 60 96)"' if pose.lean else ""
    legs = "".join(_leg(style, side) for side in (0, 1)) + _skirt(style)
    if pose.prop_at:
        legs = _prop(style.prop, pose.prop_at) + legs
    body_parts = [f"<g{lean}>{back}</g>", legs, f"<g{lean}>{chest}{face}</g>"]
    if pose.legs_in_front:
        body_parts = [f"<g{lean}>{back}</g>", f"<g{lean}>{chest}{face}</g>", legs]
    return scaled("".join(body_parts) + f"<g{lean}>{front}</g>", body, 60, FEET)


def _hair(style: Style) -> str:
    return "" if set(style.hats) & {*COVERING} else style.hair


def _head(style: Style) -> str:
    dark = shade(style.skin, 0.12)
    neck = box(dark, 55, 36, 10, 13, 4)
    ears = oval(style.skin, 45, 28, 2.8, 3.4) + oval(style.skin, 75, 28, 2.8, 3.4)
    skull = oval(style.skin, 60, 26, 15, 15.6)
    is_female = style.build in ("woman", "girl", "old woman")
    look = faces.face(style.skin, style.pose.is_asleep, is_female, style.build.startswith("old"))
    found = neck + ears + skull + look
    if style.beard:
        found += faces.beard(style.hair_colour, style.beard == "long")
    found += faces.hair_in_front(_hair(style), style.hair_colour)
    for name in style.hats:
        found += worn(name, HATS[name])
    return found


def _arm(style: Style, side: int) -> str:
    points = style.pose.arms[side]
    found = line(style.skin, 7.4, points)
    hand = points[-1]
    outfit = style.outfit
    tone = shade(style.main, 0.07)
    item = _prop(style.prop, hand) if side == 1 and not style.pose.prop_at else ""
    if outfit.sleeves:
        width = 13 if "wide sleeves" in outfit.details else 9.6
        found += line(tone, width, along(points, outfit.sleeves * 0.9))
    return item + found + oval(outfit.gloves or style.skin, hand[0], hand[1], 4.6, 4.6)


def _prop(name: str, at: Point) -> str:
    """A prop whose handle is at a point."""
    found = PROPS.get(name.replace(" ", "-"), "")
    return found and f'<g transform="translate({at[0]:g} {at[1]:g})">{found}</g>'


def _leg(style: Style, side: int) -> str:
    points: Line = style.pose.legs[side]
    outfit = style.outfit
    found = line(style.skin, 8.6, points)
    long_skirt = style.pose.legs_in_front and outfit.skirt > 0.5
    legwear, legs = (style.main, 0.86) if long_skirt else (style.legwear, outfit.legs * 0.97)
    tone = legwear if side else shade(legwear, 0.08)
    if legs:
        found += line(tone, 14 if long_skirt else 12.4, along(points, legs))
    x, y = points[-1]
    toes = style.pose.toes
    side_step = toes or (2.5 if side else -2.5)
    shoe = outfit.shoes or style.skin
    return found + oval(shoe, x + side_step, y + 1.5, 7.4, 4.4)


def _skirt(style: Style) -> str:
    outfit = style.outfit
    if not outfit.skirt or style.pose.legs_in_front:
        return ""
    ends = [along(points, outfit.skirt)[-1] for points in style.pose.legs]
    left = min(45.0, min(x for x, _ in ends) - 4 - outfit.flare / 2)
    right = max(75.0, max(x for x, _ in ends) + 4 + outfit.flare / 2)
    low = max(100.0, *(y + 2 for _, y in ends))
    middle = (left + right) / 2
    return path(
        shade(style.main, 0.05) if outfit.skirt < 0.5 else style.main,
        f"M46.5 80H73.5L75 98L{right:.1f} {low - 3:.1f}Q{middle:.1f} {low + 4:.1f} "
        f"{left:.1f} {low - 3:.1f}L45 98z",
    )


def _wings(style: Style) -> str:
    if "wings" not in style.person.details:
        return ""
    tone = "#ffffff" if style.person.hat == "halo" else "#d6f3ff"
    shape = "M56 58C40 30 16 26 10 40C6 54 22 66 34 68C22 72 20 88 30 92C42 92 54 80 58 70z"
    one = f'<path fill="{tone}" stroke="#b8d1eb" stroke-width="1.4" d="{shape}"/>'
    return one + f'<g transform="matrix(-1 0 0 1 120 0)">{one}</g>'


def _book() -> str:
    return path("#b8433f", "M43 68L60 73 77 68V86L60 91 43 86z") + path(
        "#fffaf0", "M45 66.5L60 71.5 75 66.5V83.5L60 88.5 45 83.5z"
    )
