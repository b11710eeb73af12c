"""The data directory and its files with secrets: private from the moment they exist.

Files are created with their mode, and existing ones are corrected, so neither the umask nor an
earlier copy leaves a secret readable. Every failure is a `SettingsError` that says what to do.
"""

from __future__ import annotations

import errno
import glob
import os
import stat
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from daguerre.errors import SettingsError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl


UNFINISHED_TTL_S = 60 * 60  # a younger file may still be written
_OPTION = "--home or DAGUERRE_HOME"
_RANDOM = "[a-z0-9_]" * 8  # the end of a name from `mkstemp`


def prepare(directory: Path, what: str = "data directory", option: str = _OPTION) -> Path:
    """Creates the directory if it is missing, and makes it readable by its owner only."""
    with _translate_os_errors(f"the {what} {directory}", option):
        directory.parent.mkdir(parents=True, exist_ok=True)
        directory.mkdir(mode=0o700, exist_ok=True)
        if not _is_shared(directory):
            directory.chmod(0o700)
        if not os.access(directory, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    return directory


def make_private(path: Path) -> None:
    """Creates the file if it is missing, and sets its mode to 0600."""
    with _translate_os_errors(f"the file {path}"):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if stat.S_IMODE(os.fstat(descriptor).st_mode) != 0o600:
                path.chmod(0o600)
        finally:
            os.close(descriptor)


def write_private(path: Path, content: str | bytes) -> None:
    """Replaces the file atomically: a reader sees the old content or the new content.

    It also removes what processes that were killed here have left, since that may be a secret.
    """
    _replace(path, content, 0o600, _OPTION)
    remove_unfinished(path.parent.glob(glob.escape(path.name) + "." + _RANDOM), time.time())


def replace_text(path: Path, text: str, option: str) -> None:
    """Like `write_private`, but an existing file keeps its mode, and a new one can be read by all.

    `option` sets another file, for an error.
    """
    mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else 0o644
    _replace(path, text, mode, option)


def _replace(path: Path, content: str | bytes, mode: int, option: str) -> None:
    data = content.encode() if isinstance(content, str) else content
    with _translate_os_errors(f"the file {path}", option):
        # mkstemp creates the file with mode 0600, and the rename keeps it.
        descriptor, temporary = tempfile.mkstemp(prefix=path.name + ".", dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            if mode != 0o600:
                os.chmod(temporary, mode)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise


def remove_unfinished(files: Iterable[Path], now_s: float) -> None:
    """Removes files that killed processes have left, unless they were written recently."""
    for file in files:
        with suppress(OSError):  # another process has removed it, or it is another user's
            if now_s - file.stat().st_mtime > UNFINISHED_TTL_S:
                file.unlink()


@contextmanager
def locked(path: Path, *, wait: bool = True, option: str = _OPTION) -> Iterator[bool]:
    """Holds the lock of `path` until the block or the process ends.

    Without `wait`, yields False at once if another process holds it. The lock is an empty file next
    to `path`, which stays, since the directory may be another user's.
    """
    with _translate_os_errors(f"the file {path}", option):
        descriptor = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        with _translate_os_errors(f"the file {path}", option):
            is_locked = _lock(descriptor, wait)
        yield is_locked
    finally:
        os.close(descriptor)


def _lock(descriptor: int, wait: bool) -> bool:
    try:
        if sys.platform == "win32":
            msvcrt.locking(descriptor, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        if wait:
            raise
        return False
    return True


def _is_shared(directory: Path) -> bool:
    """Whether it is /tmp, another user's volume or a whole home, whose mode must not change.

    The files in it are private anyway.
    """
    status = directory.stat()
    if status.st_mode & stat.S_ISVTX:
        return True
    if hasattr(os, "geteuid") and status.st_uid != os.geteuid():
        return True
    home = Path(os.path.expanduser("~"))
    return home.resolve().is_relative_to(directory.resolve())


@contextmanager
def _translate_os_errors(what: str, option: str = _OPTION) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        is_file = isinstance(error, FileExistsError)
        reason = "it is not a directory" if is_file else error.strerror or str(error)
        raise SettingsError(
            f"cannot use {what}: {reason}; set a writable directory with {option}"
        ) from error
