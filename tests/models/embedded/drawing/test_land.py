"""Land covers the lower part of the picture: no sky is seen below the horizon."""

from __future__ import annotations

import numpy as np
import pytest

from daguerre.models.embedded.drawing import SHAPES, Scene, art
from daguerre.models.embedded.drawing.canvas import Canvas
from daguerre.models.embedded.drawing.line import winding
from daguerre.models.embedded.drawing.picture import HORIZON, LAND, paint


@pytest.mark.parametrize("terrain", LAND)
@pytest.mark.parametrize("shape", SHAPES)
def test_land_has_no_holes(terrain: str, shape: tuple[int, int]) -> None:
    """A sky in another colour changes nothing from a tenth below the horizon on."""
    for seed in range(3):
        scene = Scene("landscape", *shape, seed, 0, "night", "fog", terrain, glow="blue")
        canvas = paint(scene)
        size = (shape[0] // 8, shape[1] // 8)
        plain = art.draw_opaque(canvas.document(), *size)
        assert canvas.parts[0].startswith("<rect")
        canvas.parts[0] = canvas.parts[0].replace('fill="', 'fill="#ff00ff" class="')
        changed = art.draw_opaque(canvas.document(), *size)
        low = round(size[1] * (HORIZON.get(terrain, 0.54) + 0.14))
        assert np.array_equal(plain[low:], changed[low:])
        assert not np.array_equal(plain, changed)


@pytest.mark.parametrize("swing", [-200.0, 0.0, 200.0])
def test_paths_widen_and_do_not_cross_themselves(swing: float) -> None:
    outline = winding(Canvas(Scene("landscape", 1024, 1024, 1)), 500, 400, 170, swing)
    left, right = outline[:25], outline[:24:-1]
    widths = [b[0] - a[0] for a, b in zip(left, right, strict=True)]
    assert widths == sorted(widths) and widths[0] > 0 and left[-1][1] > 1024
