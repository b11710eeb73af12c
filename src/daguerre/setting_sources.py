"""Where the value of a setting comes from: a flag, a variable, a secret's file, or its default.

A secret can be in a file, as Docker and Kubernetes mount them, because other users can see the
flags of a process.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field
from pathlib import Path
from reprlib import Repr
from typing import Any

from daguerre import environment
from daguerre.errors import SettingsError

_quoted = Repr()
_quoted.maxstring = 120


def file_of(name: str) -> str:
    """Name of the flag and of the variable for the file with a secret."""
    return f"{name}_file"


def flag(name: str) -> str:
    """The command-line flag of a setting."""
    return "--" + name.replace("_", "-")


def value_of(setting: Field[Any], flags: Mapping[str, object], variables: Mapping[str, str]) -> Any:
    """The value of the flag, else of the variable, else the default.

    Raises `SettingsError` for an invalid value, and for a secret that is given twice or in a file
    that cannot be read.
    """
    is_secret, validator = setting.metadata["secret"], setting.metadata["validator"]
    found = _find(setting.name, flags, variables, is_secret=is_secret)
    platform = setting.metadata["variable"]
    if found is None and platform not in variables:
        return setting.default
    source, text = found or (platform, variables[platform])
    try:
        return validator.parse(text)
    except ValueError as error:
        shown = "***" if is_secret else _quoted.repr(text)
        raise SettingsError(f"{source} is {shown}; it must be {error}") from None


def _find(
    name: str, flags: Mapping[str, object], variables: Mapping[str, str], *, is_secret: bool
) -> tuple[str, str] | None:
    """The source and the text; None if neither the flag nor the variable is given."""
    names = (name, file_of(name)) if is_secret else (name,)
    from_flags = [(flag(each), flags.get(each)) for each in names]
    from_variables = [(key, variables.get(key)) for key in map(environment.variable_name, names)]
    for sources in (from_flags, from_variables):
        match [(source, value) for source, value in sources if value is not None]:
            case [(source, value)]:
                is_file = source != sources[0][0]
                return source, _read_secret(source, str(value)) if is_file else str(value)
            case [(source, _), (other, _)]:
                raise SettingsError(f"{source} and {other} are both set; set one of them")
    return None


def _read_secret(source: str, path: str) -> str:
    try:
        # A byte order mark is not part of the secret.
        text = Path(path).expanduser().read_text(encoding="utf-8-sig").strip()
    except (OSError, RuntimeError, ValueError) as error:  # `expanduser` raises RuntimeError
        reason = getattr(error, "strerror", None) or error
        raise SettingsError(f"{source} is {_quoted.repr(path)}: cannot read it: {reason}") from None
    if not text:
        raise SettingsError(f"{source} is {_quoted.repr(path)}, an empty file; write the secret")
    return text
