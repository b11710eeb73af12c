"""`daguerre backup` and `daguerre restore`: the state of a server in one private file."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from daguerre.cli.flags import settings_flags
from daguerre.config import Settings
from daguerre.errors import SettingsError

if TYPE_CHECKING:
    from daguerre.storage.backup import Contents, Places

_file = click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
_settings = settings_flags("home", "catalog", "database_url", "image_store")


@click.command()
@_file
@click.option("--images", is_flag=True, help="Include the finished images of the image store.")
@_settings
def backup(settings: Settings, file: Path, images: bool) -> None:
    """Write the state of a server to FILE, also while it runs.

    FILE has the database, the keys, the secret of signed URLs and the catalog; only its owner can
    read it. Without --images, signed URLs of finished images break when it is restored.
    """
    from daguerre.storage import backup as backups

    home = settings.data_dir()
    if not (settings.database_url or home.is_dir()):
        raise SettingsError(
            f"the data directory {home} does not exist; name another with --home or DAGUERRE_HOME"
        )
    with _places(settings, with_images=images) as places:
        contents = backups.back_up(file, places)
    click.echo(f"Wrote {file}: {_summary(contents)}.")


@click.command()
@_file
@click.option("--force", is_flag=True, help="Replace the database and the files that exist.")
@_settings
def restore(settings: Settings, file: Path, force: bool) -> None:
    """Restore the state of a server from FILE, which 'daguerre backup' wrote.

    The database may be of another kind than that of the backup. Stop all servers of the data
    directory and the database first. Nothing changes if FILE is damaged or restoring it fails.
    """
    from daguerre.storage import backup as backups
    from daguerre.storage import backup_file, data_dir

    with ExitStack() as stack:
        opened = stack.enter_context(backup_file.reading(file))
        home = data_dir.prepare(settings.data_dir())
        if not stack.enter_context(data_dir.locked(home / "serve", wait=False)):
            raise SettingsError(f"a server runs with the data directory {home}; stop it first")
        places = stack.enter_context(_places(settings, with_images=True))
        contents = backups.restore(opened, places, force=force)
    click.echo(f"Restored {file}: {_summary(contents)}.")


@contextmanager
def _places(settings: Settings, *, with_images: bool) -> Iterator[Places]:
    """The state of the settings' server."""
    from daguerre.cli import credentials, provisioning
    from daguerre.models import catalog
    from daguerre.server.routes.signed_urls import SECRET_FILE
    from daguerre.storage.backup import Places
    from daguerre.storage.image_store import DIR_NAME, ImageStore

    home = settings.data_dir()
    files = {
        credentials.FILE_NAME: home / credentials.FILE_NAME,
        SECRET_FILE: home / SECRET_FILE,
        catalog.FILE_NAME: settings.catalog or catalog.path_in(home),
    }
    location = settings.image_store or str(home / DIR_NAME)
    images = ImageStore(location, settings.image_store_max_bytes, settings.signed_url_ttl_s)
    with provisioning.open_store(settings) as store:
        lock = functools.partial(credentials.locked, home)
        yield Places(store.database, files, images if with_images else None, lock)


def _summary(contents: Contents) -> str:
    rows = (
        f"{table.removeprefix('daguerre_').replace('_', ' ')}: {number}"
        for table, number in contents.rows.items()
    )
    return ", ".join((*rows, f"images: {contents.num_images}", *contents.files))
