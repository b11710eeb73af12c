"""Figures of pictures that are read from their pixels: sharpness and diversity."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray


def sharpness(pictures: Iterable[NDArray[np.uint8]]) -> float:
    """Mean difference of neighbouring pixels, of 255."""
    return float(np.mean([np.abs(np.diff(p.astype(int), axis=1)).mean() for p in pictures]))


def diversity(pictures: Sequence[NDArray[np.uint8]]) -> float:
    """Mean distance of pairs, pixels reduced to 64 x 64, of 255."""
    small = [p.reshape(64, p.shape[0] // 64, 64, -1, 3).mean(axis=(1, 3)) for p in pictures]
    pairs = itertools.combinations(small, 2)
    return float(np.mean([np.abs(a - b).mean() for a, b in pairs]))
