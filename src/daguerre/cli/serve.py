"""`daguerre serve`: starts the server and prints how to call it."""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing, suppress
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from daguerre import environment
from daguerre.cli.flags import settings_flags
from daguerre.config import Settings
from daguerre.errors import SettingsError

if TYPE_CHECKING:
    from daguerre.engine.pipeline import Model
    from daguerre.engine.reloadable_engine import ReloadableEngine
    from daguerre.models.catalog import Catalog
    from daguerre.server.agreed_engine import AgreedEngine
    from daguerre.server.control_socket import Commands

logger = logging.getLogger(__name__)


@click.command()
@click.argument("checkpoints", nargs=-1, metavar="[PATH]...")
@click.option(
    "--base",
    metavar="PATH",
    help="With the PATH of a single file: a checkpoint of the same family that has what it lacks.",
)
@settings_flags()
def serve(settings: Settings, checkpoints: tuple[str, ...], base: str | None) -> None:
    """Serve POST /v1/images/generations.

    PATH is a checkpoint: a directory in diffusers format, a .safetensors file, a hub's cache
    (models--owner--name), or a repository (owner/name) that 'daguerre pull' downloaded. Its name is
    the model ID. With PATH, these checkpoints are the only models; the catalog is not read.

    The first start creates the model resource DIFFUSION and its key, a start with PATH one for each
    model without any. When the server listens, it prints its address, a link for a browser, the
    variables for an application and a sample request. With --log-format json, it logs the address
    and prints nothing, so that a collected log has no key.
    """
    from daguerre import factory
    from daguerre.model_factory import build_first_models

    if settings.engine == "ray":
        _serve_with_ray(settings, checkpoints, base)
        return
    catalog = _catalog_reader(settings, checkpoints, base)()
    settings = factory.resolve(settings, catalog)
    # The resolved settings name the catalog, so that a reload without the file is an error.
    read_catalog = _catalog_reader(settings, checkpoints, base)
    models = build_first_models(settings, catalog)
    with factory.open_engine(settings, catalog, models, read_catalog) as engine:
        _serve(settings, engine, catalog, models)


def _serve_with_ray(settings: Settings, checkpoints: Sequence[str], base: str | None) -> None:
    """Serves from Ray replicas: those of a cluster, or one on this machine with the catalog."""
    from daguerre import factory, ray_factory

    if settings.ray_address and checkpoints:
        raise SettingsError(
            f"both {checkpoints[0]} and --ray-address are given; the replicas have the models of"
            " 'daguerre ray deploy', so add the checkpoint to its catalog"
        )
    catalog = None
    if not settings.ray_address:
        catalog = _catalog_reader(settings, checkpoints, base)()
        settings = factory.resolve(settings, catalog)
    with ray_factory.open_engine(settings, _catalog_reader(settings, checkpoints, base)) as engine:
        _serve(settings, engine, catalog)


def _catalog_reader(
    settings: Settings, checkpoints: Sequence[str], base: str | None
) -> Callable[[], Catalog]:
    from daguerre import factory

    if not checkpoints:
        if base is not None:
            raise SettingsError("--base is given without PATH; give the path of a single file")
        return functools.partial(factory.read_catalog, settings)
    source = click.get_current_context().get_parameter_source("catalog")
    if source is ParameterSource.COMMANDLINE:
        raise SettingsError(
            f"both {checkpoints[0]} and --catalog are given; give the paths of checkpoints, or a"
            " catalog that names them"
        )
    return functools.partial(factory.catalog_of_checkpoints, settings, checkpoints, base)


def _show_models(settings: Settings, models: Sequence[Model]) -> None:
    """Prints the table of models on stderr, or logs it if the log is JSON.

    Not before the server can start: a start that fails prints one line.
    """
    from daguerre.cli.model_table import log_models, print_models
    from daguerre.factory import summarize_models

    summaries = summarize_models(settings, models)
    if settings.log_format == "json":
        log_models(summaries)
    else:
        with suppress(OSError):  # stderr is closed or full
            print_models(summaries, err=True)


def _serve(
    settings: Settings,
    engine: ReloadableEngine,
    catalog: Catalog | None,
    models: Sequence[Model] = (),
) -> None:
    """`catalog` is None if the models are not known yet, and `models` empty if they are not here.

    The keys and the sample request follow when the engine knows the models.
    """
    # Imported here, while the workers load the models.
    from daguerre.cli import provisioning
    from daguerre.cli.announcement import announce
    from daguerre.server.playground.one_time_login import OneTimeLogin
    from daguerre.server.server import Server

    one_time_login = OneTimeLogin()
    with provisioning.open_store(settings) as store, ExitStack() as exit_stack:
        names = tuple(catalog.models) if catalog else ()

        def on_ready(settings: Settings) -> None:
            commands = _control_commands(engine, server.engine)
            announce(store, one_time_login, exit_stack, engine, names, commands, settings)

        server = Server(settings, engine, store, on_ready, one_time_login, engine.reload)
        with closing(server.socket):
            _warn_about_service()
            # Not earlier: a start that fails must not leave an address for `daguerre config`.
            if catalog and catalog.file is None:
                provisioning.create_for_each(server.settings, store, catalog.models)
            elif catalog:
                provisioning.create_default(server.settings, store, catalog.default_model)
            if models:
                _show_models(settings, models)
            server.serve_forever()


def _control_commands(engine: ReloadableEngine, served: AgreedEngine) -> Commands:
    """Commands of the control socket, which call the engine in the running event loop."""
    import asyncio

    from daguerre.server.control_socket import in_loop
    from daguerre.server.model_states import model_states

    loop = asyncio.get_running_loop()
    return {
        "models": lambda: {"models": model_states(served, served.conflicts())},
        "reload": lambda: {"changes": in_loop(loop, engine.reload)},
        "promote": lambda: {"models": in_loop(loop, served.promote)},
    }


def _warn_about_service() -> None:
    """Logs that DAGUERRE_PORT is the address of a Service of Kubernetes, not a setting."""
    variable = environment.variable_name("port")
    if environment.is_service_variable(variable, value := os.environ.get(variable, "")):
        logger.warning(
            "ignored %s=%s, which Kubernetes sets for a Service named daguerre; set"
            " enableServiceLinks: false in the pod, or rename the Service",
            variable,
            value,
        )
