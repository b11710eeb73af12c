"""`daguerre info`: versions, models and settings, for bug reports. Shows no secret."""

from __future__ import annotations

import json

import click
from click.core import ParameterSource

from daguerre import environment
from daguerre.cli.flags import settings_flags
from daguerre.cli.table import print_table
from daguerre.config import Settings
from daguerre.setting_sources import file_of
from daguerre.version import __version__


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@settings_flags()
def info(settings: Settings, as_json: bool) -> None:
    """Show versions, models and settings."""
    from daguerre.cli.model_table import print_models
    from daguerre.factory import summarize_catalog

    summaries, versions = summarize_catalog(settings), _versions(settings)
    values = settings.redacted()
    if as_json:
        # The weights of a checkpoint have no digest before they are loaded.
        digests = {
            each.info.id: {"weights_sha256": each.info.weights_sha256, **each.facts()}
            for each in summaries
        }
        rows = {name: {"value": value, "source": _source(name)} for name, value in values.items()}
        shown = versions | {"models": digests, "settings": rows}
        click.echo(json.dumps(shown, indent=2, default=str))
        return
    print_table([(name.replace("_", " "), str(value)) for name, value in versions.items()])
    click.echo("\nmodels:")
    print_models(summaries, indent="  ")
    click.echo("\nsettings:")
    print_table(
        (f"  {name}", "unset" if value in (None, "") else str(value), _source(name))
        for name, value in values.items()
    )


def _versions(settings: Settings) -> dict[str, object]:
    import platform
    from importlib import metadata

    return {
        "daguerre": __version__,
        "python": platform.python_version(),
        "openvino": metadata.version("openvino"),
        "machine": f"{platform.system()} {platform.machine()}",
        "data_directory": settings.data_dir(),
    }


def _source(name: str) -> str:
    context, names = click.get_current_context(), (name, file_of(name))
    if any(context.get_parameter_source(each) is ParameterSource.COMMANDLINE for each in names):
        return "flag"
    platform = Settings.__dataclass_fields__[name].metadata["variable"]
    variables = {*map(environment.variable_name, names), platform}
    return "default" if variables.isdisjoint(environment.variables()) else "variable"
