"""The canvas: patches there and back, padding, and positions that tell patches apart."""

from __future__ import annotations

import numpy as np
import pytest

from daguerre.models.embedded.canvas import (
    NUM_COARSE_PATCHES,
    NUM_PATCHES,
    PATCH_VALUES,
    canvas,
    coarse_canvas,
)
from daguerre.params import SIZES


@pytest.mark.parametrize(("width", "height"), SIZES.values())
def test_patches_lead_back_to_the_image(width: int, height: int) -> None:
    """Unpatchify undoes patchify for every size, and the padding is zero."""
    where = canvas(width, height)
    image = np.random.default_rng(0).random((height // 8, width // 8, 3), np.float32)
    patches = where.patchify(image)
    assert patches.shape == (NUM_PATCHES, PATCH_VALUES)
    assert np.array_equal(where.unpatchify(patches), image)
    assert not patches[where.rows * where.columns :].any()


@pytest.mark.parametrize(("width", "height"), SIZES.values())
def test_bias_hides_the_padding_alone(width: int, height: int) -> None:
    """Real patches have bias 0; padding has one that a softmax turns into exactly nothing."""
    where = canvas(width, height)
    real = where.rows * where.columns
    assert not where.bias[:real].any()
    assert np.all(np.exp(where.bias[real:]) == 0.0)


@pytest.mark.parametrize(("width", "height"), SIZES.values())
def test_every_patch_has_its_own_position(width: int, height: int) -> None:
    """No two real patches of a size share a position."""
    where = canvas(width, height)
    real = where.position[: where.rows * where.columns]
    assert len(np.unique(real.round(5), axis=0)) == len(real)


def test_rows_of_patches_follow_the_image() -> None:
    """Patch number columns + 2 is the third cell of the second row."""
    where = canvas(1344, 768)
    image = np.zeros((96, 168, 3), np.float32)
    image[8:16, 16:24] = 1.0
    (filled,) = np.flatnonzero(where.patchify(image).any(axis=1))
    assert filled == where.columns + 2


@pytest.mark.parametrize(("width", "height"), SIZES.values())
def test_coarse_patches_lie_among_the_fine(width: int, height: int) -> None:
    """The coarse canvas covers the same cells with about a quarter of the patches, symmetric about
    the same centre, so that a network can go from one to the other."""
    fine, coarse = canvas(width, height), coarse_canvas(width, height)
    assert (-(-fine.rows // 2), -(-fine.columns // 2)) == (coarse.rows, coarse.columns)
    assert len(coarse.bias) == NUM_COARSE_PATCHES
    assert np.count_nonzero(coarse.bias == 0.0) == coarse.rows * coarse.columns
    means = [
        grid.position[: grid.rows * grid.columns, 32:64].mean(axis=0) for grid in (fine, coarse)
    ]
    assert np.allclose(
        means[0], means[1], atol=1e-6
    )  # sines are odd: the mean of a centred grid is zero


def test_coarse_patch_of_a_square_lies_between_four_fine_ones() -> None:
    """Angles of a coarse patch are the means of those of the four fine ones that it covers."""
    fine, coarse = canvas(1024, 1024), coarse_canvas(1024, 1024)
    slow = 15  # the lowest frequency of y, where the sine is nearly the angle
    sines = fine.position[:, 32 + slow].reshape(16, 16)
    assert np.isclose(coarse.position[0, 32 + slow], sines[:2, :2].mean(), atol=1e-4)
    assert np.isclose(coarse.position[63, 32 + slow], sines[-2:, -2:].mean(), atol=1e-4)
