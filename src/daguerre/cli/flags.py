"""The flags that stand for settings, made from the table in `daguerre.config`.

A flag's name, help, default and environment variable are read from the table and nowhere repeated.
Values are parsed by `Settings.load` alone, so a flag and a variable are refused in the same words.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import Field, fields
from typing import Any, TypeAlias

import click

from daguerre.config import Settings, environment_variable

Command: TypeAlias = Callable[..., None]

_METAVARS = {"int": "NUMBER", "float": "NUMBER", "str": "TEXT", "Path | None": "PATH"}


def settings_flags(*names: str) -> Callable[[Command], Command]:
    """Gives a command the flags of these settings, or of all; it receives one `settings`."""
    chosen = [setting for setting in fields(Settings) if not names or setting.name in names]

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def with_settings(**given: Any) -> None:
            flags = {setting.name: given.pop(setting.name) for setting in chosen}
            command(settings=Settings.load(flags), **given)

        flagged: Command = with_settings
        for setting in reversed(chosen):
            flagged = _flag(setting)(flagged)
        return flagged

    return decorate


def _flag(setting: Field[Any]) -> Callable[[Command], Command]:
    flag = "--" + setting.name.replace("_", "-")
    if setting.type == "bool":
        declaration, metavar = f"{flag}/--no-{flag[2:]}", None
    else:
        declaration, metavar = flag, _METAVARS[str(setting.type)]
    kind = bool if setting.type == "bool" else str
    return click.option(
        declaration, setting.name, type=kind, default=None, metavar=metavar, help=_help(setting)
    )


def _help(setting: Field[Any]) -> str:
    notes = [environment_variable(setting.name)]
    if allowed := setting.metadata["validator"].allowed:
        notes = [f"default: {setting.default}", allowed, *notes]
    return f"{setting.metadata['help']}  [{'; '.join(notes)}]"
