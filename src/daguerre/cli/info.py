"""`daguerre info`: versions, models and settings, for bug reports. Shows no secret."""

from __future__ import annotations

import json

import click

from daguerre import __version__
from daguerre.cli.flags import settings_flags
from daguerre.config import Settings


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@settings_flags()
def info(settings: Settings, as_json: bool) -> None:
    """Show the version, the data directory, the models and the settings."""
    rows = _rows(settings)
    if as_json:
        click.echo(json.dumps(rows, indent=2, default=str))
        return
    for name, value in rows.items():
        if isinstance(value, dict):
            click.echo(f"\n{name}:")
            for key, entry in value.items():
                click.echo(f"  {key:20} {entry}")
        else:
            click.echo(f"{name:15} {value}")


def _rows(settings: Settings) -> dict[str, object]:
    import platform
    from importlib import metadata

    from daguerre.factory import list_models

    return {
        "daguerre": __version__,
        "python": platform.python_version(),
        "openvino": metadata.version("openvino"),
        "machine": f"{platform.system()} {platform.machine()}",
        "data directory": settings.data_dir(),
        # The weights of a checkpoint have no digest before they are loaded.
        "models": {
            one.id: f"weights {one.weights_sha256}" if one.weights_sha256 else one.description
            for one in list_models(settings)
        },
        "settings": settings.redacted(),
    }
