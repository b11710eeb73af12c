"""`daguerre models`: the model resources and their keys, and checkpoints of a hub.

Parses and prints; `provisioning` and `daguerre.models` do the work. Only `daguerre config` prints a
key.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from daguerre.cli.flags import settings_flags
from daguerre.config import Settings
from daguerre.errors import InvalidRequestError, SettingsError

if TYPE_CHECKING:
    from daguerre.params import ModelInfo
    from daguerre.storage.api_keys import Resource, ResourceStore

_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_database = settings_flags("home", "database_url")
_catalog_and_database = settings_flags("home", "catalog", "database_url")


@click.group(invoke_without_command=True)
@click.pass_context
def models(context: click.Context) -> None:
    """Make, show, renew and remove model resources."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@models.command()
@click.argument("model")
@click.option("--as", "alias", required=True, metavar="ALIAS", help="Name of the resource.")
@click.option(
    "--requests-per-minute", type=int, metavar="NUMBER", help="Rate limit. Default: no limit."
)
@settings_flags("home", "catalog", "database_url", "public_url")
def create(settings: Settings, model: str, alias: str, requests_per_minute: int | None) -> None:
    """Make a resource of MODEL, with a key of its own."""
    from daguerre.cli import provisioning

    _check_model(settings, model)
    with _opened(settings) as store:
        resource = provisioning.create(settings, store, model, alias, requests_per_minute)
    click.echo(f"Made {resource.alias}, a resource of {resource.model}.")
    _point_to_config(resource)


@models.command("list")
@_as_json
@_catalog_and_database
def list_(settings: Settings, as_json: bool) -> None:
    """Show the resources, and the models that can be served."""
    from daguerre.factory import list_models

    infos = list_models(settings)
    with _opened(settings) as store:
        resources = store.list()
    if as_json:
        _print_json(
            {
                "resources": [_facts(resource) for resource in resources],
                "models": [_model_facts(info) for info in infos],
            }
        )
        return
    header = ("ALIAS", "MODEL", "KEY", "REQUESTS PER MINUTE", "CREATED")
    _print_table([header, *(_row(resource) for resource in resources)])
    click.echo("\nModels that can be served:")
    _print_table([("  " + info.model, info.description) for info in infos])


@models.command()
@click.argument("alias")
@_as_json
@_database
def info(settings: Settings, alias: str, as_json: bool) -> None:
    """Show one resource."""
    with _opened(settings) as store:
        resource = store.get(alias)
    if as_json:
        _print_json(_facts(resource))
        return
    names = ("Alias:", "Model:", "Key:", "Requests per minute:", "Created:")
    _print_table([*zip(names, _row(resource), strict=True), ("Id:", resource.id)])


@models.command()
@click.argument("alias")
@settings_flags("home", "database_url", "public_url")
def rotate(settings: Settings, alias: str) -> None:
    """Give a resource a new key; the old one stops at once."""
    from daguerre.cli import provisioning

    with _opened(settings) as store:
        resource = provisioning.rotate(settings, store, alias)
    click.echo(f"{resource.alias} has a new key; the old one is refused from now on.")
    _point_to_config(resource)


@models.command()
@click.argument("alias")
@click.option("--confirm", metavar="ALIAS", help="The alias again, instead of the question.")
@_database
def destroy(settings: Settings, alias: str, confirm: str | None) -> None:
    """Remove a resource; its key stops at once."""
    from daguerre.cli import provisioning

    with _opened(settings) as store:
        resource = store.get(alias)
        _confirm(resource.alias, confirm)
        provisioning.destroy(settings, store, resource)
    click.echo(f"Removed {resource.alias}; its key is refused from now on.")


@models.command()
@click.argument("model", nargs=-1)
@settings_flags("home", "catalog")
def pull(settings: Settings, model: tuple[str, ...]) -> None:
    """Download the checkpoints of MODEL, or all that the catalog takes from a hub."""
    from daguerre.factory import read_catalog
    from daguerre.models.diffusers import hub
    from daguerre.storage import data_dir

    pins = read_catalog(settings).pinned_revisions
    for name in model:
        if name not in pins:
            there = ", ".join(pins) or "none"
            raise InvalidRequestError(
                f"the catalog takes no model {name!r} from a hub; it takes: {there}", param="model"
            )
    if not pins:
        click.echo("The catalog takes no model from a hub.")
    for name in model or pins:
        home = data_dir.prepare(settings.data_dir())
        click.echo(f"{name}: {pins[name]}")
        click.echo(f"  is in {hub.pull(home, pins[name], _show_file)}")


def _show_file(name: str, size: int) -> None:
    click.echo(f"  {name}, {size / 1e6:.1f} MB")


@contextmanager
def _opened(settings: Settings) -> Iterator[ResourceStore]:
    from daguerre.storage.api_keys import ResourceStore

    store = ResourceStore.open(settings.database_url, settings.data_dir())
    try:
        yield store
    finally:
        store.close()


def _check_model(settings: Settings, model: str) -> None:
    import difflib

    from daguerre.factory import list_models

    names = [info.model for info in list_models(settings)]
    if model not in names:
        near = difflib.get_close_matches(model, names, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there is: {', '.join(names)}"
        raise InvalidRequestError(f"there is no model {model!r}; {hint}", param="model")


def _confirm(alias: str, confirm: str | None) -> None:
    if confirm is None:
        if sys.stdin is None or not sys.stdin.isatty():
            raise SettingsError(f"nothing was removed; to go on, add --confirm {alias}")
        question = f"Applications that use {alias} will be refused. Type {alias} to go on"
        confirm = click.prompt(question, default="", show_default=False)
    if str(confirm).upper() != alias:
        raise SettingsError(f"nothing was removed: {confirm!r} is not {alias}")


def _point_to_config(resource: Resource) -> None:
    click.echo(f"Its URL, key and model id: daguerre config --as {resource.alias}")


def _facts(resource: Resource) -> dict[str, object]:
    return {name: getattr(resource, name) for name in type(resource).__slots__}


def _model_facts(info: ModelInfo) -> dict[str, object]:
    return {"model": info.model, "description": info.description, "created": info.created}


def _row(resource: Resource) -> tuple[str, ...]:
    return (
        resource.alias,
        resource.model,
        resource.key_prefix + "...",
        str(resource.requests_per_minute or "no limit"),
        time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(resource.created)),
    )


def _print_json(value: object) -> None:
    click.echo(json.dumps(value, indent=2))


def _print_table(rows: Iterable[Sequence[str]]) -> None:
    rows = list(rows)
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())
