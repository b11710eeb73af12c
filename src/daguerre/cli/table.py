"""Tables on standard output."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import click


def print_table(rows: Iterable[Sequence[str]], *, err: bool = False) -> None:
    """Prints rows of cells in aligned columns, on stderr with `err`."""
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip(), err=err)
