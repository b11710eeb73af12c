"""The canvas: patches there and back, padding, and positions that tell patches apart."""

from __future__ import annotations

import numpy as np
import pytest

from daguerre.models.embedded.canvas import NUM_PATCHES, PATCH_VALUES, canvas
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
