"""The table of caches and quantisation: ratios of one run, and its worst picture."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bench.reduced import BASE, VARIANTS, Drawn, psnr, report
from daguerre.models.diffusers.caches import METHODS


def drawn(value: int, seconds: float, num_products: int) -> Drawn:
    return Drawn(np.full((4, 4, 3), value, np.uint8), seconds, num_products)


def test_psnr() -> None:
    """Equal pictures have infinite PSNR; a difference of 255 levels is 0 dB, of a tenth 20 dB."""
    black, white = drawn(0, 0, 0).pixels, drawn(255, 0, 0).pixels
    assert psnr(black, black) == math.inf
    assert psnr(black, white) == 0.0
    assert psnr(drawn(100, 0, 0).pixels, drawn(126, 0, 0).pixels) == pytest.approx(19.83, abs=0.01)


def test_report() -> None:
    """Times and layer counts are summed over the pictures before the division; the worst picture
    counts."""
    lines = report(
        {
            BASE: [drawn(100, 1.0, 10), drawn(100, 3.0, 30)],
            "less": [drawn(100, 1.0, 10), drawn(126, 1.0, 10)],
        }
    )
    assert lines[2:] == [f"| {BASE} | 1.00 | 1.00 | inf |", "| less | 0.50 | 0.50 | 19.8 |"]


def test_every_method_is_measured() -> None:
    """The benchmark covers every cache method."""
    measured = {kind["cache"].method for kind in VARIANTS.values() if "cache" in kind}
    assert measured == set(METHODS)
