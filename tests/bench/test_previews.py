"""The benchmark of previews measures images without and with them."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import pytest

from bench import previews


@pytest.mark.slow
def test_table() -> None:
    """The table has a row without previews, and one in which all previews arrived."""
    measurements = asyncio.run(previews.measure(num_rounds=1))
    without, with_previews = previews.table(measurements).splitlines()[2:]
    assert without.startswith("| 0 |  |") and without.endswith("| +0.0% | +0.0% | 0 |")
    assert with_previews.startswith("| 3 | ") and with_previews.endswith("| 15 |")
