"""Drawing styles: filters on finished pixels, such as pixel art, watercolour and neon.

Lengths are in units of the full size, so a style looks the same at 1/8 of it. The randomness of
paper and paint comes from the scene's seed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from daguerre.models.embedded.drawing.scene import Scene

Array = NDArray[np.floating[Any]]
LARGE = ("portrait",)  # one large shape stays clear in coarse pixels
LIGHT = np.array((0.299, 0.587, 0.114), np.float32)
MEAN = np.full(3, 1 / 3, np.float32)  # of the three channels
VIVID = np.linspace(0, 1, 256, dtype=np.float32) ** 2.2  # of each byte: stronger hues for neon
REDUCTION = 4  # of a picture before a wide blur


@dataclass(frozen=True)
class Sheet:
    """Input of a filter: pixels (h, w, 3) uint8, their scale, and the scene."""

    bytes: NDArray[np.uint8]
    scale: float  # pixels for one unit of the full size
    scene: Scene

    @cached_property
    def pixels(self) -> Array:
        """The pixels from 0 to 1."""
        return _floats(self.bytes)

    def channels(self) -> list[NDArray[np.uint8]]:
        """Red, green and blue (h, w): numpy takes a third of the time for arrays of one channel."""
        return [np.ascontiguousarray(self.bytes[..., i]) for i in range(3)]

    def px(self, units: float) -> int:
        """A length in whole pixels, at least one."""
        return max(1, round(units * self.scale))

    def noise(self, cell: float, salt: int) -> Array:
        """Smooth noise around 0 with bumps about `cell` wide; the same at every scale."""
        h, w = self.bytes.shape[:2]
        across, down = w / self.scale / cell, h / self.scale / cell
        # numpy keeps the stream of RandomState frozen (NEP 19).
        rng = np.random.RandomState((self.scene.seed, salt))
        grid = rng.standard_normal((int(down) + 2, int(across) + 2)).astype(np.float32)
        soft = Image.fromarray(grid).resize(
            (w, h), Image.Resampling.BICUBIC, box=(0, 0, across, down)
        )
        return np.asarray(soft)

    def edges(self, width: float) -> Array:
        """Largest colour difference within `width` of each pixel: (h, w)."""
        n = max(2, self.px(width))
        high = _slide(_slide(self.bytes, n, 0, np.maximum), n, 1, np.maximum)
        low = _slide(_slide(self.bytes, n, 0, np.minimum), n, 1, np.minimum)
        return _floats(_strongest(high - low))


def apply_style(pixels: NDArray[np.uint8], scene: Scene) -> NDArray[np.uint8]:
    """Applies the scene's style to its picture, (h, w, 3) uint8."""
    if not scene.style:
        return pixels
    sheet = Sheet(pixels, pixels.shape[1] / scene.width, scene)
    drawn = FILTERS[scene.style](sheet)
    return (drawn.clip(0, 1) * 255 + 0.5).astype(np.uint8)


def _floats(pixels: NDArray[np.uint8]) -> Array:
    return pixels.astype(np.float32) * np.float32(1 / 255)


