"""The right hand of a figure alone, to be drawn over what it holds."""

from __future__ import annotations

from daguerre.models.embedded.drawing import art, figures, things
from daguerre.models.embedded.drawing.svg import oval, scaled

HAND = "hand"  # the art set of hands; an icon is that of the whole figure


def drawn(icon: str) -> art.Drawn:
    """The hand at its place in the view of the figure."""
    style = figures.styled(icon)
    x, y = style.pose.arms[1][-1]
    _, body = figures.BUILDS.get(style.build, (1.0, 1.0))
    hand = scaled(oval(style.outfit.gloves or style.skin, x, y, 4.6, 4.6), body, 60, figures.FEET)
    return f'<g transform="translate(0 {figures.SKY:g})">{hand}</g>', *figures.VIEW


things.PAINTERS[HAND] = drawn
