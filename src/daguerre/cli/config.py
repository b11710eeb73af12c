"""`daguerre config`: prints the variables of an application. No other command shows a key."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace

import click

from daguerre.cli.flags import settings_flags
from daguerre.config import Settings
from daguerre.errors import SettingsError


@click.command()
@click.option("--shell", "form", flag_value="shell", help="Print NAME=value, quoted for a shell.")
@click.option("--json", "form", flag_value="json", help="Print JSON.")
@click.option("--as", "alias", metavar="ALIAS", help="Print this resource only.")
@settings_flags("home", "catalog", "database_url", "public_url")
def config(settings: Settings, form: str | None, alias: str | None) -> None:
    """Print the URL, key and model id of the resources.

    \b
    For a shell:
      eval $(daguerre config --shell | sed 's/^/export /')
    """
    from daguerre.cli import provisioning

    with provisioning.open_store(settings) as store:
        provisioning.create_default(settings, store)
        found = provisioning.credentials_by_alias(settings, store)
        if alias is not None:
            name = store.get(alias).alias
            found = {name: found[name]}
    lost = [provisioning.lost_key(name) for name, entry in found.items() if entry is None]
    if len(lost) == len(found):
        raise SettingsError("; ".join(lost))
    for line in lost:
        click.echo(f"daguerre: {line}", err=True)
    variables: dict[str, str] = {}
    for name, entry in found.items():
        if entry is not None:
            # A public URL is printed, not stored.
            url = settings.public_base_url() if settings.public_url else entry.url
            variables |= replace(entry, url=url).variables(name)
    click.echo(_format(variables, form))


def _format(variables: dict[str, str], form: str | None) -> str:
    if form == "json":
        return json.dumps(variables, indent=2)
    if form == "shell":
        return "\n".join(f"{name}={shlex.quote(value)}" for name, value in variables.items())
    width = max(map(len, variables)) + 1
    return "\n".join(f"{name + ':':{width}} {value}" for name, value in variables.items())
