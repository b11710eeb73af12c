"""Colours as red, green and blue from 0 to 1, and their hexadecimal notation."""

from __future__ import annotations

Rgb = tuple[float, float, float]


def rgb(text: str) -> Rgb:
    """Parses a hexadecimal colour such as #3fa9f5."""
    red, green, blue = (int(text[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return red, green, blue


def hexa(colour: Rgb) -> str:
    """The nearest hexadecimal colour; values outside 0 to 1 are clipped."""
    red, green, blue = (round(255 * min(1.0, max(0.0, c))) for c in colour)
    return f"#{red:02x}{green:02x}{blue:02x}"


def mix(a: Rgb, b: Rgb, t: float) -> Rgb:
    """Linear interpolation from a (t = 0) to b (t = 1)."""
    red, green, blue = (x + (y - x) * t for x, y in zip(a, b, strict=True))
    return red, green, blue


def lit_by(colour: Rgb, light: Rgb) -> Rgb:
    """A surface of one colour under light of another."""
    return colour[0] * light[0], colour[1] * light[1], colour[2] * light[2]


def tinted(colour: Rgb, light: Rgb, amount: float) -> Rgb:
    """A surface under white light mixed with an amount, from 0 to 1, of another light."""
    return mix(colour, lit_by(colour, light), amount)


WHITE: Rgb = (1.0, 1.0, 1.0)
BLACK: Rgb = (0.0, 0.0, 0.0)
SHADOW = "#101428"


def shade(colour: str, amount: float) -> str:
    """A darker tone of a hexadecimal colour."""
    return hexa(mix(rgb(colour), BLACK, amount))


def light(colour: str, amount: float) -> str:
    """A lighter tone of a hexadecimal colour."""
    return hexa(mix(rgb(colour), WHITE, amount))
