"""`daguerre config`: the variables that an application needs, ready for a shell.

The one command that shows a key. Parses and prints; `daguerre.cli.provisioning` knows the rest.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from daguerre.cli.flags import settings_flags
from daguerre.config import Settings
from daguerre.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from daguerre.cli.credentials import ResourceCredentials


@click.command()
@click.option("--shell", "form", flag_value="shell", help="Print NAME=value, quoted for a shell.")
@click.option("--json", "form", flag_value="json", help="Print JSON.")
@click.option("--as", "alias", metavar="ALIAS", help="One resource only.")
@settings_flags("home", "catalog", "database_url", "public_url")
def config(settings: Settings, form: str | None, alias: str | None) -> None:
    """Print the URL, key and model id of the resources.

    \b
    For a shell:
      eval $(daguerre config --shell | sed 's/^/export /')
    """
    attachments = _attachments(settings, alias)
    lost = [_lost(name) for name, attachment in attachments.items() if attachment is None]
    if len(lost) == len(attachments):
        raise SettingsError("; ".join(lost))
    for line in lost:
        click.echo(f"daguerre: {line}", err=True)
    variables: dict[str, str] = {}
    for name, attachment in attachments.items():
        variables |= attachment.variables(name) if attachment else {}
    click.echo(_formatted(variables, form))


def _attachments(settings: Settings, alias: str | None) -> Mapping[str, ResourceCredentials | None]:
    from daguerre.cli import provisioning
    from daguerre.factory import read_catalog
    from daguerre.storage.api_keys import ResourceStore

    store = ResourceStore.open(settings.database_url, settings.data_dir())
    try:
        provisioning.create_default(settings, store, read_catalog(settings).default_model)
        found = _at(settings, provisioning.attachments(settings, store))
        if alias is None:
            return found
        name = store.get(alias).alias
        return {name: found[name]}
    finally:
        store.close()


def _at(
    settings: Settings, found: Mapping[str, ResourceCredentials | None]
) -> Mapping[str, ResourceCredentials | None]:
    """With the public URL where one was given: it is shown and not stored."""
    if not settings.public_url:
        return found
    url = settings.public_base_url()
    return {name: entry and replace(entry, url=url) for name, entry in found.items()}


def _lost(alias: str) -> str:
    return (
        f"the key of {alias} is not in this data folder;"
        f" make a new one with 'daguerre models rotate {alias}'"
    )


def _formatted(variables: dict[str, str], form: str | None) -> str:
    if form == "json":
        return json.dumps(variables, indent=2)
    if form == "shell":
        return "\n".join(f"{name}={shlex.quote(value)}" for name, value in variables.items())
    width = max(map(len, variables)) + 1
    return "\n".join(f"{name + ':':{width}} {value}" for name, value in variables.items())
