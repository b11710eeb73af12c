"""Colours of scenes: sky and light of each hour, greens of each season, glows, backgrounds.

`palette_of` is the palette of a scene's hour and weather. `Palette.lit` is the colour of land at a
distance in that light.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cached_property

from daguerre.models.embedded.drawing.colour import BLACK, WHITE, Rgb, lit_by, mix, rgb
from daguerre.models.embedded.drawing.scene import Scene


@dataclass(frozen=True)
class Palette:
    """The colours of one hour: the sky from its top down, the air, and the light on land."""

    sky: tuple[Rgb, ...]
    haze: Rgb
    shade: Rgb
    shading: float
    ambient: Rgb
    light: Rgb

    def lit(self, colour: Rgb, depth: float) -> Rgb:
        """The colour of land at a depth from 0 (horizon) to 1 (foreground).

        Pale colours, such as snow, stay pale in the dark.
        """
        dark = self.shading * (0.62 + 0.22 * depth)
        seen = mix(lit_by(colour, self.ambient), self.shade, min(0.8, dark))
        pale = min(1.0, max(0.0, (min(colour) - 0.5) / 0.3))
        seen = mix(seen, lit_by(colour, self._skylight), pale)
        return mix(seen, self.haze, (0.72 - 0.2 * pale) * (1 - depth) ** 1.1)

    @cached_property
    def _skylight(self) -> Rgb:
        """White under this sky."""
        shaded = mix(self.shade, self.sky[1], 0.5)
        return mix(mix(self.ambient, WHITE, 0.7), shaded, 0.48 * self.shading)


def _palette(sky: str, haze: str, shade: str, shading: float, ambient: Rgb, light: str) -> Palette:
    stops = tuple(rgb(s) for s in sky.split())
    return Palette(stops, rgb(haze), rgb(shade), shading, ambient, rgb(light))


_WARM: Rgb = (0.97, 0.74, 0.62)
_NIGHT: Rgb = (0.40, 0.48, 0.70)
PALETTES: dict[str, tuple[Palette, ...]] = {
    "dawn": (
        _palette(
            "#86a8dc #d9b3d6 #ffc9c0 #ffe8c4",
            "#f8cfc8",
            "#5b4a80",
            0.30,
            (0.98, 0.88, 0.90),
            "#fff1cf",
        ),
        _palette(
            "#8fc1e3 #c9d6ea #ffd9c7 #fff0d2",
            "#f5dccf",
            "#4f5d8a",
            0.25,
            (0.98, 0.92, 0.92),
            "#fff4d6",
        ),
        _palette(
            "#6f86c9 #b79bd0 #f7a8b8 #ffd3ae",
            "#eeb6bd",
            "#473d78",
            0.35,
            (0.95, 0.82, 0.88),
            "#ffe7b8",
        ),
    ),
    "day": (
        _palette("#3f9be0 #7cc4f0 #c8e9f8", "#cfe8f3", "#2f6f8f", 0.0, (1.0, 1.0, 1.0), "#fff3b0"),
        _palette("#58b4e8 #9edcf0 #e4f6ee", "#d8eee8", "#2f6f8f", 0.0, (1.0, 1.0, 0.97), "#fff6c4"),
        _palette("#2f86d6 #69b3ea #b5ddf6", "#bcdcf2", "#2f6f8f", 0.0, (0.98, 1.0, 1.0), "#fff2a8"),
    ),
    "sunset": (
        _palette(
            "#2f3178 #8f4b93 #f2727a #ffb26b #ffe09a", "#fb9a78", "#2c1a48", 0.58, _WARM, "#fff0b8"
        ),
        _palette("#3a1c5c #a83a6b #f4664f #ffb347", "#f58a5b", "#2a1236", 0.62, _WARM, "#ffe58a"),
        _palette("#5a5ea8 #c97ba6 #ff9f80 #ffd9a4", "#f8ab92", "#3b2a5c", 0.52, _WARM, "#fff3c9"),
        _palette("#24427c #7a6a9e #f08f62 #ffd072", "#f0a36f", "#24264a", 0.58, _WARM, "#fff2b0"),
        _palette("#5c2a70 #b83b5e #f0825d #f9d969", "#ef8a62", "#31143f", 0.58, _WARM, "#fff4a8"),
        _palette("#f06a5d #ff9a56 #ffc765 #ffe9a6", "#ffb070", "#4a2040", 0.58, _WARM, "#fffbd6"),
    ),
    "dusk": (
        _palette(
            "#1e2456 #4b3f83 #9a6aa3 #e8a0a6",
            "#8f6fa4",
            "#1c1a40",
            0.58,
            (0.62, 0.58, 0.78),
            "#ffd9c4",
        ),
        _palette(
            "#1b2f5e #3f5a93 #8f8fc0 #e6b6b8",
            "#8088b4",
            "#172246",
            0.55,
            (0.58, 0.64, 0.82),
            "#ffe1cf",
        ),
        _palette(
            "#2a1f55 #5b3b86 #b0629a #f29a8c",
            "#9a5f98",
            "#221643",
            0.58,
            (0.64, 0.54, 0.76),
            "#ffd0b0",
        ),
    ),
    "night": (
        _palette("#0a1033 #182861 #345499", "#345596", "#101a48", 0.42, _NIGHT, "#fdf6d8"),
        _palette(
            "#0b0a2a #231a58 #4a3488", "#57459c", "#191244", 0.42, (0.44, 0.40, 0.68), "#fff4de"
        ),
        _palette(
            "#06182b #0f3a52 #287082", "#2f7486", "#082a3a", 0.40, (0.38, 0.54, 0.62), "#f4fbe4"
        ),
    ),
}
SNOW, LAMPLIGHT = rgb("#f4f8ff"), rgb("#ffd873")
# By season, "" for none: grass, leaves of round trees, needles.
GREENS = {
    "spring": "#8fce5a",
    "summer": "#4fa84a",
    "autumn": "#d98b3a",
    "winter": "#edf3fa",
    "": "#5fae52",
}
LEAVES = {
    "spring": ("#9fd66a", "#f4a9c4", "#7cc45c"),
    "summer": ("#3f9a48", "#57b052", "#2f8544"),
    "autumn": ("#e07b2c", "#c8432e", "#e9b23c"),
    "winter": ("#dbe7f0", "#c7d8e6", "#eef5fa"),
    "": ("#4aa24c", "#5fb257", "#3a8f48"),
}
PINE = {
    "winter": "#5f8f8c",
    "autumn": "#4a7a4c",
    "spring": "#4f9a60",
    "summer": "#2f7f55",
    "": "#357f58",
}
# Colour words of glows, and the neighbour that each may be mixed with.
GLOWS: dict[str, Rgb] = {
    "blue": rgb("#4fc8ff"),
    "purple": rgb("#b98cff"),
    "pink": rgb("#ff86cf"),
    "green": rgb("#74f2a4"),
    "orange": rgb("#ffb057"),
}
NEIGHBOURS = {
    "blue": "purple",
    "purple": "blue",
    "pink": "purple",
    "green": "blue",
    "orange": "pink",
}
# Colour words of backgrounds, and the tones of each.
BACKS: dict[str, tuple[str, ...]] = {
    "white": ("#ffffff",),
    "blue": ("#8ec9f0", "#5aa9e6", "#b8dcf5"),
    "green": ("#a5d9a0", "#7cc68d"),
    "yellow": ("#ffe08a", "#ffd75e"),
    "pink": ("#f9bfd0", "#f7a8c0"),
    "purple": ("#c3aeea", "#9d84d6"),
    "orange": ("#ffbf80", "#ffa95c"),
    "red": ("#ef7f77", "#e2605c"),
    "gray": ("#cfd4da", "#aab2bc"),
    "black": ("#20222c", "#17181f"),
    "beige": ("#f3e7d3", "#eadbc0"),
    "teal": ("#7fcfc8", "#4fb3ac"),
}


def palette_of(scene: Scene) -> Palette:
    """The palette of the scene's hour, mixed with its weather."""
    p = PALETTES[scene.time][scene.palette % len(PALETTES[scene.time])]
    gray = {"cloudy": 0.30, "rain": 0.55, "snow": 0.45, "fog": 0.45, "storm": 0.70}
    amount = gray.get(scene.weather, 0.0)
    if not amount:
        return p
    level = {"dawn": 0.72, "day": 0.74, "sunset": 0.62, "dusk": 0.44, "night": 0.32}[scene.time]
    tone: Rgb = (level * 0.94, level * 0.98, level * 1.06)
    if scene.weather == "storm":
        tone = mix(tone, (0.16, 0.17, 0.25), 0.6)
    sky = tuple(mix(s, tone, amount) for s in p.sky)
    ambient = mix(p.ambient, mix(p.ambient, tone, 0.5), amount)
    return Palette(sky, mix(p.haze, tone, amount), p.shade, p.shading, ambient, p.light)


def field(scene: Scene, dark: float = 0.0) -> Rgb:
    """The colour of the ground in the season, darker by a share; snow darkens less."""
    dark = dark / 3 if scene.is_snowy else dark
    return mix(rgb(GREENS[scene.ground_season]), BLACK, dark)


def snowed(scene: Scene, tone: Rgb, cover: float = 1.0) -> Rgb:
    """A colour of the ground, under a cover of snow from 0 to 1 in winter."""
    return mix(tone, SNOW, cover) if scene.is_snowy else tone


def needles(scene: Scene) -> Rgb:
    """The colour of firs in the season."""
    return rgb(PINE[scene.ground_season])


def leaves(scene: Scene, r: random.Random) -> Rgb:
    """A random colour of round trees in the season."""
    return rgb(r.choice(LEAVES[scene.ground_season]))


def glow_of(scene: Scene, r: random.Random) -> Rgb:
    """The scene's glow, sometimes mixed with its neighbour."""
    glow = GLOWS[scene.glow]
    return glow if r.random() < 0.7 else mix(glow, GLOWS[NEIGHBOURS[scene.glow]], 0.5)
