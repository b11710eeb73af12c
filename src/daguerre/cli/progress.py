"""Progress bars of `daguerre generate` and `daguerre pull`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click


@contextmanager
def progress_bar() -> Iterator[Callable[[int, int], None]]:
    """Yields a callback (step, total) that draws to stderr if stderr is a terminal."""
    with _bar("denoising") as update:
        yield update


@contextmanager
def byte_bar(total: int) -> Iterator[Callable[[int], None]]:
    """Yields a callback (number of bytes) that draws to stderr if stderr is a terminal."""
    with _bar("downloading") as update:
        yield lambda num_bytes: update(num_bytes, max(total, 1))


@contextmanager
def _bar(label: str) -> Iterator[Callable[[int, int], None]]:
    if not sys.stderr.isatty():
        yield lambda position, total: None
        return
    with click.progressbar(length=1, label=label, file=sys.stderr) as bar:

        def update(position: int, total: int) -> None:
            bar.length = total
            bar.update(position - bar.pos)

        yield update
