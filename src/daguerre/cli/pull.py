"""`daguerre pull`: downloads checkpoints from a hub and pins their commit in the catalog."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from daguerre.cli.flags import settings_flags
from daguerre.cli.progress import byte_bar
from daguerre.config import Settings
from daguerre.errors import InvalidRequestError, SettingsError

if TYPE_CHECKING:
    from daguerre.models.diffusers.hub import PinnedRevision
    from daguerre.models.diffusers.hub_download import Download


@click.command()
@click.argument("names", nargs=-1, metavar="[REPOSITORY | MODEL]...")
@click.option("--id", "model", metavar="ID", help="Model ID of a new table. Default: its name.")
@settings_flags("home", "catalog")
def pull(settings: Settings, names: tuple[str, ...], model: str | None) -> None:
    """Download checkpoints from a hub.

    REPOSITORY is owner/name, or owner/name@revision with a branch, a tag or a commit; the default
    is the newest commit. The catalog gets a table with the commit, or the commit of its table is
    replaced. MODEL is a model ID of the catalog, whose commit is downloaded. Without both, all
    checkpoints of the catalog are.

    HF_TOKEN is the token for gated and private repositories, HF_ENDPOINT the address of another
    hub. An interrupted download resumes.
    """
    from daguerre.factory import read_catalog

    pins = read_catalog(settings).pinned_revisions
    if model is not None and (len(names) != 1 or names[0] in pins):
        raise SettingsError(f"--id is {model!r}; give it with one repository")
    if not (names or pins):
        click.echo("Nothing to download: no model of the catalog has a repo.")
    for name in names or pins:
        if name in pins:
            _download(settings, pins[name])
        else:
            pin = _resolve(name, pins)
            _download(settings, pin)
            _pin(settings, pin, model)
            _print_command(settings, pin)


def _resolve(name: str, models: Collection[str]) -> PinnedRevision:
    from daguerre.models.diffusers import hub, hub_download

    repository, _, revision = name.partition("@")
    if not hub.REPOSITORY.accepts(repository):
        known = ", ".join(models) or "none"
        raise InvalidRequestError(
            f"{name!r} is neither a repository, such as owner/name, nor a model of the catalog"
            f" with one; such models: {known}",
            param="model",
        )
    return hub_download.resolve(repository, revision or hub_download.MAIN)


def _download(settings: Settings, pin: PinnedRevision) -> None:
    from daguerre.models.diffusers import hub_download
    from daguerre.storage import data_dir

    folder = hub_download.pull(data_dir.prepare(settings.data_dir()), pin, _show)
    click.echo(f"{pin} is in {folder}")


@contextmanager
def _show(download: Download) -> Iterator[Callable[[int], None]]:
    size, license = f"{download.num_bytes / 1e9:.2f} GB", download.license or "unknown"
    click.echo(f"{download.pin}: {download.pipeline}, {size}, license {license}")
    with byte_bar(download.num_bytes) as report:
        yield report


def _pin(settings: Settings, pin: PinnedRevision, model: str | None) -> None:
    """Writes the commit into the tables of its repository, or of `model` alone, or a new one."""
    from daguerre.factory import read_catalog
    from daguerre.models import catalog, catalog_file
    from daguerre.models.diffusers import location

    home = settings.data_dir()
    file, pins = settings.catalog or catalog.path_in(home), read_catalog(settings).pinned_revisions
    pinned = {
        name: each.revision
        for name, each in pins.items()
        if each.repository == pin.repository and model in (None, name)
    }
    for name, revision in pinned.items():
        if revision != pin.revision:
            catalog_file.set_keys(file, home, name, {"revision": pin.revision})
            click.echo(f"Model {name} of {file}: revision {revision[:8]} is now {pin.revision[:8]}")
    if not pinned:
        found = location.of_pin(home, pin)
        name = found.model_id if model is None else model
        catalog_file.add(file, home, name, location.catalog_keys(found))
        click.echo(f"Added {name} to {file}")


def _print_command(settings: Settings, pin: PinnedRevision) -> None:
    from daguerre.models.diffusers import hub

    is_only = len(hub.pulled_commits(settings.data_dir(), pin.repository)) == 1
    name = pin.repository if is_only else f"{pin.repository}@{pin.revision[:8]}"
    click.echo(f"Serve it: daguerre serve {shlex.quote(name)}")
