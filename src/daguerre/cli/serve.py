"""`daguerre serve`: the server, and how to call it, printed when it listens.

Knows nothing of HTTP: `daguerre.server` serves.
"""

from __future__ import annotations

import functools
import json
import os
import shlex
import sys
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from daguerre.cli.flags import settings_flags
from daguerre.config import Settings
from daguerre.errors import SettingsError

if TYPE_CHECKING:
    from daguerre.cli.credentials import ResourceCredentials
    from daguerre.engine.interface import Engine
    from daguerre.server.playground.one_time_login import OneTimeLogin
    from daguerre.storage.api_keys import ResourceStore

_PROMPT = "a red apple on a wooden table"
# With python3 rather than jq: whoever runs this server has it. A refusal is printed, not decoded.
_DECODE = (
    "import base64, json, sys; a = json.load(sys.stdin); "
    'sys.exit(a["error"]["message"]) if "error" in a else '
    'open("x.png", "wb").write(base64.b64decode(a["data"][0]["b64_json"]))'
)


@click.command()
@settings_flags()
def serve(settings: Settings) -> None:
    """Serve POST /v1/images/generations.

    The first start makes the model resource DIFFUSION and its key. Once the server listens, its
    address, a link to the page for a browser, the variables for an application and a request to
    try are printed.
    """
    from daguerre.factory import open_engine

    # First of all: the engine loads its model while this process loads the server.
    with open_engine(settings) as engine:
        _serve(settings, engine)


def _serve(settings: Settings, engine: Engine) -> None:
    from daguerre.cli import provisioning
    from daguerre.factory import read_catalog
    from daguerre.server.playground.one_time_login import OneTimeLogin
    from daguerre.server.server import serve as run
    from daguerre.storage.api_keys import ResourceStore

    model = read_catalog(settings).default_model
    store = ResourceStore.open(settings.database_url, settings.data_dir())
    one_time_login = OneTimeLogin()
    try:
        with ExitStack() as until_the_end:
            run(
                settings,
                engine,
                store,
                # Not earlier: a start that fails leaves no address behind for `daguerre config`.
                on_bound=lambda bound: provisioning.create_default(bound, store, model),
                on_ready=functools.partial(_announce, store, one_time_login, until_the_end),
                one_time_login=one_time_login,
            )
    finally:
        store.close()


def _announce(
    store: ResourceStore, one_time_login: OneTimeLogin, until_the_end: ExitStack, settings: Settings
) -> None:
    """Called when connections are answered; the port in `settings` is then the true one.

    Requests need nothing of the client's file, so a problem with it is told and served past.
    """
    _say(f"daguerre listens on {settings.public_base_url()}")
    try:
        _write_address(settings, until_the_end)
        told = _how_to_call(store, one_time_login, settings)
    except SettingsError as error:
        click.echo(f"daguerre: the server runs, but not all is in order: {error.message}", err=True)
    else:
        _say(told)


def _say(text: str) -> None:
    """Only a courtesy: a server whose standard output is closed or full serves on."""
    try:
        click.echo(text)
        sys.stdout.flush()
    except OSError:
        sys.stdout = open(os.devnull, "w")  # or the exit would fail at what is still buffered


def _write_address(settings: Settings, until_the_end: ExitStack) -> None:
    """A server writes its address for `daguerre config`, unless one started earlier still runs."""
    from daguerre.cli import credentials
    from daguerre.storage import data_dir

    folder = data_dir.prepare(settings.data_dir())
    if until_the_end.enter_context(data_dir.locked_if_free(folder / "serve")):
        credentials.set_url(folder, settings.public_base_url())


def _how_to_call(store: ResourceStore, one_time_login: OneTimeLogin, settings: Settings) -> str:
    from daguerre.cli import provisioning

    resource = provisioning.default_resource(store)
    if resource is None:
        return ""
    attachment = provisioning.attachments(settings, store)[resource.alias]
    if attachment is None:
        return (
            f"The key of {resource.alias} is not in this data folder;"
            f" 'daguerre models rotate {resource.alias}' makes a new one."
        )
    here = replace(attachment, url=settings.public_base_url())
    return _page(settings, one_time_login, here) + _instructions(resource.alias, here)


def _page(settings: Settings, one_time_login: OneTimeLogin, attachment: ResourceCredentials) -> str:
    """Only on this machine: a link that travels could be opened by whoever sees it first."""
    from daguerre.server.playground.one_time_login import is_loopback

    if settings.public_url or not is_loopback(settings.host):
        return f"\nIn a browser, with the key below:\n\n{attachment.url}/\n"
    link = attachment.url + one_time_login.issue(attachment.key)
    return f"\nIn a browser, signed in (this link works once):\n\n{link}\n"


def _instructions(alias: str, attachment: ResourceCredentials) -> str:
    exports = "\n".join(
        f"export {name}={shlex.quote(value)}" for name, value in attachment.variables(alias).items()
    )
    return (
        f"\nFor an application:\n\n{exports}\n"
        f"\nAn image from the terminal, written to x.png:\n\n{curl(attachment)}\n"
    )


def curl(attachment: ResourceCredentials) -> str:
    """A request that needs nothing of its shell: no variable, no jq."""
    body = json.dumps({"model": attachment.model, "prompt": _PROMPT})
    return (
        f"curl -sS {shlex.quote(attachment.url + '/v1/images/generations')} \\\n"
        f" -H {shlex.quote('Authorization: Bearer ' + attachment.key)} \\\n"
        f" -d {shlex.quote(body)} \\\n"
        f" | python3 -c {shlex.quote(_DECODE)}"
    )
