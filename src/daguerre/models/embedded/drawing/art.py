"""The open vector art that scenes are drawn with, and its rasteriser, ThorVG.

`training.art` packs art.json.gz from the icon sets that NOTICE names. It holds the looks of each
thing, and for each look the SVG content and the size of its view.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from thorvg_python.base import Colorspace, Result
from thorvg_python.canvas.sw import SwCanvas
from thorvg_python.engine import Engine
from thorvg_python.paint.picture import Picture

from daguerre.models.embedded.drawing.colour import Rgb, hexa, rgb

ART = Path(__file__).with_name("art.json.gz")
Look: TypeAlias = tuple[str, str]  # art set and icon
Drawn: TypeAlias = tuple[str, float, float]  # SVG content, width and height of its view


@lru_cache(maxsize=1)
def _shipped() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(gzip.decompress(ART.read_bytes()))
    return found


def looks(thing: str) -> tuple[Look, ...]:
    """The looks of a thing, the most usual first; empty for an unknown name."""
    return tuple((name, icon) for name, icon in _shipped()["looks"].get(thing, ()))


def body(name: str, icon: str) -> Drawn | None:
    """The icon's SVG content and the width and height of its view, or None for an unknown icon."""
    found = _shipped()["icons"].get(name, {}).get(icon)
    return None if found is None else (found[0], float(found[1]), float(found[2]))


def document(text: str, width: float, height: float) -> str:
    """An SVG document with the content centred in a square."""
    side = max(width, height)
    box = f"{(width - side) / 2} {(height - side) / 2} {side} {side}"
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}">{text}</svg>'


@lru_cache(maxsize=1)
def _engine() -> Engine:
    return Engine(threads=0)  # more threads give the same pixels and little speed


def draw(svg_text: str, width: int, height: int) -> NDArray[np.uint8]:
    """Rasterises an SVG document, stretched to the size: (height, width, 4) uint8, RGBA.

    Raises `ValueError` for a malformed document.
    """
    return _rasterised(svg_text, width, height, Colorspace.ABGR8888S)


def draw_opaque(svg_text: str, width: int, height: int) -> NDArray[np.uint8]:
    """Rasterises an SVG document that covers its view: (height, width, 3) uint8, RGB.

    The same pixels as those of `draw`, in less time.
    """
    pixels = _rasterised(svg_text, width, height, Colorspace.ABGR8888)  # nothing to divide by alpha
    found = np.empty((height, width, 3), np.uint8)
    for channel in range(3):  # five times as fast as one copy of all three
        found[..., channel] = pixels[..., channel]
    return found


def _rasterised(
    svg_text: str, width: int, height: int, colorspace: Colorspace
) -> NDArray[np.uint8]:
    """(height, width, 4) uint8, in memory of its own."""
    canvas = SwCanvas(_engine())
    canvas.set_target(width, height, cs=colorspace)
    picture = Picture(_engine())
    try:
        if picture.load_data(svg_text.encode(), "svg", None, True) != Result.SUCCESS:
            raise ValueError(f"not an SVG document: {svg_text[:80]!r}")
        picture.set_size(width, height)
        canvas.add(picture)
        canvas.update()
        canvas.draw(True)
        canvas.sync()
        assert canvas.buffer_arr is not None, "a canvas without a target. This is a bug."
        pixels = np.frombuffer(memoryview(canvas.buffer_arr), np.uint8)
        return pixels.reshape(height, width, 4)
    finally:
        canvas.destroy()


_HEX = re.compile(r"#[0-9a-fA-F]{6}\b|#[0-9a-fA-F]{3}\b")


def map_colours(text: str, change: Callable[[Rgb], Rgb]) -> str:
    """The SVG content with every hexadecimal colour changed."""

    def swap(match: re.Match[str]) -> str:
        digits = match.group()[1:]
        if len(digits) == 3:
            digits = "".join(d * 2 for d in digits)
        return hexa(change(rgb("#" + digits)))

    return _HEX.sub(swap, text)
