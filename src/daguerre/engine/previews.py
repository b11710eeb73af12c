"""Previews: the steps of a job after which the engine draws one, and the drawing.

A preview that cannot be drawn is logged, and the job continues without it.
"""

from __future__ import annotations

import logging

import numpy as np

from daguerre.engine.forward import ForwardRequest, Outputs
from daguerre.engine.pipeline import Pixels

logger = logging.getLogger(__name__)


def preview_steps(num_steps: int, num_previews: int) -> set[int]:
    """Steps (1-based) that have a preview: evenly spaced, and never the last one."""
    return {num_steps * part // (num_previews + 1) for part in range(1, num_previews + 1)} - {0}


def is_due(forward: ForwardRequest, num_previews: int) -> bool:
    """Whether the job gets a preview of this forward, if the model can draw one."""
    if forward.preview is None or forward.step is None:
        return False
    index, total = forward.step
    return index in preview_steps(total, num_previews)


def draw_preview(forward: ForwardRequest, outputs: Outputs) -> Pixels | None:
    """Preview of a forward from its outputs, contiguous; None if the model fails to draw it."""
    assert forward.preview is not None and forward.step is not None, "no preview. This is a bug."
    try:
        pixels = np.ascontiguousarray(forward.preview(outputs))
        if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8 or not pixels.size:
            raise ValueError(f"the preview is {pixels.dtype} {pixels.shape}, not uint8 (h, w, 3)")
    except Exception:  # a model's code may raise anything, and the image does not need a preview
        index, total = forward.step
        logger.exception("no preview after step %d of %d of %s", index, total, forward.network)
        return None
    return pixels
