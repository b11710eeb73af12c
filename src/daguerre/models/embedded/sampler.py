"""How noise becomes a canvas: times, and the multistep solver for a network that predicts it clean.

The path is x = t * clean + (1 - t) * noise with t from 0 to 1. Pure numpy on one image; knows
nothing of the network.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def times(num_steps: int, shift: float) -> list[float]:
    """num_steps + 1 times from 0 to 1; a `shift` above one spends more steps near the noise.

    The map is t / (t + shift * (1 - t)), as in Esser et al. 2024, "Scaling Rectified Flow
    Transformers", section 5.3.2.
    """
    return [i / (i + shift * (num_steps - i)) for i in range(num_steps + 1)]


def guide(
    clean: NDArray[np.float32], unwanted: NDArray[np.float32], scale: float
) -> NDArray[np.float32]:
    """Classifier-free guidance (Ho and Salimans 2022) on predictions of the clean image."""
    return unwanted + np.float32(scale) * (clean - unwanted)


class Multistep:
    """DPM-Solver++(2M) (Lu et al. 2022, algorithm 2), alpha = t and sigma = 1 - t."""

    def __init__(self, schedule: Sequence[float]) -> None:
        self._times = schedule
        self._last: tuple[NDArray[np.float32], float] | None = None  # clean image, log-SNR / 2

    def step(
        self, x: NDArray[np.float32], clean: NDArray[np.float32], index: int
    ) -> NDArray[np.float32]:
        """From time `index` to the next, given the clean image predicted at `index`."""
        t, t_next = self._times[index], self._times[index + 1]
        if t_next >= 1.0:
            return clean
        lam_next = float(np.log(t_next / (1 - t_next)))
        if t <= 0.0:
            self._last = None
            return np.float32(t_next) * clean + np.float32(1 - t_next) * x
        lam = float(np.log(t / (1 - t)))
        h = lam_next - lam
        estimate = clean
        if self._last is not None:
            before, lam_before = self._last
            r = np.float32(h / (lam - lam_before) / 2)
            estimate = clean + r * (clean - before)
        self._last = (clean, lam)
        kept = np.float32((1 - t_next) / (1 - t))
        return kept * x - np.float32(t_next * np.expm1(-h)) * estimate
