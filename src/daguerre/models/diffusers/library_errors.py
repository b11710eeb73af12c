"""Errors of the libraries that load a checkpoint, such as diffusers; they may be of any class."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from daguerre.engine.forward import is_out_of_memory
from daguerre.errors import SettingsError, one_line


@contextmanager
def as_settings_error(text: str, hint: str = "") -> Iterator[None]:
    """Raises `SettingsError` for any other error: `text`, the error's message and `hint`.

    A lack of memory is raised as it is, because it can be temporary.
    """
    try:
        yield
    except Exception as error:  # the libraries may raise anything
        if isinstance(error, SettingsError) or is_out_of_memory(error):
            raise
        raise SettingsError(f"{text}: {one_line(error)}{hint}") from error
