"""`daguerre info`: what runs here, for a reader and for a bug report.

Makes nothing, loads no network, and shows no secret.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from daguerre import __version__
from daguerre.cli.flags import settings_flags
from daguerre.config import Settings

if TYPE_CHECKING:
    from daguerre.params import ModelInfo


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@settings_flags()
def info(settings: Settings, as_json: bool) -> None:
    """Show the version, the data folder, the models and the settings."""
    facts = _facts(settings)
    if as_json:
        click.echo(json.dumps(facts, indent=2, default=str))
        return
    for name, value in facts.items():
        if isinstance(value, dict):
            click.echo(f"\n{name}:")
            for key, entry in value.items():
                click.echo(f"  {key:20} {entry}")
        else:
            click.echo(f"{name:12} {value}")


def _facts(settings: Settings) -> dict[str, object]:
    import platform
    from importlib import metadata

    from daguerre.factory import list_models

    return {
        "daguerre": __version__,
        "python": platform.python_version(),
        "openvino": metadata.version("openvino"),
        "machine": f"{platform.system()} {platform.machine()}",
        "data folder": settings.data_dir(),
        "models": {info.model: _weights(info) for info in list_models(settings)},
        "settings": settings.redacted(),
    }


def _weights(info: ModelInfo) -> str:
    """Those of a checkpoint are read when it is loaded, which nothing here does."""
    return f"weights {info.weights_sha256}" if info.weights_sha256 else info.description
