"""`daguerre models add` and `daguerre models remove`: the tables of the catalog."""

from __future__ import annotations

import functools
import os
import shlex
import tomllib
from collections.abc import Sequence

import click

from daguerre.cli.flags import settings_flags
from daguerre.config import Settings
from daguerre.errors import SettingsError

_catalog_flags = settings_flags("home", "catalog", "database_url")
# Keys that PATH decides.
_DECIDED_KEYS = frozenset({"source", "path", "repo", "revision"})
_RELOAD = "A running server reads it after: daguerre models reload"


@click.command()
@click.argument("checkpoint", metavar="PATH")
@click.option("--id", "model", metavar="ID", help="Model ID. Default: the name of PATH.")
@click.option(
    "--base", metavar="PATH", help="Checkpoint of the same family that has what a file lacks."
)
@click.option("--dtype", metavar="TEXT", help="Type of the weights and of the arithmetic.")
@click.option(
    "--lora",
    "loras",
    multiple=True,
    metavar="FILE[:SCALE]",
    help="LoRA to add to the weights, with its scale; may be repeated.",
)
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="KEY=VALUE",
    help="Another key of the catalog, such as steps=20 or vae=PATH; may be repeated.",
)
@_catalog_flags
def add(
    settings: Settings,
    checkpoint: str,
    model: str | None,
    base: str | None,
    dtype: str | None,
    loras: tuple[str, ...],
    assignments: tuple[str, ...],
) -> None:
    """Add a checkpoint to the catalog.

    PATH is a checkpoint as for 'daguerre serve'. A new catalog also has the bundled model.

    \b
    Example:
      daguerre models add dreamy-xl.safetensors --lora ink.safetensors:0.8 --set steps=25
    """
    from daguerre.model_factory import check_models
    from daguerre.models import catalog, catalog_file
    from daguerre.models.diffusers import location
    from daguerre.models.diffusers.library_errors import naming_key

    home = settings.data_dir()
    found = location.find(checkpoint, home)
    table = location.catalog_keys(found) | dict(map(_assignment, assignments))
    if base is not None:
        with naming_key("base"):
            table["base"] = str(location.find(base, home).path)
    if dtype is not None:
        table["dtype"] = dtype
    if loras:
        table["loras"] = list(map(_lora, loras))
    file = settings.catalog or catalog.path_in(home)
    model = found.model_id if model is None else model
    catalog_file.add(file, home, model, table, functools.partial(check_models, settings))
    click.echo(f"Added {model} to {file}. {_RELOAD}")
    _print_next(settings, model)


@click.command()
@click.argument("model")
@_catalog_flags
def remove(settings: Settings, model: str) -> None:
    """Remove MODEL from the catalog. Its files and its keys remain."""
    from daguerre.cli import provisioning
    from daguerre.models import catalog, catalog_file

    file = settings.catalog or catalog.path_in(settings.data_dir())
    catalog_file.remove(file, settings.data_dir(), model)
    click.echo(f"Removed {model} from {file}. {_RELOAD}")
    with provisioning.open_store(settings) as store:
        aliases = [each.alias for each in store.list() if each.model == model]
    for alias in aliases:
        click.echo(f"Its resource {alias} remains; remove it: daguerre models destroy {alias}")


def _lora(text: str) -> dict[str, object]:
    """A table with an absolute path; what follows the last colon is the scale if it is a number."""
    path, colon, scale = text.rpartition(":")
    try:
        keys: dict[str, object] = {"scale": float(scale)} if colon else {}
    except ValueError:
        keys = {}
    path = path if keys else text
    if not path:
        raise SettingsError(
            f"--lora is {text!r}; it must be FILE or FILE:SCALE, such as ink.safetensors:0.8"
        )
    return {"path": _absolute(path), **keys}


def _assignment(text: str) -> tuple[str, object]:
    """The key and its value, which is TOML, or text without quotation marks."""
    key, separator, value = text.partition("=")
    if not separator or not key:
        raise SettingsError(f"--set is {text!r}; it must be KEY=VALUE, such as steps=20")
    if key in _DECIDED_KEYS:
        raise SettingsError(f"--set is {text!r}; {key} follows from PATH, so omit it")
    try:
        return key, _with_absolute_paths(key, tomllib.loads(f"value = {value}")["value"])
    except ValueError:
        return key, _with_absolute_paths(key, value)


def _with_absolute_paths(key: str, value: object) -> object:
    """The value of a key, whose relative paths would start at the catalog."""
    from daguerre.models.diffusers.replacement import REPLACEABLE

    if isinstance(value, str) and key in ("base", *REPLACEABLE):
        return _absolute(value)
    if isinstance(value, list) and key in ("loras", "embeddings"):
        return [_with_absolute_path(table) for table in value]
    return value


def _with_absolute_path(table: object) -> object:
    if isinstance(table, dict) and isinstance(path := table.get("path"), str):
        return {**table, "path": _absolute(path)}
    return table


def _absolute(path: str) -> str:
    """An empty path stays empty, so that it is refused."""
    return path and os.path.abspath(os.path.expanduser(path))


def _print_next(settings: Settings, model: str) -> None:
    """How to use a model that was added, without a key and with one."""
    from daguerre.cli import provisioning

    with provisioning.open_store(settings) as store:
        resources: Sequence[str] = [each.alias for each in store.list() if each.model == model]
    name = shlex.quote(model)
    click.echo(f'Generate an image: daguerre generate --model {name} "a lighthouse" -o x.png')
    if not resources:
        alias = provisioning.alias_for(model)
        click.echo(f"Create its key for the server: daguerre models create {name} --as {alias}")
