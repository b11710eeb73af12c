"""Command-line flags for settings, generated from the table in `daguerre.config`.

Only `Settings.load` parses values, so flags and environment variables have the same errors.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import Field, fields
from typing import Any, TypeAlias

import click

from daguerre import environment
from daguerre.config import Settings
from daguerre.setting_sources import file_of, flag

Command: TypeAlias = Callable[..., None]

_URL_WITH_PASSWORD = re.compile(r"[^:]+://([^/@]*:[^/]*@|.*password)")
_METAVARS = {"int": "NUMBER", "float": "NUMBER", "str": "TEXT", "Path | None": "PATH"}


def settings_flags(*names: str) -> Callable[[Command], Command]:
    """Adds flags for these settings, or for all; the command receives `settings`."""
    selected = [setting for setting in fields(Settings) if not names or setting.name in names]
    secrets = [setting.name for setting in selected if setting.metadata["secret"]]

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def with_settings(**options: Any) -> None:
            taken = [*(setting.name for setting in selected), *map(file_of, secrets)]
            flags = {name: options.pop(name) for name in taken}
            for name in secrets:
                _warn_if_visible(name, flags[name])
            command(settings=Settings.load(flags), **options)

        decorated: Command = with_settings
        for setting in reversed(selected):
            if setting.name in secrets:
                decorated = _file_option(setting.name)(decorated)
            decorated = _option(setting)(decorated)
        return decorated

    return decorate


def _warn_if_visible(name: str, value: str | None) -> None:
    """Warns about a secret on the command line; a database URL may be none."""
    if value and ("://" not in value or _URL_WITH_PASSWORD.match(value)):
        click.echo(
            f"daguerre: warning: other users can see {flag(name)} in the list of processes; set"
            f" {environment.variable_name(name)} or {flag(file_of(name))} instead",
            err=True,
        )


def _option(setting: Field[Any]) -> Callable[[Command], Command]:
    name, is_switch = flag(setting.name), setting.type == "bool"
    return click.option(
        f"{name}/--no-{name[2:]}" if is_switch else name,
        setting.name,
        type=bool if is_switch else str,
        default=None,
        metavar=_METAVARS.get(str(setting.type)),
        help=_help(setting),
    )


def _file_option(name: str) -> Callable[[Command], Command]:
    variable = environment.variable_name(file_of(name))
    return click.option(
        flag(file_of(name)),
        file_of(name),
        metavar="PATH",
        help=f"File that contains the value of {flag(name)}.  [{variable}]",
    )


def _help(setting: Field[Any]) -> str:
    default = "" if setting.default in (None, "") else f"default: {setting.default}"
    notes = (
        default,
        setting.metadata["validator"].allowed,
        environment.variable_name(setting.name),
    )
    return f"{setting.metadata['help']}  [{'; '.join(filter(None, notes))}]"
