"""Previews: at which steps of a job one is due, and drawing it from the outputs of a forward.

A preview is a courtesy: one that cannot be drawn is told to the log, and the job goes on. Knows
nothing of how a model draws one.
"""

from __future__ import annotations

import logging

import numpy as np

from daguerre.engine.forward import Forward, Outputs
from daguerre.engine.pipeline import Pixels

logger = logging.getLogger(__name__)


def due(num_steps: int, num_previews: int) -> set[int]:
    """The steps after which there is one: evenly spaced, never the last, whose image is next."""
    return {num_steps * part // (num_previews + 1) for part in range(1, num_previews + 1)} - {0}


def is_due(forward: Forward, num_previews: int) -> bool:
    """Whether there is one of this forward, where the model can draw it."""
    if forward.preview is None or forward.step is None:
        return False
    index, total = forward.step
    return index in due(total, num_previews)


def preview(forward: Forward, outputs: Outputs) -> Pixels | None:
    """Nothing where it cannot be drawn."""
    assert forward.preview is not None, "a preview that is not due. This is a bug."
    try:
        return _checked(forward.preview(outputs))
    except Exception:  # a model's code may raise anything; the image does not need it
        index, total = forward.step or (0, 0)
        logger.exception("no preview after step %d of %d of %s", index, total, forward.network)
        return None


def _checked(pixels: Pixels) -> Pixels:
    """In one piece, as it crosses to another process."""
    pixels = np.ascontiguousarray(pixels)
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8 or not pixels.size:
        raise ValueError(f"a preview is {pixels.dtype} {pixels.shape} instead of uint8 (h, w, 3)")
    return pixels
