"""The data folder and the files in it that hold secrets: private from the moment they exist.

Modes are given where a file is made and set again on what was found, so that neither the umask nor
an earlier copy leaves a secret readable. Every problem is a `SettingsError` that says what to do.
Does not know what the files hold.
"""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from daguerre.errors import SettingsError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl


def prepare(folder: Path) -> Path:
    """The folder exists, and nobody but its owner can look into it."""
    with _explained(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        if not _is_shared(folder):
            folder.chmod(0o700)
    return folder


def make_private(path: Path) -> None:
    """The file exists with mode 0600; its content is kept."""
    with _explained(path.parent):
        os.close(_open_private(path, os.O_RDWR | os.O_CREAT))


def write_private(path: Path, text: str) -> None:
    """Replaces the file in one step: a reader sees the old text or the new, never a part."""
    with _explained(path.parent):
        # mkstemp makes the file with mode 0600, and the rename keeps it.
        descriptor, temporary = tempfile.mkstemp(prefix=path.name + ".", dir=path.parent)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """One process at a time changes the file at `path`; the lock goes with the process."""
    with _lock_file(path) as descriptor:
        with _explained(path.parent):
            _lock(descriptor, wait=True)
        yield


@contextmanager
def locked_if_free(path: Path) -> Iterator[bool]:
    """As `locked`, but False, without waiting, where another process has the lock."""
    with _lock_file(path) as descriptor:
        with _explained(path.parent):
            try:
                _lock(descriptor, wait=False)
                is_ours = True
            except (BlockingIOError, PermissionError):
                is_ours = False
        yield is_ours


@contextmanager
def _lock_file(path: Path) -> Iterator[int]:
    """An empty file beside `path`; the folder may be another's, so one that is there is kept."""
    with _explained(path.parent):
        descriptor = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _lock(descriptor: int, *, wait: bool) -> None:
    if sys.platform == "win32":
        msvcrt.locking(descriptor, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
    else:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)


def _open_private(path: Path, flags: int) -> int:
    descriptor = os.open(path, flags, 0o600)
    if stat.S_IMODE(os.fstat(descriptor).st_mode) != 0o600:
        path.chmod(0o600)
    return descriptor


def _is_shared(folder: Path) -> bool:
    """Someone named /tmp, a mounted volume of another owner or their whole home: not ours to close.

    The files in it are private all the same.
    """
    status = folder.stat()
    if status.st_mode & stat.S_ISVTX:
        return True
    if hasattr(os, "geteuid") and status.st_uid != os.geteuid():
        return True
    home = Path(os.path.expanduser("~"))
    return home.resolve().is_relative_to(folder.resolve())


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SettingsError(
            f"cannot use the data folder {folder}: {error.strerror or error};"
            " name one that can be written to with --home or DAGUERRE_HOME"
        ) from None
