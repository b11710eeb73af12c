"""Positions for many copies: rows of one object, and blocks of several objects side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

# Numbers of copies in each row, for up to seven copies of one object.
ROWS = {
    1: ((1,),),
    2: ((2,), (1, 1)),
    3: ((3,), (1, 2), (2, 1), (1, 1, 1)),
    4: ((4,), (2, 2), (1, 1, 1, 1)),
    5: ((5,), (3, 2), (2, 3), (2, 1, 2), (1, 1, 1, 1, 1)),
    6: ((6,), (3, 3), (2, 2, 2), (1, 2, 3), (1, 1, 1, 1, 1, 1)),
    7: ((7,), (4, 3), (3, 4), (2, 3, 2), (3, 1, 3), (2, 2, 2, 1), (1, 1, 1, 1, 1, 1, 1)),
}
# Rows of up to seven copies in depth, from the back to the front.
BACK_TO_FRONT = {1: (1,), 2: (2,), 3: (3,), 4: (2, 2), 5: (2, 3), 6: (3, 3), 7: (3, 4)}
APART = 0.15  # gap between different objects, as a share of each one's width
MAX_ROWS = 3  # of a block


@dataclass(frozen=True)
class Cell:
    """A square for one copy: the index of its object, and its centre."""

    index: int
    x: float
    y: float


def blocks(counts: Sequence[int], width: float, height: float) -> tuple[float, list[Cell]]:
    """The side of the cells, and a cell for each copy; the copies of an object form a block.

    The centre of all is (0, 0). As many rows are taken as give the largest cells.
    """
    side, rows = max((_side(counts, rows, width, height), -rows) for rows in range(1, MAX_ROWS + 1))
    cells, x = [], -side * _columns(counts, -rows) / 2
    for index, count in enumerate(counts):
        columns = -(-count // -rows)
        used = -(-count // columns)
        for row in range(used):
            here = count // used + (row < count % used)
            for k in range(here):
                at = x + side * (columns / 2 + k - (here - 1) / 2)
                cells.append(Cell(index, at, side * (row - (used - 1) / 2)))
        x += side * (columns + APART)
    return side, cells


def offset(i: int, n: int, step: float) -> float:
    """The place of the i-th of n things in a row whose middle is 0."""
    return (i - (n - 1) / 2) * step


def _columns(counts: Sequence[int], rows: int) -> float:
    """The width of all blocks in cells."""
    return sum(-(-count // rows) for count in counts) + APART * (len(counts) - 1)


def _side(counts: Sequence[int], rows: int, width: float, height: float) -> float:
    return min(width / _columns(counts, rows), height / min(rows, max(counts)))
