"""Where a command writes what it has made: checked before the work, and written as a whole.

A file, a device, a pipe or standard output. Knows nothing of what is in the bytes.
"""

from __future__ import annotations

import os
import secrets
import shutil
import sys
from pathlib import Path

from daguerre.errors import SettingsError

STDOUT = "-"


def check(output: str) -> None:
    """Before the work, not after it."""
    if output == STDOUT:
        if sys.stdout is None:
            raise SettingsError("standard output is closed; name a file")
        return
    target, folder = Path(output), Path(output).parent
    try:
        target.resolve()
        target.stat()
    except FileNotFoundError:
        pass
    except (OSError, RuntimeError, ValueError) as error:  # a name too long, a loop of links
        reason = getattr(error, "strerror", None) or error
        raise SettingsError(f"{output!r} cannot be a file: {reason}; name another") from None
    if not folder.is_dir():
        raise SettingsError(f"the folder {folder} does not exist; make it, or name another file")
    if target.is_dir():
        raise SettingsError(f"{output or 'the empty name'} is a folder; name a file")
    if target.exists() and not os.access(target, os.W_OK):
        raise SettingsError(f"{output} cannot be written to; name another file")
    if not _is_device(target) and not os.access(folder, os.W_OK):
        raise SettingsError(f"the folder {folder} cannot be written to; name another one")


def make_folder(output: str) -> Path:
    """The folder exists and can be written to; its parents are not made."""
    folder = Path(output)
    if not output or output == STDOUT:
        raise SettingsError("many images need a folder; name one with -o")
    try:
        folder.mkdir(exist_ok=True)
    except FileExistsError:
        raise SettingsError(f"{output} is a file; name a folder for the images") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SettingsError(f"cannot make the folder {output}: {reason}; name another") from None
    if not os.access(folder, os.W_OK):
        raise SettingsError(f"the folder {output} cannot be written to; name another one")
    return folder


def write(output: str, file: bytes) -> None:
    if output == STDOUT:
        sys.stdout.buffer.write(file)
        sys.stdout.buffer.flush()
        return
    try:
        if _is_device(Path(output)):
            Path(output).write_bytes(file)
        else:
            _replace(Path(output).resolve(), file)  # resolved: a link stays a link
    except OSError as error:
        raise SettingsError(f"cannot write {output}: {error.strerror or error}") from None


def _is_device(target: Path) -> bool:
    """Or a pipe: what takes bytes, and must not become a file."""
    return target.exists() and not target.is_file()


def _replace(target: Path, file: bytes) -> None:
    """The image is there as a whole or not at all, also on a disk that is full."""
    beside = target.with_name(f".daguerre-{secrets.token_hex(8)}")
    try:
        with beside.open("xb") as opened:
            opened.write(file)
        if target.exists():
            shutil.copymode(target, beside)
        os.replace(beside, target)
    finally:
        beside.unlink(missing_ok=True)
