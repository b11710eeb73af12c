"""The output of a command: a file, a device, a pipe or standard output.

`check` runs before the work; `write` replaces a file atomically.
"""

from __future__ import annotations

import os
import secrets
import shutil
import sys
from pathlib import Path

from daguerre.cli import streams
from daguerre.errors import SettingsError

STDOUT = "-"


def check(output: str) -> None:
    """Raises `SettingsError` if `output` cannot be written."""
    if output == STDOUT:
        if streams.is_stdout_closed():
            raise SettingsError("standard output is closed; give a file")
        return
    if not output:
        raise SettingsError("the name of the file is empty; give another one")
    path, directory = Path(output), Path(output).parent
    try:
        path.resolve()
        path.stat()
    except FileNotFoundError:
        pass
    except (OSError, RuntimeError, ValueError) as error:  # a name too long, a loop of links
        raise SettingsError(
            f"{output!r} cannot be a file: {_reason(error)}; give another name"
        ) from None
    if not directory.is_dir():
        raise SettingsError(
            f"the directory {directory} does not exist; create it, or give another file"
        )
    if path.is_dir():
        raise SettingsError(f"{output} is a directory; give a file")
    if path.exists() and not os.access(path, os.W_OK):
        raise SettingsError(f"{output} is not writable; give another file")
    if not _is_device(path) and not os.access(directory, os.W_OK):
        raise SettingsError(f"the directory {directory} is not writable; give another one")


def make_directory(output: str) -> Path:
    """Creates the directory, but not its parents, and checks that it is writable."""
    directory = Path(output)
    if not output or output == STDOUT:
        raise SettingsError("several images need a directory; give one with -o")
    try:
        directory.mkdir(exist_ok=True)
    except FileExistsError:
        raise SettingsError(f"{output} is a file; give a directory for the images") from None
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"cannot create the directory {output}: {_reason(error)}; give another one"
        ) from None
    if not os.access(directory, os.W_OK):
        raise SettingsError(f"the directory {output} is not writable; give another one")
    return directory


def write(output: str, file: bytes) -> None:
    """Raises `OSError` with the name of the file."""
    if output == STDOUT:
        sys.stdout.buffer.write(file)
        sys.stdout.buffer.flush()
        return
    try:
        if _is_device(Path(output)):
            Path(output).write_bytes(file)
        else:
            _replace(Path(output).resolve(), file)  # resolved, so that a link stays a link
    except OSError as error:
        raise OSError(error.errno, error.strerror, output) from None


def _reason(error: Exception) -> object:
    return getattr(error, "strerror", None) or error


def _is_device(path: Path) -> bool:
    """Whether it is a device or a pipe, which is written to and not replaced."""
    return path.exists() and not path.is_file()


def _replace(path: Path, file: bytes) -> None:
    """Writes a temporary file and renames it, so a full disk leaves no partial image."""
    temporary = path.with_name(f".daguerre-{secrets.token_hex(8)}")
    try:
        with temporary.open("xb") as opened:
            opened.write(file)
        if path.exists():
            shutil.copymode(path, temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
