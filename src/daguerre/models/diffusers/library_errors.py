"""Errors about a checkpoint: of the libraries that load it, and with the key that is at fault."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from daguerre.engine.forward import is_out_of_memory
from daguerre.errors import SettingsError, one_line


@contextmanager
def naming_key(key: str) -> Iterator[None]:
    """Puts the catalog's key before the message of a `SettingsError` that does not name it."""
    try:
        yield
    except SettingsError as error:
        if re.search(rf"(^|\s){key}( is| takes| needs|:)", error.message):
            raise
        raise SettingsError(f"{key}: {error.message}") from None


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
