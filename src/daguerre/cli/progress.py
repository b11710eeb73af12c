"""Progress bar of `daguerre generate`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click


@contextmanager
def progress_bar() -> Iterator[Callable[[int, int], None]]:
    """Yields a callback (step, total) that draws to stderr if stderr is a terminal."""
    if not sys.stderr.isatty():
        yield lambda step, total: None
        return
    with click.progressbar(length=1, label="denoising", file=sys.stderr) as bar:

        def update(step: int, total: int) -> None:
            bar.length = total
            bar.update(step - bar.pos)

        yield update
