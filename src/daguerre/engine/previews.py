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


def preview(forward: Forward, outputs: Outputs, num_previews: int) -> Pixels | None:
    """What is due after this forward, or nothing."""
    if forward.preview is None or forward.step is None:
        return None
    index, total = forward.step
    if index not in due(total, num_previews):
        return None
    try:
        return _checked(forward.preview(outputs))
    except Exception:  # a model's code may raise anything; the image does not need it
        logger.exception("no preview after step %d of %d of %s", index, total, forward.network)
        return None


def _checked(pixels: Pixels) -> Pixels:
    """In one piece, as it crosses to another process."""
    pixels = np.ascontiguousarray(pixels)
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8 or not pixels.size:
        raise ValueError(f"a preview is {pixels.dtype} {pixels.shape} instead of uint8 (h, w, 3)")
    return pixels
