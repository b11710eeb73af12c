"""`daguerre serve`: starts the server and prints how to call it."""

from __future__ import annotations

import functools
import json
import logging
import os
import shlex
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from daguerre import environment
from daguerre.cli import streams
from daguerre.cli.flags import settings_flags
from daguerre.config import Settings
from daguerre.errors import SettingsError

if TYPE_CHECKING:
    from daguerre.cli.credentials import ResourceCredentials
    from daguerre.engine.pipeline import Model
    from daguerre.engine.reloadable_engine import ReloadableEngine
    from daguerre.models.catalog import Catalog
    from daguerre.server.agreed_engine import AgreedEngine
    from daguerre.server.control_socket import Commands
    from daguerre.server.playground.one_time_login import OneTimeLogin
    from daguerre.storage.resources import ResourceStore

logger = logging.getLogger(__name__)

_PROMPT = "a red apple on a wooden table"
# python3 instead of jq, because this machine has it. An error is printed, not decoded.
_DECODE = (
    "import base64, json, sys; a = json.load(sys.stdin); "
    'sys.exit(a["error"]["message"]) if "error" in a else '
    'open("x.png", "wb").write(base64.b64decode(a["data"][0]["b64_json"]))'
)


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

    catalog = _catalog_reader(settings, checkpoints, base)()
    settings = factory.resolve(settings, catalog)
    # The resolved settings name the catalog, so that a reload without the file is an error.
    read_catalog = _catalog_reader(settings, checkpoints, base)
    models = build_first_models(settings, catalog)
    with factory.open_engine(settings, catalog, models, read_catalog) as engine:
        _serve(settings, engine, catalog, models)


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
    settings: Settings, engine: ReloadableEngine, catalog: Catalog, models: Sequence[Model]
) -> None:
    # Imported here, while the workers load the models.
    from daguerre.cli import provisioning
    from daguerre.server.playground.one_time_login import OneTimeLogin
    from daguerre.server.server import Server

    one_time_login = OneTimeLogin()
    with provisioning.open_store(settings) as store, ExitStack() as exit_stack:

        def on_ready(settings: Settings) -> None:
            commands = _control_commands(engine, server.engine)
            _announce(store, one_time_login, exit_stack, catalog, commands, settings)

        server = Server(settings, engine, store, on_ready, one_time_login, engine.reload)
        with closing(server.socket):
            _warn_about_service()
            # Not earlier: a start that fails must not leave an address for `daguerre config`.
            if catalog.file is None:
                provisioning.create_for_each(server.settings, store, catalog.models)
            else:
                provisioning.create_default(server.settings, store, catalog.default_model)
            _show_models(settings, models)
            server.serve_forever()


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


def _announce(
    store: ResourceStore,
    one_time_login: OneTimeLogin,
    exit_stack: ExitStack,
    catalog: Catalog,
    commands: Commands,
    settings: Settings,
) -> None:
    """Prints how to call the server; `settings` have the actual port.

    A JSON log is read by programs and often kept, with stdout: it gets the address, but no key.
    Requests do not need the credentials file, so an error in it is only a warning.
    """
    is_json = settings.log_format == "json"
    say, warn = (logger.info, logger.warning) if is_json else (_print, _warn)
    for line in _addresses(settings):
        say(line)
    try:
        _publish(settings, exit_stack, commands)
        if not is_json:
            _print(_how_to_call(store, one_time_login, catalog.models, settings))
    except SettingsError as error:
        warn(error.message)


def _addresses(settings: Settings) -> Iterator[str]:
    """Where the server listens, and what the links begin with if that may be wrong."""
    from daguerre.server.playground.one_time_login import is_loopback

    url, address = settings.public_base_url(), f"{settings.host}:{settings.port}"
    is_reached_there = url == f"http://{address}"
    yield f"daguerre listens on {url if is_reached_there else f'{address}; clients use {url}'}"
    if not (settings.public_url or settings.trusted_proxies or is_loopback(settings.host)):
        yield (
            "links have http:// and the host of each request; behind an HTTPS proxy, set"
            " --public-url or --trusted-proxies"
        )


def _print(text: str) -> None:
    """Prints to stdout; the server keeps running if stdout is closed or full."""
    try:
        click.echo(text)
        sys.stdout.flush()
    except OSError:
        streams.discard_stdout()


def _warn(message: str) -> None:
    click.echo(f"daguerre: warning: {message}", err=True)


def _publish(settings: Settings, exit_stack: ExitStack, commands: Commands) -> None:
    """Stores the server's address for `daguerre config`, and opens the control socket.

    Does nothing if another server runs here.
    """
    from daguerre.cli import credentials
    from daguerre.server import control_socket
    from daguerre.storage import data_dir

    directory = data_dir.prepare(settings.data_dir())
    if exit_stack.enter_context(data_dir.locked(directory / "serve", wait=False)):
        credentials.set_url(directory, settings.public_base_url())
        exit_stack.enter_context(control_socket.serve(directory, commands))


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


def _how_to_call(
    store: ResourceStore,
    one_time_login: OneTimeLogin,
    models: Collection[str],
    settings: Settings,
) -> str:
    from daguerre.cli import provisioning
    from daguerre.server.playground.one_time_login import is_loopback

    resource = provisioning.default_resource(store, models)
    if resource is None:
        return ""
    stored = provisioning.credentials_by_alias(settings, store)[resource.alias]
    if stored is None:
        return provisioning.lost_key(resource.alias)
    here = replace(stored, url=settings.public_base_url())
    if settings.public_url or not is_loopback(settings.host):
        # No sign-in link: anyone who sees it could use it first.
        browser = f"In a browser, with the key below:\n\n{here.url}/"
    else:
        link = here.url + one_time_login.issue(here.key)
        browser = f"In a browser, signed in (this link works once):\n\n{link}"
    exports = "\n".join(
        f"export {name}={shlex.quote(value)}"
        for name, value in here.variables(resource.alias).items()
    )
    others = "\nThe keys of all models: daguerre config\n" if len(models) > 1 else ""
    return (
        f"\n{browser}\n\nFor an application:\n\n{exports}\n"
        f"\nAn image from the terminal, written to x.png:\n\n{curl(here)}\n{others}"
    )


def curl(credentials: ResourceCredentials) -> str:
    """A shell command that requests an image and needs neither variables nor jq."""
    body = json.dumps({"model": credentials.model, "prompt": _PROMPT})
    return (
        f"curl -sS {shlex.quote(credentials.url + '/v1/images/generations')} \\\n"
        f" -H {shlex.quote('Authorization: Bearer ' + credentials.key)} \\\n"
        f" -d {shlex.quote(body)} \\\n"
        f" | python3 -c {shlex.quote(_DECODE)}"
    )
