"""`daguerre generate`: one image without a server, by the same rules and the same engine.

The options are the fields of a request, refused in the words of `daguerre.server.protocol`; the
same options and seed give the same bytes as the server's. Parses and prints.
"""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from daguerre.commands.flags import settings_flags
from daguerre.config import Settings
from daguerre.errors import InternalError, SettingsError

if TYPE_CHECKING:
    from daguerre.engine.interface import Engine
    from daguerre.params import GeneratedImage, ImageParams, Step

STDOUT = "-"
_FORMATS = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg"}
_LOADING_POLL_S = 0.02


@click.command()
@click.argument("prompt")
@click.option(
    "-o", "--output", required=True, metavar="FILE", help="File to write; - is standard output."
)
@click.option("--negative-prompt", metavar="TEXT", help="What the image must not show.")
@click.option("--aspect-ratio", metavar="RATIO", help="Such as 16:9. Default 1:1.")
@click.option("--size", metavar="SIZE", help="Such as 1344x768. Default 1024x1024.")
@click.option("--seed", type=int, metavar="NUMBER", help="Default: a random one, which is printed.")
@click.option("--output-format", metavar="FORMAT", help="png or jpeg. Default: as FILE ends.")
@click.option("--output-compression", type=int, metavar="NUMBER", help="JPEG quality, 0 to 100.")
@click.option(
    "--model", metavar="MODEL", help="Default: stable-image-ultra, or the catalog's first."
)
@settings_flags(
    "home", "catalog", "num_threads", "precision", "num_inference_steps", "prompt_in_file"
)
def generate(settings: Settings, output: str, **fields: object) -> None:
    """Make an image of PROMPT and write it to FILE.

    \b
    Example:
      daguerre generate "a red apple on a wooden table" -o apple.png --seed 1
    """
    import asyncio

    from daguerre import encoding
    from daguerre.engine import build_engine

    started_s = time.perf_counter()
    _configure_logging(settings.log_level)
    _check_target(output)
    params = _params(settings, output, fields)
    with _progress() as on_step:
        engine = build_engine(settings, only=params.model)
        image = asyncio.run(_generated(engine, params, on_step))
    _write(output, encoding.encode(image, with_prompt=settings.prompt_in_file))
    elapsed_s = time.perf_counter() - started_s
    click.echo(f"{output}  seed {params.seed}  {elapsed_s:.1f} s", err=output == STDOUT)


def _configure_logging(level: str) -> None:
    """A failure is told in one line by the program; its traceback is for who asks for it."""
    if level == "debug":
        logging.basicConfig(level=logging.DEBUG)
    else:
        logging.getLogger("daguerre").addHandler(logging.NullHandler())


def _params(settings: Settings, output: str, fields: dict[str, object]) -> ImageParams:
    from daguerre.models.catalog import default_model
    from daguerre.server.parsing import parse_request

    given = {name: value for name, value in fields.items() if value is not None}
    given.setdefault("model", default_model(settings))
    if "output_format" not in given:
        given["output_format"] = _format_of(output)
    return parse_request(given).to_image_params()


def _format_of(output: str) -> str:
    if output == STDOUT:
        return "png"
    suffix = Path(output).suffix.lower()
    if suffix not in _FORMATS:
        raise SettingsError(
            f"{output} ends in none of {', '.join(_FORMATS)}; rename it, or add --output-format"
        )
    return _FORMATS[suffix]


def _check_target(output: str) -> None:
    """Before the work, not after it."""
    if output == STDOUT:
        if sys.stdout is None:
            raise SettingsError("standard output is closed; name a file")
        return
    target, folder = Path(output), Path(output).parent
    try:
        target.resolve()
        target.stat()
    except FileNotFoundError:
        pass
    except (OSError, RuntimeError, ValueError) as error:  # a name too long, a loop of links
        reason = getattr(error, "strerror", None) or error
        raise SettingsError(f"{output!r} cannot be a file: {reason}; name another") from None
    if not folder.is_dir():
        raise SettingsError(f"the folder {folder} does not exist; make it, or name another file")
    if target.is_dir():
        raise SettingsError(f"{output or 'the empty name'} is a folder; name a file")
    if target.exists() and not os.access(target, os.W_OK):
        raise SettingsError(f"{output} cannot be written to; name another file")
    if not _is_device(target) and not os.access(folder, os.W_OK):
        raise SettingsError(f"the folder {folder} cannot be written to; name another one")


async def _generated(
    engine: Engine, params: ImageParams, on_step: Callable[[Step], None]
) -> GeneratedImage:
    import asyncio

    from daguerre.params import Done, Failed, Step

    await engine.start()
    try:
        while not (stats := engine.stats()).is_ready:
            if stats.failure:
                raise InternalError(stats.failure)
            await asyncio.sleep(_LOADING_POLL_S)
        async for event in engine.generate(params):
            if isinstance(event, Step):
                on_step(event)
            elif isinstance(event, Done):
                return event.image
            elif isinstance(event, Failed):
                raise _told(event.error)
        raise InternalError("the engine gave no image. This is a bug.")
    finally:
        await engine.stop()


def _told(error: Exception) -> Exception:
    """With its reason: there is no server's log to look into."""
    cause = error.__cause__
    return InternalError(f"the image could not be made: {cause!r}") if cause else error


@contextmanager
def _progress() -> Iterator[Callable[[Step], None]]:
    """A bar on a terminal, nothing in a pipe or a log."""
    if not sys.stderr.isatty():
        yield lambda step: None
        return
    with click.progressbar(length=1, label="denoising", file=sys.stderr) as bar:

        def on_step(step: Step) -> None:
            bar.length = step.total
            bar.update(step.index - bar.pos)

        yield on_step


def _write(output: str, file: bytes) -> None:
    if output == STDOUT:
        sys.stdout.buffer.write(file)
        sys.stdout.buffer.flush()
        return
    try:
        if _is_device(Path(output)):
            Path(output).write_bytes(file)
        else:
            _replace(Path(output).resolve(), file)  # resolved: a link stays a link
    except OSError as error:
        raise SettingsError(f"cannot write {output}: {error.strerror or error}") from None


def _is_device(target: Path) -> bool:
    """Or a pipe: what takes bytes, and must not become a file."""
    return target.exists() and not target.is_file()


def _replace(target: Path, file: bytes) -> None:
    """The image is there as a whole or not at all, also on a disk that is full."""
    beside = target.with_name(f".daguerre-{secrets.token_hex(8)}")
    try:
        with beside.open("xb") as opened:
            opened.write(file)
        if target.exists():
            shutil.copymode(target, beside)
        os.replace(beside, target)
    finally:
        beside.unlink(missing_ok=True)
