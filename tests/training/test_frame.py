"""Objects of random scenes are inside the frame, as the painter places them."""

from __future__ import annotations

import numpy as np
import pytest

from daguerre.models.embedded.drawing.mounts import BOARDS
from daguerre.models.embedded.drawing.picture import paint
from daguerre.models.embedded.drawing.placement import Placement, extent
from daguerre.models.embedded.drawing.scene import SHAPES
from training.scenes.domain import sample_scene

CROPPED = ("portrait", "pattern", "landscape")  # their objects may leave the frame, or are none
MARGIN = 0.005  # of the short side: art is measured in 48 steps


@pytest.mark.parametrize("shape", SHAPES)
def test_objects_are_inside_the_frame(shape: tuple[int, int]) -> None:
    """No object is cut off by the frame, in 90 scenes of each shape."""
    rng = np.random.default_rng(shape)
    scenes = [scene for _ in range(90) if (scene := sample_scene(rng, shape)).kind not in CROPPED]
    assert len(scenes) > 40
    for scene in scenes:
        canvas = paint(scene)
        placed = [Placement.of(o) for o in canvas.objects if o.item.name not in BOARDS]
        if not placed:
            continue
        left, top, right, low = extent(placed)
        slack = -MARGIN * canvas.s
        assert min(left, top, canvas.w - right, canvas.h - low) > slack, scene
