"""SVG elements: short forms for drawings in code, and the symbols of a file of drawings."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

_SYMBOL = re.compile(r'<symbol id="([^"]+)"[^>]*>\n(.*?)\n</symbol>', re.DOTALL)


def symbols(file: Path) -> dict[str, str]:
    """The SVG content of each symbol of a file, by its identifier."""
    return dict(_SYMBOL.findall(file.read_text(encoding="utf-8")))


def path(fill: str, d: str) -> str:
    return f'<path fill="{fill}" d="{d}"/>'


def oval(fill: str, x: float, y: float, rx: float, ry: float) -> str:
    return f'<ellipse fill="{fill}" cx="{x:.4g}" cy="{y:.4g}" rx="{rx:.4g}" ry="{ry:.4g}"/>'


def box(fill: str, x: float, y: float, wide: float, high: float, round_: float = 0) -> str:
    """A rectangle with round corners."""
    return (
        f'<rect fill="{fill}" x="{x:.4g}" y="{y:.4g}" width="{wide:.4g}" height="{high:.4g}" '
        f'rx="{round_:.4g}"/>'
    )


def stroke(colour: str, width: float, d: str) -> str:
    """A line with round ends."""
    return (
        f'<path fill="none" stroke="{colour}" stroke-width="{width:.4g}" '
        f'stroke-linecap="round" stroke-linejoin="round" d="{d}"/>'
    )


def scaled(text: str, k: float, x: float, y: float) -> str:
    """The content at another size; the point (x, y) stays where it is."""
    if k == 1 or not text:
        return text
    at = f"translate({x - x * k:.2f} {y - y * k:.2f})"
    return f'<g transform="{at} scale({k})">{text}</g>'


def line(colour: str, width: float, points: Sequence[tuple[float, float]]) -> str:
    """A line through points."""
    return stroke(colour, width, "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points))
