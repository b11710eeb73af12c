"""Progress bar of `daguerre generate`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from daguerre.params import StepCompleted


@contextmanager
def progress_bar() -> Iterator[Callable[[StepCompleted], None]]:
    """Yields a callback that draws each completed step to stderr if stderr is a terminal."""
    if not sys.stderr.isatty():
        yield lambda step: None
        return
    with click.progressbar(length=1, label="denoising", file=sys.stderr) as bar:

        def update(step: StepCompleted) -> None:
            bar.length = step.total
            bar.update(step.index - bar.pos)

        yield update