def _strongest(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The maximum of the three channels: (h, w)."""
    red, green, blue = np.moveaxis(pixels, 2, 0)
    found: NDArray[np.uint8] = np.maximum(np.maximum(red, green), blue)
    return found


def _slide(
    a: NDArray[np.uint8], n: int, axis: int, best: Callable[[Any, Any], Any]
) -> NDArray[np.uint8]:
    """Maximum or minimum of n neighbours along an axis, by doubling the window."""
    pad = [(0, 0)] * a.ndim
    pad[axis] = (n // 2, n - 1 - n // 2)
    found = np.moveaxis(np.pad(a, pad, mode="edge"), axis, 0)
    size, wide = a.shape[axis], 1
    while 2 * wide <= n:
        found = best(found[:-wide], found[wide:])
        wide *= 2
    found = best(found[:size], found[n - wide : n - wide + size])
    return np.moveaxis(found, 0, axis)


def _step(a: Array, low: float, high: float) -> Array:
    """A linear ramp, 0 at `low` and 1 at `high`."""
    found: Array = ((a - low) / (high - low)).clip(0, 1)
    return found


def _blurred(a: Array, radius: float) -> Array:
    return _floats(_blurred_bytes((a.clip(0, 1) * 255).astype(np.uint8), radius))


def _blurred_bytes(a: NDArray[np.uint8], radius: float) -> NDArray[np.uint8]:
    picture = Image.fromarray(a)
    if radius < 2 * REDUCTION:
        return np.asarray(picture.filter(ImageFilter.GaussianBlur(radius)))
    small = picture.reduce(REDUCTION).filter(ImageFilter.GaussianBlur(radius / REDUCTION))
    return np.asarray(small.resize(picture.size, Image.Resampling.BILINEAR))


def _grey(sheet: Sheet) -> Array:
    """Lightness (h, w, 1), stretched to the full range."""
    light: Array = (sheet.pixels @ LIGHT)[..., None]
    low, high = np.percentile(light, (1, 99))
    spread: Array = (light - low) / max(0.25, high - low)
    return spread


def pixel_art(sheet: Sheet) -> Array:
    cell = 8 if sheet.scene.lettering else 32 if sheet.scene.kind in LARGE else 16
    side = sheet.px(cell)
    h, w = (n // side for n in sheet.pixels.shape[:2])
    cells = sheet.pixels.reshape(h, side, w, side, 3).mean((1, 3))
    image = Image.fromarray((cells * 255).astype(np.uint8))
    few = image.quantize(24, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).convert("RGB")
    flat = np.asarray(few, np.float32) / 255
    vivid: Array = flat + 0.12 * (flat - (flat @ LIGHT)[..., None])
    return vivid.repeat(side, axis=0).repeat(side, axis=1)


def line_drawing(sheet: Sheet) -> Array:
    # Blurring rounds the corners of a square neighbourhood.
    ink = _step(_blurred(sheet.edges(9), 3 * sheet.scale), 0.07, 0.24)[..., None]
    paper, pen = (np.array(c, np.float32) for c in ((0.995, 0.99, 0.975), (0.13, 0.14, 0.20)))
    drawn: Array = paper + ink * (pen - paper)
    return drawn


def watercolour(sheet: Sheet) -> Array:
    h, w = sheet.bytes.shape[:2]
    wobble = 5 * sheet.scale
    y = (np.arange(h)[:, None] + wobble * sheet.noise(40, 1)).round().astype(np.int32)
    x = (np.arange(w) + wobble * sheet.noise(40, 2)).round().astype(np.int32)
    moved = sheet.bytes.reshape(-1, 3)[y.clip(0, h - 1) * w + x.clip(0, w - 1)]
    wash = _floats(_blurred_bytes(moved, 3 * sheet.scale))
    grey = wash @ MEAN
    rim = (grey - _blurred(grey, 18 * sheet.scale)).clip(-0.2, 0)
    pigment = 0.82 + 0.10 * sheet.noise(120, 3) + 0.05 * sheet.noise(24, 4)
    shown = _step(_rim(sheet) + 14 * sheet.noise(60, 5) + 5 * sheet.noise(20, 6), 26, 44)
    paint, light = shown * pigment, shown * (0.8 * rim - pigment)
    drawn = np.empty_like(wash)
    for channel, paper in enumerate((0.99, 0.98, 0.95)):
        shade = 0.35 + 0.65 * paper
        drawn[..., channel] = paper + shown * (shade + 0.02 - paper)
        drawn[..., channel] += shade * (light + paint * wash[..., channel])
    return drawn


def _rim(sheet: Sheet) -> Array:
    """Distance of each pixel from the frame, in units of the full size."""
    h, w = sheet.pixels.shape[:2]
    y, x = np.arange(h, dtype=np.float32) + 0.5, np.arange(w, dtype=np.float32) + 0.5
    near = np.minimum(np.minimum(y, h - y)[:, None], np.minimum(x, w - x)[None])
    found: Array = near / sheet.scale
    return found


def pastel(sheet: Sheet) -> Array:
    soft = 1 - (1 - sheet.pixels) * np.array((0.50, 0.52, 0.50), np.float32)
    grey = (soft @ LIGHT)[..., None]
    chalk = 0.016 * sheet.noise(14, 1) + 0.008 * sheet.noise(45, 2)
    drawn: Array = grey + 1.15 * (soft - grey) + chalk[..., None]
    return drawn


def neon(sheet: Sheet) -> Array:
    edges = _step(_blurred(sheet.edges(10), 3 * sheet.scale), 0.08, 0.30)
    n = max(2, sheet.px(16))
    near = _slide(_slide(sheet.bytes, n, 0, np.maximum), n, 1, np.maximum)
    strongest = _strongest(near)
    floored = np.maximum(strongest, 13)  # a near-black has no hue
    spread = (strongest - (255 - _strongest(255 - near))) / floored.astype(np.float32)
    colourful = edges * _step(spread, 0.12, 0.35)
    vivid, plain = colourful / VIVID[floored], edges - colourful
    turn = plain * _step(sheet.noise(420, 1), -0.7, 0.7)
    cyan, pink, dark = (0.15, 0.9, 1.0), (1.0, 0.25, 0.85), (0.03, 0.02, 0.09)
    drawn = np.empty(sheet.bytes.shape, np.float32)
    for i, channel in enumerate(sheet.channels()):
        tube = vivid * VIVID[near[..., i]] + plain * cyan[i] + turn * (pink[i] - cyan[i])
        light = _blurred(tube, 14 * sheet.scale) + 0.8 * _blurred(tube, 44 * sheet.scale)
        drawn[..., i] = dark[i] + 0.10 * _floats(channel) + 0.95 * tube + 0.9 * light
    return drawn


def black_and_white(sheet: Sheet) -> Array:
    drawn: Array = (0.04 + 0.93 * _grey(sheet)).repeat(3, axis=2)
    return drawn


def vintage(sheet: Sheet) -> Array:
    grey = _grey(sheet).clip(0, 1)
    ink, paper = (np.array(c, np.float32) for c in ((0.24, 0.15, 0.10), (0.96, 0.89, 0.74)))
    aged = ink + grey * (paper - ink)
    faded = 0.8 * aged + 0.2 * (0.12 + 0.76 * sheet.pixels)
    grain = 0.018 * sheet.noise(12, 1) + 0.02 * sheet.noise(160, 2)
    corner = 1 - 0.30 * (1 - _step(_rim(sheet) + 20 * sheet.noise(150, 3), -20, 240)) ** 1.6
    drawn: Array = (faded + grain[..., None]) * corner[..., None]
    return drawn


FILTERS: dict[str, Callable[[Sheet], Array]] = {
    "pixel art": pixel_art,
    "line drawing": line_drawing,
    "watercolour": watercolour,
    "pastel": pastel,
    "neon": neon,
    "black and white": black_and_white,
    "vintage": vintage,
}
