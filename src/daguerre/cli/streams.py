"""The standard streams: open, and able to print every character."""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress


def prepare() -> None:
    """Opens closed streams on the null device. Characters that the terminal's encoding lacks are
    printed as escapes.

    Without this, the next file that is opened would become the standard output.
    """
    for descriptor in range(3):
        _open_if_closed(descriptor)
    sys.stdin = sys.stdin or open(os.devnull, encoding="utf-8")
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def is_stdout_closed() -> bool:
    """Whether the process started without a standard output."""
    return sys.__stdout__ is None


def discard_stdout() -> None:
    """Drops what is buffered, which would fail again when the process exits."""
    sys.stdout = open(os.devnull, "w", encoding="utf-8")


def _open_if_closed(descriptor: int) -> None:
    """Opens the null device as `descriptor`, the lowest that is free; workers inherit it."""
    try:
        os.fstat(descriptor)
    except OSError:
        with suppress(OSError):
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
