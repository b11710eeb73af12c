"""`daguerre config`: prints the variables of an application. No other command shows a key."""

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
    from daguerre.cli.credentials import Credentials


_NO_RESOURCES = "no resources; create one with 'daguerre models create MODEL --as ALIAS'"


@click.command()
@click.option("--shell", "is_shell", is_flag=True, help="Print NAME=value, quoted for a shell.")
@click.option("--json", "is_json", is_flag=True, help="Print JSON.")
@click.option("--as", "alias", metavar="ALIAS", help="Print this resource only.")
@settings_flags("home", "database_url", "public_url")
def config(settings: Settings, is_shell: bool, is_json: bool, alias: str | None) -> None:
    """Print the URL, key and model ID of the resources.

    \b
    For a shell:
      eval $(daguerre config --shell | sed 's/^/export /')
    """
    if is_shell and is_json:
        raise SettingsError("give either --shell or --json")
    variables: dict[str, str] = {}
    for name, entry in _credentials(settings, alias).items():
        # A public URL is printed, not stored.
        url = settings.public_base_url() if settings.public_url else entry.url
        variables |= replace(entry, url=url).variables(name)
    if is_json:
        click.echo(json.dumps(variables, indent=2))
        return
    width = max(map(len, variables)) + 1
    for name, value in variables.items():
        click.echo(f"{name}={shlex.quote(value)}" if is_shell else f"{name + ':':{width}} {value}")


def _credentials(settings: Settings, alias: str | None) -> Credentials:
    """Credentials of one resource or of all. Reports lost keys; raises if there is no other."""
    from daguerre.cli import provisioning

    with provisioning.open_store(settings) as store:
        by_alias = provisioning.credentials_by_alias(settings, store)
        if alias is not None:
            name = store.get(alias).alias
            by_alias = {name: by_alias[name]}
    lost = [provisioning.lost_key(name) for name, entry in by_alias.items() if entry is None]
    if len(lost) == len(by_alias):
        raise SettingsError("; ".join(lost) or _NO_RESOURCES)
    for line in lost:
        click.echo(f"daguerre: {line}", err=True)
    return {name: entry for name, entry in by_alias.items() if entry is not None}
