"""Translation of errors of libraries and the system into the package's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from daguerre.errors import DaguerreError


@contextmanager
def translate_errors(
    kinds: type[Exception] | tuple[type[Exception], ...], to: Callable[[Exception], DaguerreError]
) -> Iterator[None]:
    """Raises `to(error)`, with the error as its cause, for an error of one of the `kinds`."""
    try:
        yield
    except kinds as error:
        raise to(error) from error
