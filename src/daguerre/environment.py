"""The environment variables `DAGUERRE_<NAME>`, one for each setting."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Collection, Mapping

from daguerre.errors import SettingsError

_PREFIX = "DAGUERRE_"
# Platforms such as Heroku name the port of a web process with it.
PORT = "PORT"
# For a Service named daguerre or daguerre-..., as in
# https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
_SERVICE_VARIABLE = re.compile(
    r".+_SERVICE_(HOST|PORT(_.+)?)|.+_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?"
)
_SERVICE_ADDRESS = re.compile(r"(tcp|udp|sctp)://[^/\s]+:\d+")


def variable_name(name: str) -> str:
    """The name of the variable of a setting."""
    return _PREFIX + name.upper()


def variables(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Variables of daguerre and of platforms -> values, without white space at both ends.

    Variables that are empty or set by Kubernetes are left out.
    """
    return {
        name: value.strip()
        for name, value in (os.environ if environ is None else environ).items()
        if (name.startswith(_PREFIX) and not is_service_variable(name, value) or name == PORT)
        and value.strip()
    }


def is_service_variable(name: str, value: str) -> bool:
    """Whether Kubernetes sets this variable for a Service (or Docker for a link)."""
    is_address = name.endswith("_PORT") and _SERVICE_ADDRESS.fullmatch(value)
    return bool(is_address or _SERVICE_VARIABLE.fullmatch(name))


def unset_empty_variables() -> None:
    """Deletes empty variables of libraries, which take them for a directory or an address."""
    for name, value in list(os.environ.items()):
        if not value and name.startswith(("HOME", "XDG_", "AWS_", "HF_", "OTEL_")):
            del os.environ[name]


def check_names(names: Collection[str], settings: Collection[str]) -> None:
    """Raises `SettingsError` for a typo. Variables unlike a setting may belong to a program."""
    known = [setting.upper() for setting in settings]
    for name in (full.removeprefix(_PREFIX) for full in names):
        near = difflib.get_close_matches(name.upper(), known, n=1, cutoff=0.75)
        if near and name not in known:
            raise SettingsError(
                f"unknown environment variable {_PREFIX}{name}; did you mean {_PREFIX}{near[0]}?"
            )
