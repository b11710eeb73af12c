"""Recolours an icon: finds its main colour and replaces it with the colour of a colour word.

The icon's other colours stay, and so does the contrast of light and dark parts. The table of things
says which things may be recoloured.
"""

from __future__ import annotations

import colorsys
from functools import lru_cache

from daguerre.models.embedded.drawing import art, things
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


@lru_cache(maxsize=4096)
def main_colour(name: str, icon: str) -> tuple[float, float, float]:
    """Hue, lightness and saturation of the icon's most common strong colour."""
    drawn = things.drawn((name, icon))
    pixels = art.draw(art.document(*drawn), 32, 32).reshape(-1, 4)
    bins: dict[int, list[tuple[float, float, float, float]]] = {}
    for r, g, b in pixels[pixels[:, 3] > 128, :3].tolist():
        h, light, s = colorsys.rgb_to_hls(r / 255, g / 255, b / 255)
        strength = s * (1 - abs(2 * light - 1))
        if strength > 0.15:
            bins.setdefault(int(h * 12 + 0.5) % 12, []).append((h, light, s, strength))
    if not bins:
        return 0.0, 0.5, 0.0
    best = max(bins.values(), key=lambda values: sum(v[3] for v in values))
    best.sort(key=lambda v: v[1])
    middle = best[len(best) // 2]
    return middle[0], middle[1], middle[2]


@lru_cache(maxsize=4096)
def recoloured(name: str, icon: str, colour: str) -> str:
    """The icon's SVG content with its main colour replaced."""
    drawn = things.drawn((name, icon))
    if not colour:
        return drawn[0]
    hue, main_light, _ = main_colour(name, icon)
    to_hue, to_light, to_sat = TARGETS[colour]

    def change(rgb: Rgb) -> Rgb:
        h, light, s = colorsys.rgb_to_hls(*rgb)
        away = abs((h - hue + 0.5) % 1 - 0.5)
        if s * (1 - abs(2 * light - 1)) < 0.10 or away > 0.11:
            return rgb
        lifted = to_light + (light - main_light) * 0.75
        return colorsys.hls_to_rgb(to_hue, min(0.97, max(0.05, lifted)), to_sat)

    return art.map_colours(drawn[0], change)
