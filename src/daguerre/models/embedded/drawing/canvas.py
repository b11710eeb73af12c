"""The drawing surface: collects shapes, gradients and soft lights into one SVG document.

All lengths are in units of the scene's full size, so a document looks the same at any size. The
canvas also holds the random generator of the layout.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from daguerre.models.embedded.drawing.colour import SHADOW, Rgb, hexa, rgb
from daguerre.models.embedded.drawing.scene import Scene, SceneObject

Point = tuple[float, float]
Stop = tuple[float, Rgb, float]  # of a gradient: offset, colour, opacity


@dataclass(frozen=True)
class PlacedObject:
    """An object on the canvas, in a square with the centre (x, y)."""

    item: SceneObject
    x: float
    y: float
    side: float


class Canvas:
    """Collects SVG elements. `w`, `h`: full size; `s`: its short side; `r`: random generator.

    `objects` are the objects on it, in the order of drawing.
    """

    def __init__(self, scene: Scene) -> None:
        self.w, self.h = float(scene.width), float(scene.height)
        self.s = min(self.w, self.h)
        self.r = random.Random(scene.seed)
        self.defs: list[str] = []
        self.parts: list[str] = []
        self.objects: list[PlacedObject] = []
        self.light: float | None = None  # x of the sun or moon
        self.is_light_low = False  # shadows are long
        self.is_water = False  # there is water, not ground, under the objects
        self._shadow = ""  # the fill of shadows

    def raw(self, text: str) -> None:
        self.parts.append(text)

    def new_id(self) -> str:
        """The identifier of the next definition."""
        return f"d{len(self.defs)}"

    def linear(self, stops: list[Stop]) -> str:
        """The fill value of a vertical gradient."""
        name = self.new_id()
        self.defs.append(
            f'<linearGradient id="{name}" x2="0" y2="1">{_stops(stops)}</linearGradient>'
        )
        return f"url(#{name})"

    def radial(self, stops: list[Stop]) -> str:
        """The fill value of a gradient from the middle outwards."""
        name = self.new_id()
        self.defs.append(f'<radialGradient id="{name}">{_stops(stops)}</radialGradient>')
        return f"url(#{name})"

    def glow(
        self, x: float, y: float, r: float, colour: Rgb, alpha: float, flat: float = 1
    ) -> None:
        """A soft round light that fades to nothing at radius r."""
        shares = ((0, 1), (0.3, 0.62), (0.6, 0.28), (0.86, 0.07), (1, 0))
        fill = self.radial([(at, colour, alpha * share) for at, share in shares])
        r *= 0.84  # farther, nothing would be visible
        self.oval(x, y, r, r * flat, fill)

    def rect(self, x: float, y: float, w: float, h: float, fill: str, extra: str = "") -> None:
        self.raw(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h:.1f}" fill="{fill}"'
            f" {extra}/>"
        )

    def oval(self, x: float, y: float, rx: float, ry: float, fill: str, extra: str = "") -> None:
        self.raw(
            f'<ellipse cx="{x:.1f}" cy="{y:.1f}" rx="{rx:.1f}" ry="{ry:.1f}" fill="{fill}"'
            f" {extra}/>"
        )

    def poly(self, points: list[Point], fill: str, extra: str = "") -> None:
        text = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self.raw(f'<polygon points="{text}" fill="{fill}" {extra}/>')

    def path(self, d: str, fill: str, extra: str = "") -> None:
        self.raw(f'<path d="{d}" fill="{fill}" {extra}/>')

    def away(self, x: float) -> float:
        """The direction of shadows at x, from -1 (to the left) to 1; 0 without a light."""
        return 0.0 if self.light is None else max(-1.0, min(1.0, 3 * (x - self.light) / self.w))

    def shaded_side(self, x: float) -> int:
        """The side of an object at x that is away from the light: -1 for the left, or 1."""
        return -1 if self.light is not None and x < self.light else 1

    def shade(self, x: float, y: float, half: float) -> None:
        """The soft shadow on the ground of an object that is `half` to each side of (x, y)."""
        if not self._shadow:
            self._shadow = self.radial([(0.45, rgb(SHADOW), 0.34), (1, rgb(SHADOW), 0)])
        away = self.away(x)
        longer = abs(away) * (1.5 if self.is_light_low else 0.5)
        middle = x + math.copysign(longer * half, away)
        self.oval(middle, y, half * (1.1 + longer), half * 0.17, self._shadow)

    def fade(self, y0: float, y1: float, colour: Rgb, a0: float, a1: float) -> None:
        """A band whose opacity changes from a0 at its top to a1 at its bottom."""
        fill = self.linear([(0, colour, a0), (1, colour, a1)])
        self.rect(0, y0, self.w, y1 - y0, fill)

    def land(self, points: list[Point], top: Rgb, bottom: Rgb, low: float | None = None) -> None:
        """Fills what is below a line with a gradient that starts at its highest point.

        It ends at `low`, by default the bottom; nearer land must cover what is lower.
        """
        fill = self.linear([(0, top, 1), (1, bottom, 1)])
        low = self.h + 9 if low is None else max(low, *(y for _, y in points))
        self.poly([*points, (points[-1][0], low), (points[0][0], low)], fill)

    def mirror(
        self, group: str, y: float, alpha: float, squash: float = 1.0, ends_there: bool = False
    ) -> None:
        """Draws a group again, upside down below y; one that `ends_there` needs no clip."""
        turned = f"matrix(1 0 0 {-squash} 0 {(1 + squash) * y:.1f})"
        text = f'<g transform="{turned}" opacity="{alpha:.2f}">{group}</g>'
        if not ends_there:
            clip = self.new_id()
            self.defs.append(
                f'<clipPath id="{clip}"><rect x="-9" y="{y:.1f}" width="{self.w + 18:.1f}" '
                f'height="{self.h - y + 9:.1f}"/></clipPath>'
            )
            text = f'<g clip-path="url(#{clip})">{text}</g>'
        self.raw(text)

    def document(self) -> str:
        """The SVG document of everything drawn."""
        body = "".join(self.parts)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
            f'viewBox="0 0 {self.w:.0f} {self.h:.0f}" preserveAspectRatio="none">'
            f"<defs>{''.join(self.defs)}</defs>{body}</svg>"
        )


def _stops(stops: list[Stop]) -> str:
    return "".join(
        f'<stop offset="{at:.3f}" stop-color="{hexa(colour)}" stop-opacity="{opacity:.3f}"/>'
        for at, colour, opacity in stops
    )
