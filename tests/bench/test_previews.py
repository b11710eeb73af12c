"""The benchmark of previews measures images with them and without, and says how many came."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench import previews
from daguerre.cpu import num_cores


@pytest.mark.skipif(num_cores() < 2, reason="on one core nothing is drawn beside")
def test_table() -> None:
    """A row for each way: what no preview costs nothing, and all that are drawn at once come."""
    found = asyncio.run(previews.measured(num_turns=1))
    rows = previews.table(found).splitlines()[2:]
    assert [row.split(" | ")[0] for row in rows] == [
        f"| {name}" for name in (previews.NONE, previews.ENGINE, previews.BESIDE)
    ]
    assert "+0.0% | +0.0%" in rows[0] and "15 of 15" in rows[1]
    came = re.search(r"(\d+) of 15", rows[2])
    assert came and 0 < int(came[1]) <= 15
