"""The native size of a checkpoint: that of its training images.

A larger image is drawn in about as many pixels as they have, and enlarged.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from daguerre.engine.pipeline import Pipeline, Pixels
from daguerre.models.diffusers.checkpoint import DECODER, Checkpoint
from daguerre.models.diffusers.component_files import read_json
from daguerre.params import SIZES, ImageParams
from daguerre.validation import Validator

_PATCH = 16  # pixels: all denoisers accept multiples of two latent pixels, which are 8 wide
_MIN_AREA = 0.75  # of the native size
_SIDES = range(256, 2049)
NATIVE_SIZE = Validator(
    f"0, or an integer from {_SIDES[0]} to {_SIDES[-1]}",
    lambda value: type(value) is int and (value == 0 or value in _SIDES),
)


@dataclass(frozen=True, slots=True)
class NativeSize:
    """`side` is that of a square, in pixels; 0 draws every image in its own size. Drawn sides are
    multiples of `step`."""

    side: int
    step: int = _PATCH

    def drawn(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of the image before it is enlarged: in its aspect ratio, or near it."""
        area = self.side**2
        if not area or width * height <= area:
            return width, height
        multiples = range(self.step, max(width, height), self.step)
        sizes = [(self._round(side * width / height), side) for side in multiples]
        fitting = [size for size in sizes if 0 < size[0] * size[1] <= area]
        large = [size for size in fitting if size[0] * size[1] >= _MIN_AREA * area]

        def distance(size: tuple[int, int]) -> tuple[float, int]:
            ratio = size[0] * height / (size[1] * width)
            return round(abs(math.log(ratio)), 6), -size[0] * size[1]

        return min(large or fitting, key=distance, default=(width, height))

    def enlarged_sizes(self, extra_sizes: Iterable[str]) -> dict[str, str]:
        """Size -> drawn size, such as "1024x1024" -> "512x512", for the sizes that differ."""
        sizes = {f"{width}x{height}": (width, height) for width, height in SIZES.values()}
        sizes |= {size: _pixels_of(size) for size in extra_sizes}
        drawn = {name: self.drawn(*size) for name, size in sizes.items()}
        return {name: "{}x{}".format(*size) for name, size in drawn.items() if size != sizes[name]}

    def _round(self, side: float) -> int:
        return round(side / self.step) * self.step


def native_size(checkpoint: Checkpoint, side: int | None = None) -> NativeSize:
    """That of a checkpoint: `side`, or else the side that its configuration tells, or else 0."""
    config = read_json(checkpoint.component_folder(DECODER) / "config.json")
    channels = config.get("encoder_block_out_channels", config.get("block_out_channels"))
    scale = 2 ** (len(channels) - 1) if isinstance(channels, list) and channels else 1
    if side is None:
        side = _trained_side(checkpoint, scale) if checkpoint.family.has_native_size else 0
    return NativeSize(side, max(_PATCH, scale))


def _trained_side(checkpoint: Checkpoint, scale: int) -> int:
    config = read_json(checkpoint.component_folder(checkpoint.family.denoiser) / "config.json")
    size = config.get("sample_size")
    side = size * scale if type(size) is int else 0
    return side if side in _SIDES else 0


def enlarge(pipeline: Pipeline, params: ImageParams) -> Pipeline:
    """The pipeline, whose pixels get the size of `params` with Lanczos's filter."""
    pixels = yield from pipeline
    size = (params.width, params.height)
    if pixels.shape[1::-1] == size:
        return pixels
    resized: Pixels = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))
    return resized


def _pixels_of(size: str) -> tuple[int, int]:
    width, height = map(int, size.split("x"))
    return width, height
