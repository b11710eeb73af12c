"""The program `daguerre`: its commands, and what it says and returns when one fails.

Whatever a user can put right is one line on stderr that says how, with exit status 2; a fault in
the engine is one line with status 1; Ctrl-C is silent, with 130. The commands themselves are in
`daguerre.commands`. Importing this module loads no network runtime, no web framework, no database.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from daguerre import __version__
from daguerre.cli.config import config
from daguerre.cli.generate import generate
from daguerre.cli.info import info
from daguerre.cli.models import models
from daguerre.cli.serve import serve
from daguerre.errors import DaguerreError, InvalidRequestError, SettingsError

EXIT_FAILURE, EXIT_USAGE, EXIT_SIGINT = 1, 2, 130


@click.group(no_args_is_help=False, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(prog)s %(version)s")
def program() -> None:
    """A self-hosted text-to-image server, with a model in the box.

    \b
    An image:   daguerre generate "a red apple on a wooden table" -o apple.png
    A server:   daguerre serve
    """


for _command in (serve, generate, models, config, info):
    program.add_command(_command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns the exit status of the process; without one, shows the help."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        status = program.main(arguments or ["--help"], prog_name="daguerre", standalone_mode=False)
        _finish()
    except click.ClickException as error:
        return _fail(_with_hint(error), EXIT_USAGE)
    except (InvalidRequestError, SettingsError) as error:
        return _fail(error.message, EXIT_USAGE)
    except DaguerreError as error:
        return _fail(error.message, EXIT_FAILURE)
    except (click.Abort, KeyboardInterrupt):
        return EXIT_SIGINT
    except BrokenPipeError:
        return _give_up_output()  # who stops reading, like `head`, need not be told
    except OSError as error:
        _give_up_output()
        return _fail(_reason(error), EXIT_FAILURE)
    return status if isinstance(status, int) else 0


def _finish() -> None:
    """What is still buffered is written now, where a failure can be told."""
    if sys.stdout is not None:
        sys.stdout.flush()


def _give_up_output() -> int:
    """Or the exit would fail at what is still buffered."""
    sys.stdout = open(os.devnull, "w")
    return EXIT_FAILURE


def _reason(error: OSError) -> str:
    where = error.filename or "the output"
    return f"cannot read or write {where}: {error.strerror or error}"


def _fail(message: str, status: int) -> int:
    click.echo(f"daguerre: {' '.join(message.split())}", err=True)
    return status


def _with_hint(error: click.ClickException) -> str:
    context = error.ctx if isinstance(error, click.UsageError) else None
    path = context.command_path if context else "daguerre"
    return f"{error.format_message().rstrip('.')}; see '{path} --help'"
