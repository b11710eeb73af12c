"""Where the text of a setting comes from: a flag, an environment variable, or a file with a secret.

A secret can be in a file, as Docker and Kubernetes mount them, because other users can see the
flags of a process.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from reprlib import Repr

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


def given(
    name: str, flags: Mapping[str, object], variables: Mapping[str, str], *, is_secret: bool
) -> tuple[str, object] | None:
    """The source and the text: of the flag, or else of the variable; None if neither is given.

    Raises `SettingsError` for a secret that is given twice, or in a file that cannot be read.
    """
    names = (name, file_of(name)) if is_secret else (name,)
    from_flags = [(flag(each), flags.get(each)) for each in names]
    from_variables = [(key, variables.get(key)) for key in map(environment.variable, names)]
    for sources in (from_flags, from_variables):
        match [(source, value) for source, value in sources if value is not None]:
            case [(source, value)]:
                is_file = source != sources[0][0]
                return source, _read_secret(source, str(value)) if is_file else value
            case [(source, _), (other, _)]:
                raise SettingsError(f"{source} and {other} are both set; set one of them")
    return None


def _read_secret(source: str, path: str) -> str:
    try:
        text = Path(path).expanduser().read_text(encoding="utf-8").strip()
    except (OSError, RuntimeError, ValueError) as error:  # `expanduser` raises RuntimeError
        reason = getattr(error, "strerror", None) or error
        raise SettingsError(f"{source} is {_quoted.repr(path)}: cannot read it: {reason}") from None
    if not text:
        raise SettingsError(f"{source} is {_quoted.repr(path)}, an empty file; write the secret")
    return text
