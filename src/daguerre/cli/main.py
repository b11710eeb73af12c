"""The program `daguerre`: its commands, and the exit status and message of a failure.

A user error is one line on stderr with exit status 2, an engine error one line with status 1.
Ctrl-C prints nothing and exits with 130.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress

import click

from daguerre import environment
from daguerre.cli import streams
from daguerre.cli.backup import backup, restore
from daguerre.cli.certificate import certificate
from daguerre.cli.config import config
from daguerre.cli.generate import generate
from daguerre.cli.info import info
from daguerre.cli.models import models
from daguerre.cli.pull import pull
from daguerre.cli.ray import ray
from daguerre.cli.serve import serve
from daguerre.errors import DaguerreError, InvalidRequestError, SettingsError
from daguerre.version import __version__

EXIT_FAILURE, EXIT_USAGE, EXIT_SIGINT = 1, 2, 130
_MAX_WORD_CHARS = 300


@click.group(no_args_is_help=False, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(prog)s %(version)s")
def program() -> None:
    """A self-hosted text-to-image server with a bundled model.

    \b
    An image:   daguerre generate "a red apple on a wooden table" -o apple.png
    A server:   daguerre serve
    """


for _command in (serve, generate, pull, models, ray, config, info, backup, restore, certificate):
    program.add_command(_command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command, or prints the help without one. Returns the exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    environment.unset_empty_variables()
    streams.prepare()
    try:
        status = program.main(arguments or ["--help"], prog_name="daguerre", standalone_mode=False)
        sys.stdout.flush()  # while a failure can still be reported
    except click.ClickException as error:
        hint = f"see '{_command_path(arguments)} --help'"
        return _fail(f"{error.format_message().rstrip('.')}; {hint}", EXIT_USAGE)
    except (InvalidRequestError, SettingsError) as error:
        return _fail(error.message, EXIT_USAGE)
    except DaguerreError as error:
        return _fail(error.message, EXIT_FAILURE)
    except (click.Abort, KeyboardInterrupt):
        return EXIT_SIGINT
    except BrokenPipeError:  # the reader, such as `head`, has closed the pipe
        streams.discard_stdout()
        return EXIT_FAILURE
    except OSError as error:
        if error.filename is None:
            streams.discard_stdout()
        where = error.filename or "the output"
        reason = error.strerror or error
        return _fail(f"cannot read or write {where}: {reason}", EXIT_FAILURE)
    return status if isinstance(status, int) else 0


def _fail(message: str, status: int) -> int:
    with suppress(OSError):  # stderr is full or not writable; the status tells
        click.echo(f"daguerre: {' '.join(map(_shorten, message.split()))}", err=True)
    return status


def _shorten(word: str) -> str:
    """Only the ends of a word that is too long to be read, such as a value of the user."""
    return word if len(word) <= _MAX_WORD_CHARS else f"{word[:80]}...{word[-80:]}"


def _command_path(arguments: Sequence[str]) -> str:
    """The names of the program and of the command that `arguments` begin with."""
    command: click.Command | None = program
    path = ["daguerre"]
    for name in arguments:
        command = command.commands.get(name) if isinstance(command, click.Group) else None
        if command is None:
            break
        path.append(name)
    return " ".join(path)
