"""`daguerre generate`: images without a server, from the same engine and with the same validation.

The same options and seed produce the same bytes as the server.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import click

from daguerre.cli import output_file
from daguerre.cli.flags import settings_flags
from daguerre.cli.progress import progress_bar
from daguerre.cli.prompts import file_stem, read_prompts
from daguerre.cli.request_options import RequestCommand
from daguerre.config import Settings
from daguerre.errors import DaguerreError, InternalError, InvalidRequestError, SettingsError

if TYPE_CHECKING:
    from daguerre.library import Image, Model
    from daguerre.models.catalog import Catalog
    from daguerre.params import GeneratedImage, ImageParams

# An image and its output file; None if only the contact sheet is written.
Task: TypeAlias = "tuple[ImageParams, str | None]"


@click.command(cls=RequestCommand)
@click.argument("prompt", required=False)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    help="File to write; - is standard output. With --prompts, a directory; it is created.",
)
@click.option(
    "--prompts",
    metavar="FILE",
    help="File with one prompt on each line, instead of PROMPT; - is standard input.",
)
@click.option("--sheet", metavar="FILE", help="File for a contact sheet of all images.")
@click.option(
    "--base",
    metavar="PATH",
    help="Checkpoint of the same family that has what a single file lacks.",
)
@settings_flags(
    *("home", "catalog", "threads_per_worker", "embedded_precision", "embedded_steps"),
    *("embed_prompt", "c2pa_certificate", "c2pa_private_key"),
)
def generate(
    settings: Settings,
    prompt: str | None,
    prompts: str | None,
    output: str | None,
    sheet: str | None,
    base: str | None,
    **fields: object,
) -> None:
    """Generate an image of PROMPT and write it to FILE.

    The model is a model ID of the catalog, or a checkpoint as for 'daguerre serve'.

    \b
    Examples:
      daguerre generate "a red apple on a wooden table" -o apple.png --seed 1
      daguerre generate --prompts prompts.txt -o pictures --sheet sheet.png
    """
    from daguerre import factory
    from daguerre.cli.contact_sheet import ContactSheet
    from daguerre.imagefile.encoding import encode_pixels

    _configure_logging(settings.log_level)
    if (prompt is None) == (prompts is None):
        raise SettingsError("give either a PROMPT or a file of prompts with --prompts")
    if output is None and sheet is None:
        raise SettingsError("give a file to write with -o, or a contact sheet with --sheet")
    model = fields.pop("model")
    catalog = factory.choose_model(settings, None if model is None else str(model), base)
    body: dict[str, object] = {"model": catalog.default_model}
    body |= {name: value for name, value in fields.items() if value is not None}
    if prompts is None:
        tasks = [_task(body | {"prompt": prompt}, output, catalog)]
    else:
        tasks = _tasks(body, prompts, output, catalog)
    if sheet is None:
        _generate_all(settings, catalog, tasks, on_image=lambda image: None)
        return
    sheet_format, contact = _check_sheet(sheet), ContactSheet()
    _generate_all(settings, catalog, tasks, on_image=contact.add)
    output_file.write(sheet, encode_pixels(contact.pixels(), sheet_format))
    click.echo(f"{sheet}  contact sheet")


def _configure_logging(level: str) -> None:
    """Logs only at the level debug; otherwise the error is one line on stderr."""
    if level == "debug":
        logging.basicConfig(level=logging.DEBUG)
    else:
        logging.getLogger("daguerre").addHandler(logging.NullHandler())


def _task(fields: dict[str, object], output: str | None, catalog: Catalog) -> Task:
    if output is not None:
        output_file.check(output)
        if output != output_file.STDOUT and "output_format" not in fields:
            fields["output_format"] = _format_of(output, "add --output-format")
    return _params(fields, catalog), output


def _tasks(
    fields: dict[str, object], prompts: str, output: str | None, catalog: Catalog
) -> list[Task]:
    """Validates every prompt and output file before the first image."""
    from daguerre.imagefile.encoding import FORMATS

    all_params = []
    for number, line in read_prompts(prompts):
        try:
            all_params.append(_params(fields | {"prompt": line}, catalog))
        except InvalidRequestError as error:
            raise InvalidRequestError(f"line {number} of {prompts}: {error.message}") from None
    if output is None:
        return [(params, None) for params in all_params]
    directory, digits = output_file.make_directory(output), len(str(len(all_params)))
    tasks: list[Task] = []
    for number, params in enumerate(all_params, start=1):
        suffix = FORMATS[params.output_format].suffixes[0]
        path = str(directory / f"{number:0{digits}}{file_stem(params.prompt)}{suffix}")
        output_file.check(path)
        tasks.append((params, path))
    return tasks


def _params(fields: dict[str, object], catalog: Catalog) -> ImageParams:
    from daguerre.protocol.parsing import parse_request

    return parse_request(fields, catalog.extra_sizes).to_image_params()


def _check_sheet(sheet: str) -> str:
    """The format of the contact sheet; checks its file before the first image."""
    if sheet == output_file.STDOUT:
        raise SettingsError(
            "the contact sheet cannot go to standard output; give a file with --sheet"
        )
    output_file.check(sheet)
    return _format_of(sheet, "choose another")


def _format_of(output: str, advice: str) -> str:
    from daguerre.imagefile.encoding import SUFFIXES, format_of

    output_format = format_of(output)
    if output_format is None:
        raise SettingsError(
            f"the suffix of {output} is none of {', '.join(SUFFIXES)}; rename it, or {advice}"
        )
    return output_format


def _generate_all(
    settings: Settings,
    catalog: Catalog,
    tasks: list[Task],
    on_image: Callable[[GeneratedImage], None],
) -> None:
    """Writes each image at once, so a later failure does not lose it."""
    from daguerre.library import Model

    started_s = time.perf_counter()
    with Model.from_settings(settings, tasks[0][0].model, catalog) as model:
        for params, output in tasks:
            image = _image(model, params)
            on_image(image.generated)
            if output is not None:
                output_file.write(output, image.encode())
                seconds = time.perf_counter() - started_s
                text = f"{output}  seed {params.seed}  {seconds:.1f} s"
                click.echo(text, err=output == output_file.STDOUT)
            started_s = time.perf_counter()


def _image(model: Model, params: ImageParams) -> Image:
    with progress_bar() as on_step:
        try:
            for step in model.stream(params):
                on_step(step.index, step.total)
        except DaguerreError as error:
            # The command writes no log, so the message includes the cause.
            if error.__cause__:
                raise InternalError(
                    f"the image could not be generated: {error.__cause__!r}"
                ) from error
            raise
    assert step.image, "the last step has no image. This is a bug."
    return step.image
