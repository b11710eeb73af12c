"""`daguerre generate`: images without a server, by the same rules and the same engine.

The options are the fields of a request, refused in the words of `daguerre.protocol.request`; the
same options and seed give the same bytes as the server's. Parses and prints.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from daguerre.cli import output_file
from daguerre.cli.flags import settings_flags
from daguerre.cli.progress import progress_bar
from daguerre.cli.prompts import file_stem, read
from daguerre.config import Settings
from daguerre.errors import InternalError, InvalidRequestError, SettingsError

if TYPE_CHECKING:
    from daguerre.engine.interface import Engine
    from daguerre.params import GeneratedImage, ImageParams, OutputFormat, StepCompleted

_FORMATS: dict[str, OutputFormat] = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg"}
_SUFFIXES = {"png": ".png", "jpeg": ".jpg"}
_LOADING_POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class Task:
    """One image and the file that it goes to; none where only a contact sheet is wanted."""

    params: ImageParams
    output: str | None


@click.command()
@click.argument("prompt", required=False)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    help="File to write; - is standard output. With --prompts a folder, made where it is missing.",
)
@click.option(
    "--prompts",
    metavar="FILE",
    help="Instead of PROMPT: one image for each line; - is standard input.",
)
@click.option(
    "--sheet", metavar="FILE", help="Write a contact sheet: all images with their prompts."
)
@click.option("--negative-prompt", metavar="TEXT", help="What the image must not show.")
@click.option("--aspect-ratio", metavar="RATIO", help="Such as 16:9. Default 1:1.")
@click.option("--size", metavar="SIZE", help="Such as 1344x768. Default 1024x1024.")
@click.option(
    "--seed",
    type=int,
    metavar="NUMBER",
    help="Of every image. Default: a random one for each, which is printed.",
)
@click.option("--output-format", metavar="FORMAT", help="png or jpeg. Default: as FILE ends.")
@click.option("--output-compression", type=int, metavar="NUMBER", help="JPEG quality, 0 to 100.")
@click.option(
    "--model", metavar="MODEL", help="Default: stable-image-ultra, or the catalog's first."
)
@settings_flags(
    "home", "catalog", "threads_per_worker", "embedded_precision", "embedded_steps", "embed_prompt"
)
def generate(
    settings: Settings,
    prompt: str | None,
    prompts: str | None,
    output: str | None,
    sheet: str | None,
    **fields: object,
) -> None:
    """Make an image of PROMPT and write it to FILE.

    A terminal shows a progress bar.

    \b
    Examples:
      daguerre generate "a red apple on a wooden table" -o apple.png --seed 1
      daguerre generate --prompts prompts.txt -o pictures --sheet sheet.png
    """
    import asyncio

    _configure_logging(settings.log_level)
    if (prompt is None) == (prompts is None):
        raise SettingsError("name one: a PROMPT, or a file of them with --prompts")
    if output is None and sheet is None:
        raise SettingsError("name a file to write with -o, or a contact sheet with --sheet")
    given = {name: value for name, value in fields.items() if value is not None}
    if prompts is None:
        tasks = [_task(settings, output, given | {"prompt": prompt})]
    else:
        tasks = _tasks(settings, output, given, prompts)
    contact = None if sheet is None else _Sheet(sheet)
    asyncio.run(_make_all(settings, tasks, contact))
    if contact:
        contact.write()


def _configure_logging(level: str) -> None:
    """A failure is told in one line by the program; its traceback is for who asks for it."""
    if level == "debug":
        logging.basicConfig(level=logging.DEBUG)
    else:
        logging.getLogger("daguerre").addHandler(logging.NullHandler())


def _task(settings: Settings, output: str | None, fields: dict[str, object]) -> Task:
    if output is not None:
        output_file.check(output)
        if "output_format" not in fields:
            fields["output_format"] = _format_of(output, "add --output-format")
    return Task(_params(settings, fields), output)


def _tasks(
    settings: Settings, output: str | None, fields: dict[str, object], prompts: str
) -> list[Task]:
    """All of them are known to be sound before the first is made."""
    params = []
    for number, line in read(prompts):
        try:
            params.append(_params(settings, fields | {"prompt": line}))
        except InvalidRequestError as error:
            raise InvalidRequestError(f"line {number} of {prompts}: {error.message}") from None
    if output is None:
        return [Task(one, None) for one in params]
    folder, digits = output_file.make_folder(output), len(str(len(params)))
    outputs = [
        str(folder / f"{place:0{digits}}{file_stem(one.prompt)}{_SUFFIXES[one.output_format]}")
        for place, one in enumerate(params, start=1)
    ]
    for path in outputs:
        output_file.check(path)
    return [Task(one, path) for one, path in zip(params, outputs, strict=True)]


def _params(settings: Settings, fields: dict[str, object]) -> ImageParams:
    from daguerre.models.catalog import default_model
    from daguerre.protocol.parsing import parse_request

    return parse_request({"model": default_model(settings), **fields}).to_image_params()


def _format_of(output: str, otherwise: str) -> OutputFormat:
    if output == output_file.STDOUT:
        return "png"
    suffix = Path(output).suffix.lower()
    if suffix not in _FORMATS:
        raise SettingsError(
            f"{output} ends in none of {', '.join(_FORMATS)}; rename it, or {otherwise}"
        )
    return _FORMATS[suffix]


async def _make_all(settings: Settings, tasks: list[Task], sheet: _Sheet | None) -> None:
    """Each image is written as soon as it is there, so a failure takes none that was made."""
    from daguerre.factory import build_engine
    from daguerre.imagefile import encoding

    started_s = time.perf_counter()
    engine = build_engine(settings, only=tasks[0].params.model)
    await engine.start()
    try:
        for task in tasks:
            with progress_bar() as on_step:
                image = await _image(engine, task.params, on_step)
            if sheet:
                sheet.add(image)
            if task.output is not None:
                file = encoding.encode(image, with_prompt=settings.embed_prompt)
                output_file.write(task.output, file)
                _tell(task, time.perf_counter() - started_s)
            started_s = time.perf_counter()
    finally:
        await engine.stop()


def _tell(task: Task, elapsed_s: float) -> None:
    told = f"{task.output}  seed {task.params.seed}  {elapsed_s:.1f} s"
    click.echo(told, err=task.output == output_file.STDOUT)


async def _image(
    engine: Engine, params: ImageParams, on_step: Callable[[StepCompleted], None]
) -> GeneratedImage:
    import asyncio

    from daguerre.params import JobFailed, JobSucceeded, StepCompleted

    while not (stats := engine.stats()).is_ready:
        if stats.failure:
            raise InternalError(stats.failure)
        await asyncio.sleep(_LOADING_POLL_S)
    async for event in engine.generate(params):
        if isinstance(event, StepCompleted):
            on_step(event)
        elif isinstance(event, JobSucceeded):
            return event.image
        elif isinstance(event, JobFailed):
            raise _told(event.error)
    raise InternalError("the engine gave no image. This is a bug.")


def _told(error: Exception) -> Exception:
    """With its reason: there is no server's log to look into."""
    cause = error.__cause__
    return InternalError(f"the image could not be made: {cause!r}") if cause else error


class _Sheet:
    """The contact sheet and its file, which is checked before anything is made."""

    def __init__(self, output: str) -> None:
        from daguerre.cli.contact_sheet import ContactSheet

        if output == output_file.STDOUT:
            raise SettingsError("the contact sheet needs a file; name one with --sheet")
        output_file.check(output)
        self._output, self._format = output, _format_of(output, "choose another")
        self._contact = ContactSheet()
        self._first: ImageParams | None = None

    def add(self, image: GeneratedImage) -> None:
        self._first = self._first or image.params
        self._contact.add(image)

    def write(self) -> None:
        from daguerre.imagefile.encoding import encode_preview

        assert self._first, "a sheet of no image. This is a bug."
        params = replace(self._first, output_format=self._format)
        output_file.write(self._output, encode_preview(self._contact.pixels(), params))
        click.echo(f"{self._output}  contact sheet")
