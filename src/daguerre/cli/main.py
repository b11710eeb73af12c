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
from daguerre.cli.config import config
from daguerre.cli.generate import generate
from daguerre.cli.info import info
from daguerre.cli.models import models
from daguerre.cli.serve import serve
from daguerre.errors import DaguerreError, InvalidRequestError, SettingsError
from daguerre.version import __version__

EXIT_FAILURE, EXIT_USAGE, EXIT_SIGINT = 1, 2, 130


@click.group(no_args_is_help=False, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(prog)s %(version)s")
def program() -> None:
    """A self-hosted text-to-image server with a bundled model.

    \b
    An image:   daguerre generate "a red apple on a wooden table" -o apple.png
    A server:   daguerre serve
    """


for _command in (serve, generate, models, config, info):
    program.add_command(_command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command, or prints the help without one. Returns the exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    environment.unset_empty_directories()
    streams.prepare()
    try:
        status = program.main(arguments or ["--help"], prog_name="daguerre", standalone_mode=False)
        sys.stdout.flush()  # while a failure can still be reported
    except click.ClickException as error:
        return _fail(_with_hint(error), EXIT_USAGE)
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
        where = error.filename or "the output"
        streams.discard_stdout()
        reason = error.strerror or error
        return _fail(f"cannot read or write {where}: {reason}", EXIT_FAILURE)
    return status if isinstance(status, int) else 0


def _fail(message: str, status: int) -> int:
    with suppress(OSError):  # stderr is full or not writable; the status tells
        click.echo(f"daguerre: {' '.join(message.split())}", err=True)
    return status


def _with_hint(error: click.ClickException) -> str:
    context = error.ctx if isinstance(error, click.UsageError) else None
    path = context.command_path if context else "daguerre"
    return f"{error.format_message().rstrip('.')}; see '{path} --help'"
