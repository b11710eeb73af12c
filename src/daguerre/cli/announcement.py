"""What `daguerre serve` prints when it listens: its address, and how to call it."""

from __future__ import annotations

import json
import logging
import shlex
import sys
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from daguerre.cli import streams
from daguerre.config import Settings
from daguerre.errors import SettingsError

if TYPE_CHECKING:
    from daguerre.cli.credentials import ResourceCredentials
    from daguerre.engine.reloadable_engine import ReloadableEngine
    from daguerre.server.control_socket import Commands
    from daguerre.server.playground.one_time_login import OneTimeLogin
    from daguerre.storage.resources import ResourceStore

logger = logging.getLogger(__name__)

_MODELS_POLL_S = 0.5
_PROMPT = "a red apple on a wooden table"
# python3 instead of jq, because this machine has it. An error is printed, not decoded.
_DECODE = (
    "import base64, json, sys; a = json.load(sys.stdin); "
    'sys.exit(a["error"]["message"]) if "error" in a else '
    'open("x.png", "wb").write(base64.b64decode(a["data"][0]["b64_json"]))'
)


def announce(
    store: ResourceStore,
    one_time_login: OneTimeLogin,
    exit_stack: ExitStack,
    engine: ReloadableEngine,
    models: Collection[str],
    commands: Commands,
    settings: Settings,
) -> None:
    """Prints how to call the server; `settings` have the actual port.

    Without `models`, it does so when the engine knows them. A JSON log is read by programs and
    often kept, with stdout: it gets the address, but no key. Requests do not need the credentials
    file, so an error in it is only a warning.
    """
    import asyncio

    is_json = settings.log_format == "json"
    say, warn = (logger.info, logger.warning) if is_json else (_print, _warn)
    for line in _addresses(settings):
        say(line)
    try:
        _publish(settings, exit_stack, commands)
        if not models:
            work = _announce_models(store, one_time_login, engine, settings)
            exit_stack.callback(asyncio.create_task(work).cancel)
        elif not is_json:
            _print(_how_to_call(store, one_time_login, models, settings))
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


async def _announce_models(
    store: ResourceStore,
    one_time_login: OneTimeLogin,
    engine: ReloadableEngine,
    settings: Settings,
) -> None:
    """Waits for the models, creates the first key, and prints how to call the server."""
    import asyncio

    from daguerre.cli import provisioning
    from daguerre.models.catalog import DEFAULT_MODEL

    while not (names := [info.id for info in engine.models()]):
        await asyncio.sleep(_MODELS_POLL_S)
    default = DEFAULT_MODEL if DEFAULT_MODEL in names else names[0]
    try:
        await asyncio.to_thread(provisioning.create_default, settings, store, default)
        if settings.log_format != "json":
            _print(_how_to_call(store, one_time_login, names, settings))
    except SettingsError as error:
        logger.warning("cannot create the first key: %s", error.message)


def _warn(message: str) -> None:
    click.echo(f"daguerre: warning: {message}", err=True)


def _print(text: str) -> None:
    """Prints to stdout; the server keeps running if stdout is closed or full."""
    try:
        click.echo(text)
        sys.stdout.flush()
    except OSError:
        streams.discard_stdout()


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
