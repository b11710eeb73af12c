"""`daguerre certificate`: a certificate chain for trying Content Credentials."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from daguerre.errors import SettingsError

CERTIFICATE, PRIVATE_KEY = "c2pa_certificate.pem", "c2pa_private_key.pem"


@click.command()
@click.argument("directory", metavar="DIRECTORY", type=click.Path(path_type=Path))
def certificate(directory: Path) -> None:
    """Write a certificate chain and its key to DIRECTORY, to try Content Credentials.

    It is valid for a year. Its root is its own, so other programs show the signer as unknown. For
    images that you publish, get a certificate for C2PA from a certification authority.
    """
    from daguerre.storage import data_dir

    try:
        from daguerre.imagefile.trial_certificate import make_chain
    except ImportError as error:
        raise SettingsError(f"{error}; run: pip install 'daguerre[c2pa]'") from None
    paths = directory / CERTIFICATE, directory / PRIVATE_KEY
    for path in paths:
        if path.exists():
            raise SettingsError(f"{path} exists already; choose another directory")
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"cannot create {directory}: {error.strerror or error}") from None
    for path, text in zip(paths, make_chain(), strict=True):
        data_dir.write_private(path, text)
    flags = " ".join(
        f"{flag} {shlex.quote(str(path))}"
        for flag, path in zip(("--c2pa-certificate", "--c2pa-private-key"), paths, strict=True)
    )
    click.echo(f"Wrote {paths[0]} and {paths[1]}. To use them:\n\ndaguerre serve {flags}")
