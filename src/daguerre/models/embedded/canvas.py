"""Where an image's patches lie: image <-> (256, 192) patches, their positions, and the padding.

The denoiser works at 1/8 of the image's size, in patches of 8x8 (so one patch stands for a cell of
64x64 pixels of the file). The nine sizes have 238 to 256 cells; all are padded to 256, so that one
network of static shape serves them all. Training and serving share this code.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

SCALE = 8  # pixels of the file for one pixel of the canvas
PATCH = 8  # canvas pixels on the side of a patch
NUM_PATCHES = 256
NUM_COARSE_PATCHES = 72
PATCH_VALUES = PATCH * PATCH * 3
POSITION_WIDTH = 96
_HIDDEN = -1e4  # added to the attention logits of padding


@dataclass(frozen=True, slots=True, eq=False)
class Canvas:
    """position (num_patches, 96) and bias (num_patches,) float32: the denoiser's inputs."""

    rows: int
    columns: int
    position: NDArray[np.float32]
    bias: NDArray[np.float32]

    def patchify(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """(..., rows * 8, columns * 8, 3) -> (..., num_patches, 192), padding is zero."""
        lead = image.shape[:-3]
        grid = image.reshape(*lead, self.rows, PATCH, self.columns, PATCH, 3)
        patches = np.moveaxis(grid, -4, -3).reshape(*lead, -1, PATCH_VALUES)
        out = np.zeros((*lead, len(self.bias), PATCH_VALUES), image.dtype)
        out[..., : self.rows * self.columns, :] = patches
        return out

    def unpatchify(self, patches: NDArray[np.float32]) -> NDArray[np.float32]:
        """(..., num_patches, 192) -> (..., rows * 8, columns * 8, 3)."""
        lead = patches.shape[:-2]
        grid = patches[..., : self.rows * self.columns, :]
        grid = grid.reshape(*lead, self.rows, self.columns, PATCH, PATCH, 3)
        return np.moveaxis(grid, -4, -3).reshape(*lead, self.rows * PATCH, self.columns * PATCH, 3)


@cache
def canvas(width: int, height: int) -> Canvas:
    """The canvas of a file of `width` x `height` pixels, whole numbers of 64."""
    rows, columns = height // (SCALE * PATCH), width // (SCALE * PATCH)
    assert rows * columns <= NUM_PATCHES and (rows * 64, columns * 64) == (height, width), (
        f"{width}x{height} has no canvas. This is a bug."
    )
    return _grid(rows, columns, rows, columns, NUM_PATCHES)


@cache
def coarse_canvas(width: int, height: int) -> Canvas:
    """About half of `canvas` each way, for the first part of the training: (72, 192) patches.

    A patch covers about 2x2 cells and lies at their centre, so positions mean the same.
    """
    rows, columns = height // (SCALE * PATCH), width // (SCALE * PATCH)
    return _grid(-(-rows // 2), -(-columns // 2), rows, columns, NUM_COARSE_PATCHES)


def _grid(rows: int, columns: int, height: int, width: int, num_patches: int) -> Canvas:
    """`rows` x `columns` patches over `height` x `width` cells, padded to `num_patches`."""
    y = (np.arange(rows) - (rows - 1) / 2) * (height / rows)  # cells from the centre
    x = (np.arange(columns) - (columns - 1) / 2) * (width / columns)
    y, x = np.repeat(y, columns), np.tile(x, rows)
    frequencies = 1.2 * (1 / 60) ** (np.arange(16) / 15)  # radians a cell, 0.02 to 1.2
    angles = np.concatenate((y[:, None] * frequencies, x[:, None] * frequencies), axis=1)
    octaves = np.pi / 2 * 2.0 ** np.arange(4)  # of the canvas: [-1, 1] from edge to edge
    y_edge, x_edge = (2 * y / height)[:, None] * octaves, (2 * x / width)[:, None] * octaves
    waves = (f(a) for a in (y_edge, x_edge, y_edge / 4, x_edge / 4) for f in (np.cos, np.sin))
    position = np.zeros((num_patches, POSITION_WIDTH), np.float32)
    position[: rows * columns] = np.concatenate((np.cos(angles), np.sin(angles), *waves), axis=1)
    position[rows * columns :, :32] = 1.0
    bias = np.full(num_patches, _HIDDEN, np.float32)
    bias[: rows * columns] = 0.0
    return Canvas(rows, columns, position, bias)
