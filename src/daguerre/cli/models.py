"""`daguerre models`: manages model resources and their keys, and the catalog.

Only `daguerre config` prints a key.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from daguerre.cli.catalog import add, remove
from daguerre.cli.flags import settings_flags
from daguerre.cli.table import print_table
from daguerre.config import Settings
from daguerre.errors import SettingsError

if TYPE_CHECKING:
    from daguerre.storage.resources import Resource

_STATES_TIMEOUT_S = 10.0
_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_database = settings_flags("home", "database_url")
_catalog_and_database = settings_flags("home", "catalog", "database_url")


@click.group(invoke_without_command=True)
@click.pass_context
def models(context: click.Context) -> None:
    """Manage model resources with their keys, and the models of the catalog."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


models.add_command(add)
models.add_command(remove)


@models.command()
@click.argument("model")
@click.option("--as", "alias", required=True, metavar="ALIAS", help="Name of the resource.")
@click.option(
    "--requests-per-minute",
    type=int,
    metavar="NUMBER",
    help="Rate limit, 1 to 1000000 requests per minute. Default: no limit.",
)
@settings_flags("home", "catalog", "database_url", "public_url")
def create(settings: Settings, model: str, alias: str, requests_per_minute: int | None) -> None:
    """Create a resource of MODEL with its own key.

    `daguerre models list` shows the models. ALIAS has letters, digits and underscores, and is the
    prefix of the variables that `daguerre config` prints.
    """
    from daguerre.cli import provisioning
    from daguerre.factory import read_catalog

    catalog = read_catalog(settings)
    with provisioning.open_store(settings) as store:
        # A model of `daguerre serve PATH` or of Ray replicas is not in the catalog.
        served = {resource.model for resource in store.list()} | (_states(settings) or {}).keys()
        if model not in served:
            catalog.only(model)
        resource = provisioning.create(settings, store, model, alias, requests_per_minute)
    click.echo(f"Created {resource.alias}, a resource of {resource.model}.")
    _print_hint(resource)


@models.command("list")
@_as_json
@_catalog_and_database
def list_(settings: Settings, as_json: bool) -> None:
    """List the resources and the models of the catalog.

    While a server runs with this data directory, STATE is what it does with each model.
    """
    from daguerre.cli import provisioning
    from daguerre.cli.model_table import print_models
    from daguerre.factory import summarize_catalog

    summaries, states = summarize_catalog(settings), _states(settings)
    with provisioning.open_store(settings) as store:
        resources = store.list()
    if as_json:
        models = [
            {
                "model": each.info.id,
                "created": each.info.created,
                **each.facts(),
                "state": (states or {}).get(each.info.id),
            }
            for each in summaries
        ]
        listed = {"resources": [asdict(resource) for resource in resources], "models": models}
        click.echo(json.dumps(listed, indent=2))
        return
    header = ("ALIAS", "MODEL", "KEY", "REQUESTS PER MINUTE", "CREATED")
    print_table([header, *(_row(resource) for resource in resources)])
    click.echo("\nModels of the catalog:")
    print_models(summaries, states, indent="  ")


def _states(settings: Settings) -> dict[str, str] | None:
    """Model -> its state in the server that runs here; None if there is none."""
    from daguerre.server import control_socket

    try:
        answer = control_socket.request(settings.data_dir(), "models", _STATES_TIMEOUT_S)
    except SettingsError as error:  # the catalog's models are still listed
        click.echo(f"daguerre: warning: {error.message}", err=True)
        return None
    return {each["id"]: _state(each) for each in answer["models"]} if answer else None


def _state(model: Mapping[str, Any]) -> str:
    """Such as "loaded (1 worker, about 4.20 GB)" or "failed: not enough memory"."""
    if model["state"] != "loaded":
        return f"failed: {model['reason']}" if model["reason"] else str(model["state"])
    count = model["num_workers"]
    workers = "1 worker" if count == 1 else f"{count} workers"
    size = f", about {model['num_bytes'] * count / 1e9:.2f} GB" if model["num_bytes"] else ""
    return f"loaded ({workers}{size})"


@models.command()
@settings_flags("home")
def reload(settings: Settings) -> None:
    """Have the running server read the catalog again. No request fails."""
    click.echo(f"Reloaded the catalog: {_command(settings, 'reload')['changes']}.")


@models.command()
@settings_flags("home")
def promote(settings: Settings) -> None:
    """Serve what the running server refuses, because other servers draw other images.

    The other servers then refuse these models, until they draw the same images. Use it to switch
    all traffic to the servers of a new version.
    """
    promoted = _command(settings, "promote")["models"]
    click.echo(f"Promoted: {', '.join(promoted) or 'no model was refused'}.")


def _command(settings: Settings, name: str) -> dict[str, Any]:
    """Sends a command to the running server, and returns its answer."""
    from daguerre.server import control_socket

    directory = settings.data_dir()
    answer = control_socket.request(directory, name)
    if answer is None:
        raise SettingsError(
            f"no server runs with the data directory {directory}; give its --home, or run:"
            " daguerre serve"
        )
    return answer


@models.command()
@click.argument("alias")
@_as_json
@_database
def info(settings: Settings, alias: str, as_json: bool) -> None:
    """Show one resource."""
    from daguerre.cli import provisioning

    with provisioning.open_store(settings) as store:
        resource = store.get(alias)
    if as_json:
        click.echo(json.dumps(asdict(resource), indent=2))
        return
    names = ("Alias:", "Model:", "Key:", "Requests per minute:", "Created:")
    print_table([*zip(names, _row(resource), strict=True), ("ID:", resource.id)])


@models.command()
@click.argument("alias")
@settings_flags("home", "database_url", "public_url")
def rotate(settings: Settings, alias: str) -> None:
    """Replace the key of a resource. The old key is rejected at once."""
    from daguerre.cli import provisioning

    with provisioning.open_store(settings) as store:
        resource = provisioning.rotate(settings, store, alias)
    click.echo(f"{resource.alias} has a new key; the old one is rejected from now on.")
    _print_hint(resource)


@models.command()
@click.argument("alias")
@click.option("--confirm", metavar="ALIAS", help="Confirm with the alias, without a prompt.")
@_database
def destroy(settings: Settings, alias: str, confirm: str | None) -> None:
    """Remove a resource. Its key is rejected at once."""
    from daguerre.cli import provisioning

    with provisioning.open_store(settings) as store:
        alias = store.get(alias).alias
        _confirm(alias, confirm)
        provisioning.destroy(settings, store, alias)
    click.echo(f"Removed {alias}; its key is rejected from now on.")


def _confirm(alias: str, confirm: str | None) -> None:
    if confirm is None:
        if not sys.stdin.isatty():
            raise SettingsError(f"nothing was removed; to confirm, add --confirm {alias}")
        question = f"Applications with the key of {alias} will be rejected. Type {alias} to confirm"
        confirm = click.prompt(question, default="", show_default=False)
    if str(confirm).upper() != alias:
        raise SettingsError(f"nothing was removed: {confirm!r} is not {alias}")


def _print_hint(resource: Resource) -> None:
    click.echo(f"Print its URL, key and model ID: daguerre config --as {resource.alias}")


def _row(resource: Resource) -> tuple[str, ...]:
    return (
        resource.alias,
        resource.model,
        resource.key_prefix + "...",
        str(resource.requests_per_minute or "no limit"),
        time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(resource.created)),
    )
