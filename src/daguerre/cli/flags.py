"""Command-line flags for settings, generated from the table in `daguerre.config`.

Only `Settings.load` parses values, so flags and environment variables have the same errors.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import Field, fields
from typing import Any, TypeAlias

import click

from daguerre import environment
from daguerre.config import Settings

Command: TypeAlias = Callable[..., None]

_METAVARS = {"int": "NUMBER", "float": "NUMBER", "str": "TEXT", "Path | None": "PATH"}


def settings_flags(*names: str) -> Callable[[Command], Command]:
    """Adds flags for these settings, or for all; the command receives `settings`."""
    selected = [setting for setting in fields(Settings) if not names or setting.name in names]

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def with_settings(**options: Any) -> None:
            flags = {setting.name: options.pop(setting.name) for setting in selected}
            command(settings=Settings.load(flags), **options)

        decorated: Command = with_settings
        for setting in reversed(selected):
            decorated = _option(setting)(decorated)
        return decorated

    return decorate


def _option(setting: Field[Any]) -> Callable[[Command], Command]:
    flag, is_switch = "--" + setting.name.replace("_", "-"), setting.type == "bool"
    return click.option(
        f"{flag}/--no-{flag[2:]}" if is_switch else flag,
        setting.name,
        type=bool if is_switch else str,
        default=None,
        metavar=_METAVARS.get(str(setting.type)),
        help=_help(setting),
    )


def _help(setting: Field[Any]) -> str:
    default = "" if setting.default in (None, "") else f"default: {setting.default}"
    notes = (default, setting.metadata["validator"].allowed, environment.variable(setting.name))
    return f"{setting.metadata['help']}  [{'; '.join(filter(None, notes))}]"
