"""Recolours an icon: replaces the colours that cover most of it with the colour of a colour word.

The colours are a range of hues, or the light neutrals, or the dark ones; where one of these covers
too little, a second one changes with it. The other colours stay, and so does the contrast of light
and dark parts. The table of things says which things may be recoloured.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from daguerre.models.embedded.drawing import art, figures, things
from daguerre.models.embedded.drawing.colour import Rgb

# Hue, lightness and saturation of each colour word.
TARGETS: dict[str, tuple[float, float, float]] = {
    "red": (0.99, 0.52, 0.80),
    "orange": (0.075, 0.55, 0.95),
    "yellow": (0.135, 0.58, 0.95),
    "green": (0.37, 0.42, 0.60),
    "blue": (0.59, 0.52, 0.78),
    "purple": (0.76, 0.52, 0.55),
    "pink": (0.93, 0.72, 0.85),
    "brown": (0.065, 0.34, 0.50),
    "black": (0.62, 0.14, 0.10),
    "white": (0.60, 0.92, 0.12),
    "gray": (0.60, 0.56, 0.05),
}
COLOURS = tuple(TARGETS)
SIDE = 48  # pixels of the square in which areas are measured
NUM_HUES = 24
HUE_RANGE = 0.11  # on each side of a main hue
MIN_CHROMA = 0.15  # of a colour that is not neutral
DARK = 0.27  # the highest lightness of a dark neutral
ENOUGH = 0.6  # share of the icon; a main colour that covers less changes with a second one
# Shares of the contrast of light and dark that stay, within a range and between the two.
CONTRAST, CONTRAST_OF_RANGES = 0.75, 0.4

Hls = tuple[float, float, float]


@dataclass(frozen=True)
class ColourRange:
    """Colours that belong together: all hues near `hue`, or the "light" or "dark" neutrals."""

    kind: str  # hue, light, dark
    hue: float
    lightness: float  # median over the icon
    saturation: float
    share: float  # of the icon's area

    def __contains__(self, hls: Hls) -> bool:
        hue, light, saturation = hls
        if chroma(light, saturation) < MIN_CHROMA:
            return self.kind == ("dark" if light < DARK else "light")
        return self.kind == "hue" and abs((hue - self.hue + 0.5) % 1 - 0.5) <= HUE_RANGE


def chroma(light: float, saturation: float) -> float:
    """Strength of a colour, 0 for a neutral."""
    return saturation * (1 - abs(2 * light - 1))


@dataclass(frozen=True, eq=False)
class Colours:
    """Different colours (n, 3), as hue, lightness and saturation, and the area (n,) of each."""

    hls: NDArray[np.float64]
    areas: NDArray[np.int64]

    @classmethod
    def of(cls, name: str, icon: str) -> Colours:
        """The colours of the icon's opaque pixels."""
        drawn = art.draw(art.document(*things.drawn((name, icon))), SIDE, SIDE).reshape(-1, 4)
        rgb, areas = np.unique(drawn[drawn[:, 3] > 200, :3], axis=0, return_counts=True)
        hls = [colorsys.rgb_to_hls(*colour) for colour in (rgb / 255).tolist()]
        return cls(np.array(hls).reshape(-1, 3), areas)

    def outside(self, one: ColourRange) -> Colours:
        kept = np.array([tuple(hls) not in one for hls in self.hls.tolist()], bool)
        return Colours(self.hls[kept], self.areas[kept])

    def largest_range(self, total: int, with_dark: bool) -> ColourRange | None:
        """The range that covers most; its share is of the area `total`. None without a colour."""
        hue, light, saturation = self.hls.T
        strong = saturation * (1 - np.abs(2 * light - 1)) >= MIN_CHROMA
        dark = light < DARK
        members = {("light", 0.0): ~strong & ~dark, ("dark", 0.0): ~strong & dark & with_dark}
        for centre in np.arange(NUM_HUES) / NUM_HUES:
            near = np.abs((hue - centre + 0.5) % 1 - 0.5) <= HUE_RANGE
            members["hue", float(centre)] = strong & near
        areas = {key: int(self.areas[mine].sum()) for key, mine in members.items() if mine.any()}
        if not areas:
            return None
        key = max(areas, key=lambda key: areas[key])
        return ColourRange(*key, *self._medians(members[key]), areas[key] / total)

    def _medians(self, mine: NDArray[np.bool_]) -> tuple[float, float]:
        """Medians of lightness and saturation."""
        pixels = np.repeat(self.hls[mine, 1:], self.areas[mine], axis=0)
        ordered, middle = np.sort(pixels, axis=0), len(pixels) // 2
        # numpy's own median imports its masked arrays, which takes 35 ms.
        light, saturation = ((ordered[(len(pixels) - 1) // 2] + ordered[middle]) / 2).tolist()
        return light, saturation


@lru_cache(maxsize=4096)
def main_colours(name: str, icon: str) -> tuple[ColourRange, ...]:
    """The one or two ranges that cover most of the icon, the largest first; () if it is empty.

    Dark neutrals never come second, because they are often outlines.
    """
    rest = Colours.of(name, icon)
    total = int(rest.areas.sum())
    found: list[ColourRange] = []
    while len(found) < 2 and sum(one.share for one in found) < ENOUGH:
        largest = rest.largest_range(total, with_dark=not found)
        if largest is None:
            break
        found.append(largest)
        rest = rest.outside(largest)
    return tuple(found)


def main_colour(name: str, icon: str) -> Hls:
    """Hue, lightness and saturation of the icon's main colour; a neutral has no saturation."""
    first = next(iter(main_colours(name, icon)), None)
    if first is None or first.kind != "hue":
        return 0.0, 0.5, 0.0
    return first.hue, first.lightness, first.saturation


@lru_cache(maxsize=1024)
def recoloured(name: str, icon: str, colour: str) -> str:
    """The icon's SVG content with its main colours replaced."""
    if name == figures.FIGURE:
        return things.drawn((name, figures.coloured(icon, colour)))[0]
    text = things.drawn((name, icon))[0]
    if name in things.PAINTERS:  # its drawings have the colours of their parts
        return text
    main = main_colours(name, icon) if colour else ()
    if not main:
        return text
    hue, light, saturation = TARGETS[colour]

    def change(rgb: Rgb) -> Rgb:
        hls = colorsys.rgb_to_hls(*rgb)
        mine = next((colours for colours in main if hls in colours), None)
        if mine is None:
            return rgb
        lifted = light + (hls[1] - mine.lightness) * CONTRAST
        lifted += (mine.lightness - main[0].lightness) * CONTRAST_OF_RANGES
        return colorsys.hls_to_rgb(hue, min(0.97, max(0.05, lifted)), saturation)

    # A shape without a fill is black; here it inherits a black that can be replaced.
    return art.map_colours(f'<g fill="#000000">{text}</g>', change)
