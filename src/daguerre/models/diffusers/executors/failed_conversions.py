"""Conversions that failed, kept in the artifact cache: no later process tries them again.

A conversion can take minutes in the first request of each start, and what decides its result is in
its key. Lack of memory, disk space or threads is not kept, because it can be temporary, nor is NaN
in the values of the request that was the example.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from daguerre.engine.forward import is_out_of_memory
from daguerre.errors import one_line
from daguerre.models.diffusers.executors.base import ExecutorError
from daguerre.models.diffusers.finite import NotFiniteError
from daguerre.storage.artifact_cache import Artifact, ArtifactCache
from daguerre.version import __version__

_FILE = "failure.txt"
# Messages of Python and C++ at the limit of threads, which raise no `OSError`.
_THREAD_ERRORS = ("can't start new thread", "resource temporarily unavailable")


@contextmanager
def remember_failure(store: ArtifactCache | None, key: str) -> Iterator[None]:
    """Keeps a failure of the `with` block under `key`, which names everything that determines it.

    Raises `ExecutorError` instead of running the block if it is known to fail.
    """
    if store is None:
        yield
        return
    name = hashlib.sha256(f"{key} failed in {__version__}".encode()).hexdigest()[:32]
    _raise_if_known(store.get(name))
    try:
        yield
    except Exception as error:  # a runtime may raise anything
        if not _may_be_temporary(error):
            text = one_line(error)
            store.add(name, len(text), lambda folder: _write(folder, text))
        raise


def _raise_if_known(failure: Artifact | None) -> None:
    if failure is None:
        return
    with suppress(FileNotFoundError):  # another process has removed it
        reason = (failure.path / _FILE).read_text(encoding="utf-8")
        raise ExecutorError(f"an earlier try failed ({reason}); to retry, delete {failure.path}")


def _write(folder: Path, text: str) -> None:
    (folder / _FILE).write_text(text, encoding="utf-8")


def _may_be_temporary(error: BaseException | None) -> bool:
    """Whether the error, or one that caused it, is a fault of the system or of the values."""
    while error is not None:
        is_of_threads = any(text in str(error).lower() for text in _THREAD_ERRORS)
        is_of_values = isinstance(error, NotFiniteError)
        if isinstance(error, OSError) or is_of_threads or is_of_values or is_out_of_memory(error):
            return True
        error = error.__cause__ or error.__context__
    return False
