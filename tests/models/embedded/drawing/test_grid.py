"""Rows and blocks of many copies."""

from __future__ import annotations

from collections import Counter

import pytest

from daguerre.models.embedded.drawing.grid import ROWS, blocks
from daguerre.models.embedded.fields import OBJECT_FIELDS


def test_rows_have_every_count() -> None:
    """There are rows for every count that a field can have, and each has so many copies."""
    assert set(ROWS) == {int(count) for count in OBJECT_FIELDS["count"] if int(count or 0)}
    assert all(sum(rows) == count for count, options in ROWS.items() for rows in options)


@pytest.mark.parametrize("size", [(960, 900), (600, 1400), (1400, 600)])
@pytest.mark.parametrize("counts", [(2, 3), (7, 7), (1, 7), (6, 2), (1, 4, 2)])
def test_blocks_are_apart_and_fit(counts: tuple[int, ...], size: tuple[int, int]) -> None:
    """Every copy has a cell inside the size, no two overlap, and the blocks are side by side."""
    side, cells = blocks(counts, *size)
    assert Counter(cell.index for cell in cells) == dict(enumerate(counts))
    for cell in cells:
        assert abs(cell.x) + side / 2 <= size[0] / 2 + 1
        assert abs(cell.y) + side / 2 <= size[1] / 2 + 1
    for i, a in enumerate(cells):
        for b in cells[:i]:
            assert max(abs(a.x - b.x), abs(a.y - b.y)) >= side * 0.999
            assert a.index == b.index or abs(a.x - b.x) > side
