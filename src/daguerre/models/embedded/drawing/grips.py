"""Where holders have things: the place of the hand, paws or mouth, and the place on the thing.

Places and sizes are shares of the square of a look.
"""

from __future__ import annotations

from daguerre.models.embedded.drawing import animals, art, figures, things
from daguerre.models.embedded.drawing.canvas import Point
from daguerre.models.embedded.drawing.mouths import MOUTHS, PAWS, ROLLING, is_mouthful

# Things that are gripped at their lower or upper end.
GRIPPED_BELOW = frozenset(
    (
        "balloon,umbrella,flower,rose,tulip,sunflower,candle,lollipop,ice cream,kite,trophy,beer,"
        "bouquet,hibiscus,magic wand,paintbrush,hammer,axe,sword,key,pencil,toothbrush,carrot,"
        "broom,fishing rod"
    ).split(",")
)
GRIPPED_ABOVE = frozenset("lantern,handbag,backpack,basket,briefcase,suitcase,bell".split(","))
EDGE = (0.05, 0.6)  # of the visible part, where a hand grips other things
HELD = 0.36  # longer side of a held thing, as a share of the holder's height
TALL = {  # the same for tall things, which are behind their holder
    **{"umbrella": 0.72, "fishing rod": 0.7, "balloon": 0.62, "kite": 0.6, "broom": 0.6},
    "sword": 0.5,
}


def is_held_by_hand(holder: art.Look, thing: str) -> bool:
    """True for a person with a thing that is not held in the arm, as animals and dolls are."""
    row = things.BY_NAME.get(thing)
    is_hugged = thing in ("teddy bear", "doll", "baby") or (row is not None and row.kind == "a")
    return holder[0] == figures.FIGURE and not is_hugged


def holding_point(name: str, holder: art.Look, thing: str) -> Point:
    """The hand, mouth or paws in which a holder has a thing; the ground for a rolling one."""
    left, top, right, bottom = things.bounds(holder)
    is_whole = holder[0] == animals.WHOLE
    if holder[0] == figures.FIGURE:
        return figures.points(holder[1])[0]
    if thing in ROLLING:
        return left, bottom
    if is_mouthful(thing) and (is_whole or name in MOUTHS):
        return PAWS if is_whole else MOUTHS[name]
    return (0.7, 0.68) if is_whole else (left + 0.12 * (right - left), top + 0.66 * (bottom - top))


def held_point(name: str, thing: art.Look, holder: art.Look) -> Point:
    """The place on a thing that is in the hand, mouth or paws of its holder."""
    left, top, right, bottom = things.bounds(thing)
    middle = (left + right) / 2
    if name in ROLLING and holder[0] != figures.FIGURE:
        return middle, bottom
    if name in TALL or name in GRIPPED_BELOW:
        return middle, bottom - 0.05
    if name in GRIPPED_ABOVE:
        return middle, top + 0.06
    if is_held_by_hand(holder, name):
        return left + EDGE[0] * (right - left), top + EDGE[1] * (bottom - top)
    return middle, (top + bottom) / 2
